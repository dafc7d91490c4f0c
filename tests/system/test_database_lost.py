"""The database is deleted, or an old backup of it restored, under live servers: rows come back, servers stay."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import apsw
import pytest
from scratch_site import complete, eventually, kill

if TYPE_CHECKING:
    from scratch_site import Site

pytestmark = pytest.mark.binary
PLAIN = {"health": {"probe": "health"}}  # which requests were our own is lost with the database


def lose(site: Site) -> None:
    """Remove the database with all that SQLite keeps beside it; the locks stay."""
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(site.database + suffix):
            os.unlink(site.database + suffix)


def restore(site: Site, backup: str) -> None:
    lose(site)
    with open(backup, "rb") as old, open(site.database, "wb") as new:
        new.write(old.read())
    os.chmod(site.database, 0o600)


def back_up(site: Site) -> str:
    """A copy made by SQLite's online backup, as any tool would."""
    path = str(site.root / "backup.db")
    source, target = apsw.Connection(site.database), apsw.Connection(path)
    with target.backup("main", source, "main") as job:
        job.step()
    source.close()
    target.close()
    return path


def requests_of(site: Site, profile: str) -> int:
    return int(str(site.one("SELECT count(*) AS n FROM generations WHERE profile = ?", profile)["n"]))


def check_requests(site: Site, **expected: int) -> None:
    def all_there() -> bool:
        site.once("-q")
        return all(requests_of(site, name) >= n for name, n in expected.items())

    eventually(all_there, f"requests {expected}")
    site.once("-q")
    assert {name: requests_of(site, name) for name in expected} == expected


def test_deleted_database_the_rows_are_written_again(site: Site) -> None:
    site.profile("alpha", **PLAIN)
    site.profile("beta", **PLAIN)
    old = site.settle()
    for n in range(3):
        complete(old["alpha"]["port"], f"hello {n}", 5)
    check_requests(site, alpha=3, beta=0)
    complete(old["beta"]["port"], "not seen by any pass yet", 5)
    pids = site.live()
    lose(site)
    new = site.settle()
    assert site.live() == pids
    assert {name: [row["pid"]] for name, row in new.items()} == pids
    for column in (
        "launch_id",
        "launch_hash",
        "port",
        "host",
        "log_path",
        "wrapper_pid",
        "start_ticks",
        "argv",
    ):
        assert {n: r[column] for n, r in new.items()} == {n: r[column] for n, r in old.items()}, column
    assert site.decisions("alpha") == [("adopt", "adopted"), ("ready", "healthy")]
    assert site.count("instances") == 2
    check_requests(site, alpha=3, beta=1)


def test_adopted_servers_are_no_strangers_afterwards(site: Site) -> None:
    site.profile("alpha", **PLAIN | {"restart": {"backoff": "1m"}})  # long enough to be seen down
    site.settle()
    lose(site)
    row = site.settle()["alpha"]
    before = site.count("decisions")
    site.once()
    assert site.count("decisions") == before
    kill(int(str(row["pid"])))
    ended = site.settle("error")["alpha"]
    assert (ended["id"], ended["exit_signal"], ended["reason"]) == (row["id"], 9, "crash")


def test_an_old_backup_knows_one_server_and_learns_of_the_other(site: Site) -> None:
    site.profile("alpha", **PLAIN)
    alpha = site.settle()["alpha"]
    complete(alpha["port"], "one", 5)
    check_requests(site, alpha=1)
    backup = back_up(site)
    complete(alpha["port"], "two", 5)
    site.profile("beta", **PLAIN)
    beta = site.settle()["beta"]
    complete(beta["port"], "three", 5)
    check_requests(site, alpha=2, beta=1)
    pids = site.live()
    restore(site, backup)
    rows = site.settle()
    assert site.live() == pids
    assert (rows["alpha"]["id"], rows["alpha"]["pid"]) == (alpha["id"], alpha["pid"])
    assert rows["beta"]["pid"] == beta["pid"]
    assert ("adopt", "adopted") in site.decisions("beta")
    check_requests(site, alpha=2, beta=1)


def test_an_old_backup_names_a_server_that_was_replaced_since(site: Site) -> None:
    site.profile("alpha", **PLAIN)
    site.profile("beta", **PLAIN)
    first = site.settle()
    complete(first["alpha"]["port"], "one", 5)
    check_requests(site, alpha=1)
    backup = back_up(site)
    complete(first["alpha"]["port"], "two", 5)
    assert site.run("restart", "alpha").rc == 0
    second = site.settle()
    assert second["alpha"]["pid"] != first["alpha"]["pid"]
    complete(second["alpha"]["port"], "three", 5)
    check_requests(site, alpha=3)
    pids = site.live()
    restore(site, backup)
    rows = site.settle()
    assert site.live() == pids
    assert rows["alpha"]["pid"] == second["alpha"]["pid"]
    assert rows["beta"]["id"] == first["beta"]["id"]
    old = site.one("SELECT * FROM instances WHERE id = ?", first["alpha"]["id"])
    assert old["ended_ts"] is not None
    assert ("adopt", "adopted") in site.decisions("alpha")
    check_requests(site, alpha=3)


def test_a_server_whose_profile_is_gone_too_is_adopted_and_then_retired(site: Site) -> None:
    alpha = site.profile("alpha", **PLAIN)
    site.profile("beta", **PLAIN)
    site.settle()
    lose(site)
    alpha.unlink()
    site.once()
    eventually(lambda: site.once("-q") and "alpha" not in site.live(), "alpha stopped")
    assert list(site.live()) == ["beta"]
