"""A real database with rows in every table, damaged at random, salvaged, and compared row by row with what it was."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import apsw
from filled import Rows, content, fill

from llamaagent.store import open_database
from llamaagent.store.salvage import salvage

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from llamaagent.store.salvage import Salvage

PAGE = 4096
KINDS = ("garbage", "zeros", "sector", "bytes", "cut")
LARGE = {
    "logs": 4000,
    "system_samples": 3000,
    "instance_samples": 6000,
    "generations": 2000,
    "decisions": 1500,
}


class Outcome(NamedTuple):
    """Of one damage.

    changed: rows that came out other than they went in, because their own bytes were hit. unsaid: tables that came out
    with fewer rows and were called whole.
    """

    kind: str
    page: int
    present: int
    saved: int
    changed: int
    unsaid: tuple[str, ...]
    found: Salvage


def build(path: Path, rows: int = 30, large: dict[str, int] | None = None) -> Rows:
    """Make the database and return what is in it."""
    db = open_database(str(path))
    fill(db, rows, LARGE if large is None else large)
    kept = content(db)
    db.close()
    return kept


def hurt(path: Path, kind: str, rng: random.Random, page: int | None = None) -> int:
    """Damage a page, given or at random, and return which."""
    pages = os.path.getsize(path) // PAGE
    page = rng.randrange(1, pages + 1) if page is None else page
    start = (page - 1) * PAGE
    if kind == "cut":
        os.truncate(path, start)
        return page
    with open(path, "r+b") as file:
        for offset, data in _pieces(kind, rng):
            file.seek(start + offset)
            file.write(data)
    return page


def _pieces(kind: str, rng: random.Random) -> list[tuple[int, bytes]]:
    if kind == "garbage":
        return [(0, rng.randbytes(PAGE))]
    if kind == "zeros":
        return [(0, bytes(PAGE))]
    if kind == "sector":
        return [(512 * rng.randrange(PAGE // 512), rng.randbytes(512))]
    return [(rng.randrange(PAGE), rng.randbytes(1)) for _ in range(8)]


def attempt(
    origin: bytes,
    kept: Rows,
    folder: Path,
    kind: str | tuple[int, bytes],
    rng: random.Random,
    page: int | None = None,
) -> Outcome:
    """Damage a copy, salvage it, compare. kind: one of KINDS, or bytes and where in the file they go."""
    hurt_path, out = folder / "hurt.db", folder / "out.db"
    hurt_path.write_bytes(origin)
    if isinstance(kind, str):
        page = hurt(hurt_path, kind, rng, page)
    else:
        hurt_path.write_bytes(origin[: kind[0]] + kind[1] + origin[kind[0] + len(kind[1]) :])
        kind, page = "given", page or 0
    before = hurt_path.read_bytes()
    found = salvage(str(hurt_path), str(out))
    assert hurt_path.read_bytes() == before
    assert sorted(os.listdir(folder)) == ["hurt.db", "out.db"]
    db = apsw.Connection(str(out))
    try:
        assert db.pragma("integrity_check") == "ok"
        assert db.pragma("foreign_key_check") is None
        now = content(db)
    finally:
        db.close()
        os.unlink(out)
    skipped = {"schema_version", "metadata"}  # the new file has rows of its own there
    saved = sum(len(kept[name] & now[name]) for name in kept if name not in skipped)
    changed = sum(len(now[name] - kept[name]) for name in kept if name not in skipped)
    changed -= sum(found.stand_ins.values())
    present = sum(len(rows) for name, rows in kept.items() if name not in skipped)
    unsaid = tuple(
        one.table
        for one in found.tables
        if one.lost == 0
        and not one.missing
        and one.table not in skipped
        and len(now[one.table]) < len(kept[one.table])
    )
    return Outcome(kind, page, present, saved, changed, unsaid, found)
