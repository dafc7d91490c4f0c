"""The power goes in the middle of passes, three hundred times: what was acknowledged is there."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, NamedTuple

import apsw
import pytest
from disk import Disk, after_power_cut, told_disk
from scratch_site import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from passer import Passer

    from llamaagent.reconcile.context import Context

CUTS = 300
CONTINUED = 10  # of them a pass goes on from
KEYS = {
    "decisions": "SELECT id, ts, profile, action, reason FROM decisions",
    "system_samples": "SELECT ts FROM system_samples",
    "instance_samples": "SELECT ts, instance_id FROM instance_samples",
    "generations": "SELECT id, instance_id, generated_tokens FROM generations",
    "logs": "SELECT id, ts, message FROM logs",
    "launches": "SELECT id, launch_id FROM instances WHERE launch_id IS NOT NULL",
    "pids": "SELECT id, pid FROM instances WHERE pid IS NOT NULL",
    "ends": "SELECT id, status, ended_ts FROM instances WHERE ended_ts IS NOT NULL",
}


class Promise(NamedTuple):
    """What somebody has been told is stored, after so many calls to the disk."""

    calls: int
    rows: dict[str, frozenset[tuple[object, ...]]]


def rows_of(db: apsw.Connection) -> dict[str, frozenset[tuple[object, ...]]]:
    return {what: frozenset(db.execute(sql).fetchall()) for what, sql in KEYS.items()}


def judge(files: dict[str, bytes], database: str, promise: Promise | None, folder: Path) -> None:
    """The database that a power cut left is whole and keeps its promise."""
    path = folder / "cut.db"
    for suffix in ("", "-wal", "-shm"):
        there = folder / f"cut.db{suffix}"
        there.unlink(missing_ok=True)
        if suffix != "-shm" and (database + suffix) in files:
            there.write_bytes(files[database + suffix])
    db = apsw.Connection(str(path))
    try:
        assert db.pragma("integrity_check") == "ok"
        if promise is not None:
            found = rows_of(db)
            lost = {what: rows - found[what] for what, rows in promise.rows.items() if rows - found[what]}
            assert not lost, lost
    finally:
        db.close()


@pytest.mark.case("sqlite 5.2")
def test_nothing_acknowledged_is_lost_by_a_power_cut_and_the_next_pass_goes_on(
    passer: Passer, tmp_path: Path
) -> None:
    """Cut at random calls; of what was not synced each call is kept or lost by lot."""
    site = passer.site
    for name in ("alpha", "beta"):
        site.profile(name)
    passer()  # makes the database, and its first servers
    before = {site.database: _content(site.database)}
    promises: list[Promise] = []
    disk = Disk()
    disk.remembers = True

    def promise(ctx: Context, _step: str) -> None:
        promises.append(Promise(len(disk.ops), rows_of(ctx.db)))

    def acknowledged() -> None:
        with told_disk(disk):
            passer(promise)
        db = apsw.Connection(site.database, flags=apsw.SQLITE_OPEN_READONLY)
        promises.append(Promise(len(disk.ops), rows_of(db)))
        db.close()

    eventually(lambda: acknowledged() or _all_run(passer), "both run", 30)
    site.profile("gamma")
    acknowledged()
    site.profile("beta", args={"threads": 2})
    eventually(lambda: acknowledged() or _all_run(passer), "all run", 30)
    site.profile("gamma", state="stopped")
    acknowledged()
    ops = disk.ops
    assert len(promises) > 8
    rng = random.Random(20261125)
    folder = tmp_path / "cuts"
    folder.mkdir()
    cuts = sorted(rng.randrange(1, len(ops) + 1) for _ in range(CUTS))
    for cut in cuts:
        kept = [p for p in promises if p.calls <= cut]
        judge(after_power_cut(before, ops, cut, rng), site.database, kept[-1] if kept else None, folder)
    # The main file alone is torn in the middle of a checkpoint; with its WAL it is whole.
    torn = [at + 1 for at, op in enumerate(ops) if op.kind == "write" and op.file == site.database]
    assert torn
    for cut in (*cuts[:: CUTS // CONTINUED], *rng.sample(torn, CONTINUED)):
        _go_on(passer, after_power_cut(before, ops, cut, rng))


def _content(path: str) -> bytes:
    """A file as it lies; no connection to it is open in this process."""
    with open(path, "rb") as file:
        return file.read()


def _all_run(passer: Passer) -> bool:
    rows = passer.site.newest().values()
    return all(row["status"] in {"running", "stopped"} for row in rows)


def _go_on(passer: Passer, files: dict[str, bytes]) -> None:
    """The machine is not gone, only its disk is of then: what lives keeps living, once each, and is written down."""
    site = passer.site
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(site.database + suffix):
            os.unlink(site.database + suffix)
        if suffix != "-shm" and (site.database + suffix) in files:
            with open(site.database + suffix, "wb") as file:
                file.write(files[site.database + suffix])
    lived = {name: pids for name, pids in site.live().items() if name == "alpha"}

    def as_declared() -> bool:
        passer()
        newest = site.newest()
        running = {name: [row["pid"]] for name, row in newest.items() if row["status"] == "running"}
        return running == site.live() and set(running) == {"alpha", "beta"}

    eventually(as_declared, "what is declared runs once, and is known", 30)
    assert site.live()["alpha"] == lived["alpha"]
