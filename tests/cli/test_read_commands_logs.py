"""`logs`: the last lines, another launch's, and on across a restart."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING

import pytest
from live_site import Site, ports

from system.scratch_site import kill

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path, fake_server: str) -> Iterator[Site]:
    (tmp_path / "fake.gguf").write_bytes(b"GGUF" + bytes(60))
    with ports() as block:
        made = Site(tmp_path, block, fake_server, str(tmp_path / "fake.gguf"))
        made.profile("alpha")
        yield made
        made.stop_all()


def relaunch(site: Site) -> tuple[dict[str, object], dict[str, object]]:
    first = site.settle()["alpha"]
    kill(int(str(first["pid"])))
    site.once()
    time.sleep(1.1)
    return first, site.settle()["alpha"]


def read_until(child: subprocess.Popen[bytes], word: bytes, deadline_s: float = 15.0) -> bytes:
    assert child.stdout is not None
    data, until = b"", time.monotonic() + deadline_s
    while word not in data:
        left = until - time.monotonic()
        assert left > 0, data
        if select.select([child.stdout], [], [], left)[0]:
            data += os.read(child.stdout.fileno(), 65536)
    return data


def test_the_last_lines(site: Site) -> None:
    path = str(site.settle()["alpha"]["log_path"])
    with open(path, encoding="utf-8") as file:
        lines = file.readlines()
    assert len(lines) >= 3
    assert site.run("logs", "alpha").out == "".join(lines)
    assert site.run("logs", "alpha", "-n", "2").out == "".join(lines[-2:])
    assert site.run("logs", "alpha", "-n", "0").out == ""
    assert site.run("logs", "al*", "-n", "1").out == lines[-1]


def test_another_launch(site: Site) -> None:
    first, second = relaunch(site)
    with open(str(first["log_path"]), encoding="utf-8") as file:
        before = file.read()
    with open(str(second["log_path"]), encoding="utf-8") as file:
        now = file.read()
    assert before != now
    assert site.run("logs", "alpha").out == now
    assert site.run("logs", "alpha", "--previous").out == before
    assert site.run("logs", "alpha", "--instance", str(first["id"])).out == before
    done = site.run("logs", "alpha", "--instance", "999")
    assert (done.rc, done.out, "999" in done.err) == (2, "", True)


def test_a_log_that_somebody_removed_is_told(site: Site) -> None:
    os.unlink(str(site.settle()["alpha"]["log_path"]))
    done = site.run("logs", "alpha")
    assert (done.rc, done.out, "is gone" in done.err) == (1, "", True)


def test_following_goes_on_into_the_next_launch(site: Site) -> None:
    site.settle()
    child = site.start("logs", "alpha", "-f", "-n", "1")
    read_until(child, b"\n")
    first, second = relaunch(site)
    data = read_until(child, b"listening on")
    assert f":{second['port']}".encode() in data
    assert child.poll() is None
    child.send_signal(2)
    out, err = child.communicate(timeout=10)
    assert child.returncode == 130
    assert f"launch {second['id']} of alpha".encode() in err
    assert b"Traceback" not in err + out
    assert first["id"] != second["id"]


def test_following_ends_when_nobody_reads(site: Site) -> None:
    site.settle()
    child = site.start("logs", "alpha", "-f")
    read_until(child, b"\n")
    assert child.stdout is not None
    child.stdout.close()
    with open(str(site.newest()["alpha"]["log_path"]), "a", encoding="utf-8") as file:
        file.write("one more line\n")
    assert child.wait(timeout=10) == 0
    assert child.stderr is not None
    assert child.stderr.read() == b""
    child.stderr.close()
    site.children.remove(child)
