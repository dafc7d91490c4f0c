"""The examples of docs/generations.md run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from asked_site import ARGS
from scratch_site import ROOT, Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.embedded
with open(os.path.join(ROOT, "docs", "generations.md"), encoding="utf-8") as file:
    PAGE = file.read()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def qwen(tmp_path: Path, port_block: tuple[int, int], tiny_model: str) -> Iterator[Site]:
    """A site whose one server is the page's."""
    made = Site(tmp_path, port_block, "embedded", tiny_model)
    made.profile("qwen", args=ARGS)
    made.settle()
    yield made
    made.stop_all()


def test_the_commands_of_the_page_run(qwen: Site, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "llamaagent"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m llamaagent "$@"\n')
    program.chmod(0o755)
    env = {**qwen.env, "PATH": f"{tmp_path / 'bin'}:{qwen.env['PATH']}"}
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    for line in lines:
        done = subprocess.run(
            ["/bin/sh", "-c", line], cwd=qwen.root, env=env, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (line, done)
        assert "Traceback" not in done.stderr
    assert len(lines) >= 15


def test_the_program_of_the_page_runs_from_top_to_bottom(qwen: Site, tmp_path: Path) -> None:
    program = tmp_path / "page.py"
    program.write_text("\n".join(blocks("python")))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program)], cwd=qwen.root, env=qwen.env, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_the_settings_of_the_page_are_taken(qwen: Site) -> None:
    with open(qwen.root / "llamaagent.yaml", "a", encoding="utf-8") as file:
        file.write("".join(blocks("yaml")))
    assert qwen.run("check").rc == 0
    shown = qwen.run("settings", "cache", "--json")
    assert "true" in shown.out
