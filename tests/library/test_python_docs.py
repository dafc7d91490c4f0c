"""The examples of docs/python.md run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import llamaagent
from llamaagent.library.store import Store

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


def test_the_examples_of_the_page_run_from_top_to_bottom(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    program = tmp_path / "page.py"
    program.write_text("\n".join(blocks), encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-W", "error", str(program)],
        env={"PYTHONPATH": str(ROOT / "src"), "HOME": str(tmp_path), "PATH": os.environ["PATH"],
             "XDG_DATA_HOME": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip

    assert len(blocks) >= 6
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr  # the one warning, of the store that is kept in memory
    assert "kept in memory" in done.stderr


def test_every_repository_and_method_is_on_the_page(tmp_path: Path) -> None:
    with llamaagent.open_store(enabled=False) as store:
        parts = {
            name: part for name, part in vars(store).items() if type(part).__name__.endswith("Repository")
        }
    missing = [
        f"{name}.{method}"
        for name, part in parts.items()
        for method in dir(part)
        if not method.startswith("_")
        and callable(getattr(part, method))
        and method not in {"add_many", "count", "count_hit", "find", "keep"}  # for the parts of the library
        if f"{name}.{method}" not in PAGE and f"`{method}`" not in PAGE
    ]
    public = [name for name in dir(Store) if not name.startswith("_") and name not in {"link", "together"}]
    missing += [name for name in public if name not in PAGE]

    assert sorted(parts) == [
        "cache", "config", "gpus", "instances", "logs", "metadata", "metrics", "models", "quotas", "stats",
    ]  # fmt: skip
    assert missing == []
