"""The database under other hands: read only, in a folder that cannot be written, and beside a reader who stays."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import apsw
import pytest
from scratch_site import PYTHON, eventually

if TYPE_CHECKING:
    from passer import Passer

NOBODY = 65534


def settle(passer: Passer, name: str = "alpha") -> None:
    def runs() -> bool:
        passer()
        return passer.site.newest()[name]["status"] == "running"

    eventually(runs, "running", 30)


# Root without the power to pass over modes: what any user is, for files that are somebody else's.
PLAIN = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", *PYTHON)


def plain(passer: Passer, *words: str) -> tuple[int, str, str]:
    """One command of somebody whom modes bind."""
    site = passer.site
    done = subprocess.run(
        [*PLAIN, *words], cwd=site.root, env=site.env, capture_output=True, timeout=60, check=False, text=True
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.case("sqlite 5.6")
@pytest.mark.root
@pytest.mark.parametrize("words", [("ps",), ("run", "--once"), ("stop", "alpha")])
def test_a_database_of_somebody_else_is_one_clear_line_and_changes_nothing(
    passer: Passer, words: tuple[str, ...]
) -> None:
    site = passer.site
    site.profile("alpha")
    settle(passer)
    before = site.count("audit_log"), site.newest()["alpha"]["pid"]
    folder = os.path.dirname(site.database)
    _give_away(folder, NOBODY)
    try:
        rc, out, err = plain(passer, *words)
    finally:
        _give_away(folder, 0)
    assert rc in {73, 74, 78}, err
    assert out == ""
    assert len(err.strip().splitlines()) <= 2, err
    assert site.database in err or folder in err
    assert (site.count("audit_log"), site.newest()["alpha"]["pid"]) == before


def _give_away(folder: str, uid: int) -> None:
    for name in (folder, *(os.path.join(folder, name) for name in os.listdir(folder))):
        os.chown(name, uid, uid)


@pytest.mark.case("sqlite 5.6")
@pytest.mark.root
def test_a_folder_that_cannot_be_written_names_the_setting_that_lets_others_read(passer: Passer) -> None:
    site = passer.site
    site.profile("alpha")
    settle(passer)
    pid = site.newest()["alpha"]["pid"]
    folder = os.path.dirname(site.database)
    os.chmod(site.database, 0o644)
    os.chmod(folder, 0o755)
    _give_away(folder, NOBODY)
    try:
        rc, out, err = plain(passer, "ps", "--json")
        assert (rc, out, "access: {read: GROUP}" in err) == (74, "", True), err
        rc, out, err = plain(passer, "run", "--once")
        assert (rc, out) == (74, ""), err
        assert len(err.strip().splitlines()) <= 2, err
    finally:
        _give_away(folder, 0)
        os.chmod(folder, 0o700)
        os.chmod(site.database, 0o600)
    assert site.live() == {"alpha": [pid]}


@pytest.mark.case("peers 5.28")
def test_a_writer_who_does_not_end_stops_no_reader_and_no_server(passer: Passer) -> None:
    site = passer.site
    site.profile("alpha")
    settle(passer)
    pid = site.newest()["alpha"]["pid"]
    db = apsw.Connection(site.database)
    db.execute("BEGIN IMMEDIATE")
    try:
        done = site.run("ps", "--json")
        assert (done.rc, str(pid) in done.out) == (0, True), done
        done = site.run("run", "--once", timeout_s=90)
        assert done.rc in {74, 75}, done
        assert len(done.err.strip().splitlines()) <= 2
    finally:
        db.execute("ROLLBACK")
        db.close()
    assert site.live() == {"alpha": [pid]}
    settle(passer)


@pytest.mark.case("sqlite 5.9")
def test_a_reader_who_stays_holds_nobody_up_and_the_log_ends_small(passer: Passer) -> None:
    site = passer.site
    site.profile("alpha")
    settle(passer)
    reader = apsw.Connection(site.database, flags=apsw.SQLITE_OPEN_READONLY)
    reader.execute("BEGIN").fetchall()
    first = reader.execute("SELECT count(*) FROM system_samples").get
    for _ in range(30):
        passer()
    assert reader.execute("SELECT count(*) FROM system_samples").get == first
    reader.execute("COMMIT")
    reader.close()
    passer()
    passer()
    wal = f"{site.database}-wal"
    assert not os.path.exists(wal) or os.path.getsize(wal) <= 16 * 1024 * 1024
    assert not os.path.exists(wal), "the last writer has left, and so has its WAL"


@pytest.mark.case("peers 5.23")
def test_of_two_quick_edits_the_last_one_wins_and_never_two_servers_run(passer: Passer) -> None:
    """The second edit comes while the first one's stop is still going on."""
    site = passer.site
    slow = {"env": {"FAKE_MODE": "slow-term:1.5"}}
    site.profile("alpha", runtime=slow, args={"threads": 1})
    settle(passer)
    site.profile("alpha", runtime=slow, args={"threads": 2})
    child = site.start("run", "--once")
    eventually(lambda: site.newest()["alpha"]["status"] == "stopping", "stopping")
    site.profile("alpha", runtime=slow, args={"threads": 3})

    def last_runs() -> bool:
        passer_done = site.run("run", "--once")
        assert passer_done.rc == 0, passer_done
        assert all(len(pids) == 1 for pids in site.live().values())
        row = site.newest()["alpha"]
        return row["status"] == "running" and '"--threads", "3"' in str(row["argv"])

    eventually(last_runs, "the last revision runs", 40)
    child.communicate(timeout=30)
    assert len(site.live()["alpha"]) == 1
