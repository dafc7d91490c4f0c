"""Images that the engine does not hold yet: fetched from a real registry beside the passes, told while that lasts."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from engine.scratch_engine import IMAGE
from system.scratch_site import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.boxed import Boxed
    from engine.scratch_engine import ScratchEngine

pytestmark = [pytest.mark.container, pytest.mark.registry]
CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture
def registry(tmp_path: Path, free_port: int) -> Iterator[str]:
    """Address of a real registry."""
    config = tmp_path / "registry.yml"
    config.write_text(CONFIG.format(root=tmp_path / "registry", port=free_port), encoding="utf-8")
    with subprocess.Popen(
        ["docker-registry", "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        eventually(lambda: _listens(free_port), "the registry answers")
        yield f"127.0.0.1:{free_port}"
        child.kill()


def _listens(port: int) -> bool:
    with socket.socket() as link:
        return link.connect_ex(("127.0.0.1", port)) == 0


def push(docker: ScratchEngine, name: str, note: str) -> None:
    """Put an image of that name into its registry, and take it from the engine. note: what makes it another one."""
    api = docker.engine().api
    made = api.create_container(IMAGE, ["sh", "-c", f"echo {note} > /note"], host_config=None)
    api.start(made["Id"])
    api.wait(made["Id"])
    repository, _, tag = name.rpartition(":")
    api.commit(made["Id"], repository=repository, tag=tag)
    api.remove_container(made["Id"])
    told = api.push(repository, tag=tag, decode=True, stream=True)
    assert not [line for line in told if "error" in line]
    api.remove_image(name)


def test_an_image_is_fetched_and_its_digest_recorded(boxed: Boxed, registry: str) -> None:
    site, name = boxed.site, f"{registry}/box:1"
    push(boxed.docker, name, "first")
    boxed.box(script="cat /note; while :; do sleep 0.1; done", more={"image": name})
    site.once()
    row = site.newest()["box"]
    assert (row["status"], row["reason"]) == ("created", "pulling"), row
    assert site.run("start", "box").rc == 0
    row = site.newest()["box"]
    assert str(row["image_digest"]).startswith("sha256:")
    eventually(lambda: site.once() and "first" in site.run("logs", "box").out, "it runs")

    boxed.docker.engine().api.tag(name, f"{registry}/box", "kept")  # the tag moves to another image
    push(boxed.docker, name, "second")
    list(boxed.docker.engine().pull(name))
    told = site.run("plan").err
    assert "box runs an old image: its tag names another one by now" in told
    assert json.loads(site.run("status", "--json").out)["outdated"] == [
        {"profile": "box", "because": "image", "refused": None}
    ]
    assert site.run("restart", "--outdated").rc == 0
    eventually(lambda: site.once() and "second" in site.run("logs", "box").out, "the new one runs")
    assert site.newest()["box"]["image_digest"] != row["image_digest"]


def test_an_image_that_nobody_has_is_told_and_tried_again_later(boxed: Boxed, registry: str) -> None:
    site = boxed.site
    boxed.box(more={"image": f"{registry}/nothing:1"})
    done = site.run("start", "box")
    assert done.rc == 69, done
    assert "box: refused, missing-image" in done.err
    assert f"image {registry}/nothing:1 could not be fetched" in done.err


def test_a_registry_that_is_not_there_is_told(boxed: Boxed, free_port: int) -> None:
    boxed.box(more={"image": f"127.0.0.1:{free_port}/box:1"})
    done = boxed.site.run("start", "box")
    assert (done.rc, "missing-image" in done.err, "connection refused" in done.err) == (69, True, True), done
