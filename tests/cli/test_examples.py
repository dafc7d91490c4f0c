"""Every example is a site that checks, plans and exports, here and on a machine that has none of its files."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from scratch_home import ROOT, Agent

from llamaagent.config.load import load_site

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = ROOT / "examples" / "configs"
SITES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())


@pytest.fixture(params=SITES)
def example(request: pytest.FixtureRequest, home: Path) -> Path:
    """A copy of the example on the host gpu1, with a database of its own."""
    folder = home / str(request.param)
    shutil.copytree(EXAMPLES / str(request.param), folder)
    settings = folder / "llamaagent.yaml"
    settings.write_text(f"{settings.read_text()}host: gpu1\n")
    return folder


def test_an_example_has_no_error_for_any_host(agent: Agent, example: Path) -> None:
    result = agent("check", "--portable", cwd=example)

    assert "error:" not in result.stdout
    assert result.stdout.splitlines() == []  # nothing is worth a warning in an example


def test_an_example_plans_where_its_files_are_missing(agent: Agent, example: Path) -> None:
    code = agent("plan", "--exit-code", cwd=example, code=None).returncode
    rows = json.loads(agent("plan", "--json", cwd=example).stdout)

    assert code in {0, 10}
    assert {row["profile"] for row in rows} >= wanted_here(example)
    for row in rows:
        assert row["reason"], row
        assert row["detail"] or row["action"] != "hold", row


def wanted_here(site: Path) -> set[str]:
    """Profiles that nobody has stopped."""
    found = load_site(config=str(site), profiles=(), environ={"HOME": "/"}, cwd="/", now=0)
    return {
        profile.name for profile in found.profiles if profile.state == "running" and profile.schedule is None
    }


@pytest.mark.parametrize("kind", ["llama-swap", "presets", "compose", "shell"])
def test_an_example_exports_or_says_why_not(agent: Agent, example: Path, kind: str) -> None:
    result = agent("export", kind, cwd=example, code=None)

    assert result.returncode in {0, 65}, result.stderr
    assert (result.returncode == 0) == bool(result.stdout)
    assert result.stderr


def test_the_index_names_every_example() -> None:
    text = (ROOT / "examples" / "README.md").read_text()

    assert sorted(re.findall(r"\]\(configs/([a-z0-9-]+)/\)", text)) == SITES


@pytest.mark.binary
@pytest.mark.parametrize("name", SITES)
def test_the_real_server_takes_the_options_of_an_example(llama_server_binary: str, name: str) -> None:
    site = load_site(
        config=str(EXAMPLES / name), profiles=(), environ={"HOME": "/"}, cwd="/", now=0, portable=True
    )

    for profile in site.profiles:
        # It parses the words in their order and ends at the last one.
        words = [llama_server_binary, *profile.argv, "--version"]
        result = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd="/")
        assert result.returncode == 0, (profile.name, result.stderr)
        assert "version:" in result.stderr + result.stdout


@pytest.mark.binary
def test_the_presets_of_the_example_are_read_by_the_real_router(
    llama_server_binary: str, free_port: int
) -> None:
    from test_export_servers import router_models

    models = router_models(llama_server_binary, EXAMPLES / "router" / "models.ini", free_port)

    assert {"chat", "code"} <= models.keys()
