"""A disk that gets short, and one that is full: what is given up, in which order, and that it all comes back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from scratch_site import complete, eventually, kill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scratch_site import Site

pytestmark = pytest.mark.root
SIZE_MIB = 64
HEADROOM_MIB = 32


class SmallDisk:
    """A tmpfs below the site's data folder that can be filled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def leave(self, mib: float) -> None:
        """Fill it until only so much is free."""
        self.empty()
        found = os.statvfs(self.folder)
        size = found.f_bavail * found.f_frsize - int(mib * 1024 * 1024)
        with open(self.folder / "filler", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, size))

    def fill(self) -> None:
        """To the last byte."""
        self.empty()
        with open(self.folder / "filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def empty(self) -> None:
        (self.folder / "filler").unlink(missing_ok=True)


@pytest.fixture
def disk(fake_site: Site) -> Iterator[SmallDisk]:
    folder = fake_site.root / "xdg" / "data"
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=0700", "none", str(folder)]
    if subprocess.run(words, check=False, capture_output=True).returncode != 0:
        pytest.skip("may not mount here")
    fake_site.settings(headroom={"disk": f"{HEADROOM_MIB}MiB"}, notify={"command": "true"})
    fake_site.profile("alpha")
    try:
        yield SmallDisk(folder)
    finally:
        fake_site.stop_all()
        subprocess.run(["umount", "-l", str(folder)], check=True)


def first_line(site: Site) -> str:
    return site.run("status").out.splitlines()[0]


@pytest.mark.case("sqlite 5.5")
def test_reports_stop_first_then_samples_and_launches_go_on(fake_site: Site, disk: SmallDisk) -> None:
    site = fake_site
    site.settle()
    assert "disk short" not in first_line(site)

    disk.leave(24)
    said = site.once().err
    assert said.startswith("disk short: 2")
    assert "headroom.disk asks for 32 MiB; no reports until there is more" in said
    assert site.once().err == ""
    assert first_line(site).startswith("disk short: ")
    found = json.loads(site.run("status", "--json").out)["disk"]
    assert (found["reports"], found["samples"], found["headroom_mib"]) == (False, True, HEADROOM_MIB)
    assert site.run("status").rc == 0
    before = site.count("system_samples")
    time.sleep(1.1)
    site.once()
    assert site.count("system_samples") == before + 1

    disk.leave(5)
    assert "no reports and no samples" in site.once().err
    before = site.count("system_samples")
    complete(site.newest()["alpha"]["port"], "x", 2)
    site.profile("beta")
    time.sleep(1.1)
    site.settle()
    assert sorted(site.live()) == ["alpha", "beta"]
    assert site.count("system_samples") == before
    assert ("start", "declared") in site.decisions("beta")
    eventually(lambda: site.once() and site.count("generations") >= 1, "requests are still counted")
    assert json.loads(site.run("status", "--json").out)["last_pass_s"] <= 2

    disk.empty()
    assert "ended: disk short" in site.once().err
    assert site.count("system_samples") > before
    events = [row["event"] for row in site.rows("SELECT event FROM notifications ORDER BY id")]
    assert events == ["disk_low", "disk_low", "recovered"]


def test_free_space_that_goes_to_and_fro_at_the_limit_is_no_news(fake_site: Site, disk: SmallDisk) -> None:
    fake_site.settle()
    disk.leave(HEADROOM_MIB - 2)
    assert "disk short" in fake_site.once().err
    for mib in (HEADROOM_MIB + 2, HEADROOM_MIB - 3, HEADROOM_MIB + 1):
        disk.leave(mib)
        assert fake_site.once().err == ""
    disk.leave(HEADROOM_MIB * 1.5)
    assert "ended: disk short" in fake_site.once().err


def test_no_report_is_made_while_the_disk_is_short(fake_site: Site, disk: SmallDisk) -> None:
    fake_site.settings(headroom={"disk": f"{HEADROOM_MIB}MiB"}, reports={"every": "1s"})
    disk.leave(20)
    fake_site.once()
    index = disk.folder / "llamaagent" / "site" / "index.html"
    assert not index.exists()
    disk.empty()
    fake_site.once()
    assert index.exists()


@pytest.mark.case("sqlite 5.5")
@pytest.mark.case("peers 5.28")
def test_the_loop_goes_on_over_a_full_disk_and_recovers(fake_site: Site, disk: SmallDisk) -> None:
    fake_site.settle()
    before = fake_site.count("system_samples")
    loop = fake_site.start("run")
    eventually(lambda: fake_site.count("system_samples") > before + 1, "it beats")
    disk.fill()
    before = fake_site.count("system_samples")
    assert fake_site.run("run", "--once").rc in {0, 74}
    time.sleep(3)
    assert loop.poll() is None
    pids = fake_site.live()
    assert list(pids) == ["alpha"]
    disk.empty()
    eventually(lambda: fake_site.count("system_samples") > before + 1, "it samples again")
    kill(pids["alpha"][0])
    eventually(lambda: fake_site.live() not in ({}, pids), "and acts again")
    loop.send_signal(signal.SIGTERM)
    _, err = loop.communicate(timeout=20)
    assert loop.returncode == 0
    lines = err.decode().splitlines()
    assert len(lines) <= 8, lines
    assert "Traceback" not in err.decode()


def test_the_loop_waits_for_a_database_that_cannot_be_opened(fake_site: Site, disk: SmallDisk) -> None:
    """The folder is moved away and something else stands in its place; then it is back."""
    fake_site.settle()
    before = fake_site.count("system_samples")
    loop = fake_site.start("run")
    eventually(lambda: fake_site.count("system_samples") > before + 1, "it beats")
    folder = disk.folder / "llamaagent"
    before = fake_site.count("system_samples")
    folder.rename(disk.folder / "away")
    folder.write_text("in the way")
    time.sleep(3)
    assert loop.poll() is None
    folder.unlink()
    (disk.folder / "away").rename(folder)
    eventually(lambda: fake_site.count("system_samples") > before + 2, "it goes on")
    loop.send_signal(signal.SIGTERM)
    _, err = loop.communicate(timeout=20)
    assert loop.returncode == 0, err
    assert len(err.decode().splitlines()) <= 3, err
    assert fake_site.count("instances") == 1
