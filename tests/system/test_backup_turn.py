"""Backups that a pass sees to, and a restore under live servers."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import apsw
import pytest
from scratch_site import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from scratch_site import Site

FAR = 1 << 40


def made(site: Site) -> list[str]:
    folder = os.path.join(os.path.dirname(site.database), "backups")
    return (
        sorted(name for name in os.listdir(folder) if name.endswith(".db")) if os.path.isdir(folder) else []
    )


def due(site: Site, ts: int = 1) -> None:
    site.edit("UPDATE metadata SET value = ? WHERE key = 'backup_next_ts'", str(ts))


def next_due(site: Site) -> int:
    return int(str(site.one("SELECT value FROM metadata WHERE key = 'backup_next_ts'")["value"]))


def test_the_first_comes_after_one_period_and_then_one_each(fake_site: Site) -> None:
    site = fake_site
    site.once()
    site.once()
    assert made(site) == []
    assert abs(next_due(site) - time.time() - 86400) < 60

    due(site)
    assert site.once().err == ""
    (name,) = made(site)
    copy = apsw.Connection(os.path.join(os.path.dirname(site.database), "backups", name))
    assert copy.pragma("integrity_check") == "ok"
    copy.close()
    assert abs(next_due(site) - time.time() - 86400) < 60
    site.once()
    assert made(site) == [name]


def test_a_time_far_ahead_is_of_a_clock_that_was_wrong(fake_site: Site) -> None:
    fake_site.once()
    due(fake_site, FAR)
    fake_site.once()
    assert len(made(fake_site)) == 1


def test_never_means_never(fake_site: Site) -> None:
    fake_site.settings(backup={"every": "never"})
    fake_site.once()
    assert fake_site.rows("SELECT 1 FROM metadata WHERE key = 'backup_next_ts'") == []
    fake_site.settings(backup={"every": "1d"})
    fake_site.once()
    due(fake_site)
    fake_site.settings(backup={"every": "never"})
    fake_site.once()
    assert made(fake_site) == []


def test_a_failure_is_told_once_and_so_is_its_end(fake_site: Site, tmp_path: Path) -> None:
    site = fake_site
    (tmp_path / "full").write_text("a file where the folder should be")
    site.settings(backup={"directory": str(tmp_path / "full")})
    site.once()
    due(site)
    site.once()  # it fails behind the pass
    assert abs(next_due(site) - time.time() - 3600) < 60
    assert "no backup was made" in site.once().err
    assert site.once().err == ""
    (row,) = site.rows("SELECT message FROM logs WHERE level = 'error' AND source = 'backup'")
    assert str(tmp_path / "full") in str(row["message"])

    (tmp_path / "full").unlink()
    due(site)
    site.once()
    assert "ended: no backup was made" in site.once().err
    assert site.once().err == ""
    assert len(os.listdir(tmp_path / "full")) == 1


@pytest.mark.case("sqlite 5.16")
def test_the_loop_passes_on_while_a_backup_is_made(fake_site: Site) -> None:
    site = fake_site
    site.profile("alpha")
    site.once()
    child = site.start("run")
    eventually(lambda: site.newest()["alpha"]["status"] == "running", "running")
    due(site)
    eventually(lambda: made(site), "a backup beside the loop")
    eventually(lambda: next_due(site) > time.time() + 80000, "the next is noted")
    due(site)
    eventually(lambda: len(made(site)) == 2, "another one")
    before = site.count("system_samples")
    eventually(lambda: site.count("system_samples") > before + 1, "passes go on")
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 0


def test_a_turn_that_another_backup_takes_is_no_failure(fake_site: Site) -> None:
    import fcntl

    fake_site.once()
    due(fake_site)
    with open(f"{fake_site.database}.backup.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fake_site.once()
    assert fake_site.once().err == ""
    assert made(fake_site) == []


def test_servers_that_a_restored_backup_does_not_know_are_taken_over(fake_site: Site) -> None:
    site = fake_site
    site.profile("alpha")
    site.settle("running")
    backup = site.run("db", "backup").out.strip()
    site.profile("beta")
    site.settle("running")
    before = site.live()
    assert set(before) == {"alpha", "beta"}

    assert site.run("db", "restore", backup, "--yes").rc == 0
    assert set(site.newest()) == {"alpha"}
    site.settle("running", "beta")
    assert site.live() == before
    assert {name: row["pid"] for name, row in site.newest().items()} == {k: v[0] for k, v in before.items()}


def test_restore_is_refused_under_a_loop(fake_site: Site) -> None:
    site = fake_site
    site.once()
    backup = site.run("db", "backup").out.strip()
    before = site.count("system_samples")
    child = site.start("run")
    eventually(lambda: site.count("system_samples") > before, "it passes")
    told = site.run("db", "restore", backup, "--yes")
    assert (told.rc, "a loop runs" in told.err) == (75, True), told
    child.send_signal(signal.SIGTERM)
    child.wait(30)
    assert json.loads(site.run("db", "info", "--json").out)["last_backup"]["path"] == backup
    assert site.run("db", "restore", backup, "--yes").rc == 0
