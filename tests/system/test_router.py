"""llama-server as a router: a profile without a model, which loads those of a folder when they are asked for."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from scratch_site import ask, eventually

from llamaagent.launch.adopt import find_launched

if TYPE_CHECKING:
    from pathlib import Path

    from scratch_site import Site

pytestmark = pytest.mark.binary


def router(site: Site, tmp_path: Path, tiny_model: str) -> None:
    """A profile over a folder with two models."""
    folder = tmp_path / "gguf"
    folder.mkdir()
    for name in ("first", "second"):
        shutil.copy(tiny_model, folder / f"{name}.gguf")
    site.profile("router", model=None, args={"models-dir": str(folder), "models-max": 1, "threads": 1})


def test_a_router_runs_answers_for_its_models_and_ends_with_them(
    site: Site, tmp_path: Path, tiny_model: str
) -> None:
    router(site, tmp_path, tiny_model)
    assert site.run("check").rc == 0
    row = site.settle("running", "router")["router"]

    body = {"model": "first", "prompt": "hello", "max_tokens": 4, "temperature": 0.0}
    status, text = ask(row["port"], "/v1/completions", body, timeout_s=60)
    assert status == 200, text
    assert json.loads(text)["usage"]["completion_tokens"] > 0
    assert site.newest()["router"]["pid"] == row["pid"]
    eventually(lambda: site.once() and site.count("generations") == 1, "the request is counted once")

    assert json.loads(site.run("plan", "--json").out) == []
    stopped = site.run("stop", "router")
    assert stopped.rc == 0, stopped
    assert find_launched(site.id) == ()


def test_looking_at_a_router_loads_no_model(site: Site, tmp_path: Path, tiny_model: str) -> None:
    router(site, tmp_path, tiny_model)
    row = site.settle("running", "router")["router"]
    for _ in range(3):
        site.once()

    status, text = ask(row["port"], "/models")
    assert status == 200
    assert {model["id"]: model["status"]["value"] for model in json.loads(text)["data"]} == {
        "first": "unloaded",
        "second": "unloaded",
    }
