"""Salvaging: every row that can be read comes out, and what does not is said; whichever page is hit."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import apsw
import pytest
from damage import KINDS, Rows, attempt, build, hurt
from filled import content, fill

from llamaagent.base.errors import CannotCreateError, ConfigError, StorageError
from llamaagent.store import open_database
from llamaagent.store.pages import TABLE_INTERIOR, Pages
from llamaagent.store.salvage import salvage
from llamaagent.store.upgrade import VERSION

if TYPE_CHECKING:
    from pathlib import Path

FROZEN = os.path.join(os.path.dirname(__file__), "..", "fixtures", "schema_v1.sql")


class Origin:
    """A sound file, its rows, and what each of its pages is."""

    def __init__(self, path: Path, rows: int, large: dict[str, int]) -> None:
        self.kept: Rows = build(path, rows, large)
        self.data = path.read_bytes()
        with Pages(str(path)) as pages:
            self.schema = pages.walk(1).pages
            self.kinds = {n: (pages.kind(n), pages.cells(n)) for n in range(1, pages.count + 1)}

    def rows_on(self, page: int) -> int:
        """At most how many rows are gone with this page."""
        kind, cells = self.kinds[page]
        if page in self.schema or kind == TABLE_INTERIOR:
            return 0
        return cells if kind is not None else 1  # one row overflows to it, or none


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    path = tmp_path_factory.mktemp("origin") / "a.db"
    return Origin(path, 12, {"logs": 600, "instance_samples": 1500, "system_samples": 300})


def pages_to_hit(origin: Origin) -> list[int]:
    """Of each kind of page some, the first and the last among them."""
    rng = random.Random(7)
    inner = [n for n, (kind, _) in origin.kinds.items() if kind in {2, 5}]
    plain = [n for n in origin.kinds if n not in origin.schema and n not in inner]
    return [
        1,
        *rng.sample(sorted(origin.schema - {1}), 4),
        *inner[:6],
        *rng.sample(plain, 8),
        max(origin.kinds),
    ]


@pytest.mark.case("sqlite 5.7")
def test_only_rows_of_the_damaged_page_are_lost_whichever_it_is(origin: Origin, tmp_path: Path) -> None:
    rng = random.Random(3)
    for number, page in enumerate(pages_to_hit(origin)):
        found = attempt(origin.data, origin.kept, tmp_path, ("garbage", "zeros")[number % 2], rng, page)
        cleared = found.found.cleared
        # A row that pointed to a lost one came out too, with nothing to point to.
        assert found.present - found.saved <= origin.rows_on(page) + cleared, found
        assert found.changed <= cleared, found
        assert found.unsaid == ()


@pytest.mark.case("sqlite 5.7")
def test_random_damages_of_every_kind(origin: Origin, tmp_path: Path) -> None:
    rng = random.Random(11)
    outcomes = [attempt(origin.data, origin.kept, tmp_path, kind, rng) for kind in KINDS for _ in range(4)]
    some = [one for one in outcomes if one.kind != "cut"]
    saved, present = sum(one.saved for one in some), sum(one.present for one in some)
    print(f"{saved} of {present} rows saved")
    assert saved / present > 0.97
    assert [one.unsaid for one in outcomes if one.unsaid] == []


@pytest.mark.case("sqlite 5.7")
@pytest.mark.parametrize("kind", [13, 10])
def test_a_damaged_key_that_looks_like_the_end_of_the_table_is_not_taken_for_it(
    origin: Origin, tmp_path: Path, kind: int
) -> None:
    """A key made of garbage may be beyond all others: reading up to the last would then stop in the middle."""
    leaves = [
        n for n, (of, cells) in origin.kinds.items() if of == kind and cells > 10 and n not in origin.schema
    ]
    page = leaves[len(leaves) // 2]
    for number in range(8):
        work = tmp_path / str(number)
        work.mkdir()
        place = ((page - 1) * 4096 + 512 * number, random.Random(number).randbytes(512))
        found = attempt(origin.data, origin.kept, work, place, random.Random(1), page)
        assert found.present - found.saved <= origin.rows_on(page) + found.found.cleared
        assert found.unsaid == ()


def test_a_sound_one_comes_out_whole_and_nothing_is_said_to_be_lost(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(origin.data)
    found = salvage(str(tmp_path / "a.db"), str(tmp_path / "out.db"))
    assert {(one.lost, one.refused, one.pages, one.gaps) for one in found.tables} == {(0, 0, 0, ())}
    assert (found.stand_ins, found.cleared, found.header_lost) == ({}, 0, False)
    assert stat.S_IMODE(os.stat(tmp_path / "out.db").st_mode) == 0o600
    first, second = apsw.Connection(str(tmp_path / "a.db")), apsw.Connection(str(tmp_path / "out.db"))
    before, after = content(first), content(second)
    assert {row[:2] for row in before.pop("metadata")} == {row[:2] for row in after.pop("metadata")}
    assert before == after
    first.close()
    second.close()


def test_rows_that_only_the_wal_has_come_out(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "live.db").write_bytes(origin.data)
    db = open_database(str(tmp_path / "live.db"))
    db.execute("UPDATE logs SET message = 'from the WAL' WHERE id <= 500")
    shutil.copyfile(tmp_path / "live.db", tmp_path / "a.db")
    shutil.copyfile(tmp_path / "live.db-wal", tmp_path / "a.db-wal")
    db.close()
    with open(tmp_path / "a.db-wal", "ab") as file:  # a frame that was being written
        file.write(os.urandom(2000))
    salvage(str(tmp_path / "a.db"), str(tmp_path / "out.db"))
    out = apsw.Connection(str(tmp_path / "out.db"))
    assert out.execute("SELECT count(*) FROM logs WHERE message = 'from the WAL'").get == 500
    out.close()


def test_what_is_lost_is_counted_by_an_index_and_named_by_keys(origin: Origin, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(origin.data)
    with Pages(str(path)) as pages:
        db = apsw.Connection(str(path))
        root = int(db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'logs'").get)
        db.close()
        leaf = pages.children(root)[2]
        cells = pages.cells(leaf)
    hurt(path, "garbage", random.Random(1), leaf)
    found = salvage(str(path), str(tmp_path / "out.db"))
    (logs,) = [one for one in found.tables if one.table == "logs"]
    assert (logs.rows, logs.lost, logs.pages) == (600 - cells, cells, 1)
    (gap,) = logs.gaps
    assert gap.after is not None
    assert gap.before is not None
    out = apsw.Connection(str(tmp_path / "out.db"))
    ids = {int(row[0]) for row in out.execute("SELECT id FROM logs")}
    out.close()
    missing = sorted(set(range(1, 601)) - ids)
    assert (gap.after, gap.before) == ((missing[0] - 1,), (missing[-1] + 1,))


def test_deleted_rows_stay_deleted(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    build(path, 10, {"logs": 2000})
    db = open_database(str(path))
    db.execute("DELETE FROM logs WHERE id < 1500")
    root = int(db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'logs'").get)
    db.close()
    hurt(path, "garbage", random.Random(1), root)
    salvage(str(path), str(tmp_path / "out.db"))
    out = apsw.Connection(str(tmp_path / "out.db"))
    assert out.execute("SELECT min(id), count(*) FROM logs").fetchone() == (1500, 501)
    out.close()


def test_one_of_version_one_comes_out_as_todays(tmp_path: Path) -> None:
    old = apsw.Connection(str(tmp_path / "old.db"))
    with open(FROZEN, encoding="utf-8") as file:
        old.execute(file.read())
    old.pragma("application_id", 0x4C4C4147)
    old.pragma("user_version", 1)
    fill(old, 15)
    before = content(old)
    old.close()
    found = salvage(str(tmp_path / "old.db"), str(tmp_path / "out.db"))
    assert not any(one.missing or one.lost for one in found.tables)
    new = open_database(str(tmp_path / "out.db"))
    assert new.pragma("user_version") == VERSION
    after = content(new)
    new.close()
    counts = {name: len(rows) for name, rows in before.items() if name not in {"metadata", "schema_version"}}
    assert {name: len(after[name]) for name in counts} == counts


def test_what_is_not_touched(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(origin.data)
    (tmp_path / "there.db").write_text("mine")
    with pytest.raises(CannotCreateError):
        salvage(str(tmp_path / "a.db"), str(tmp_path / "there.db"))
    (tmp_path / "empty.db").touch()
    with pytest.raises(StorageError, match="nothing is left"):
        salvage(str(tmp_path / "empty.db"), str(tmp_path / "out.db"))
    with pytest.raises(StorageError):
        salvage(str(tmp_path / "none.db"), str(tmp_path / "out.db"))
    (tmp_path / "newer.db").write_bytes(origin.data)
    db = apsw.Connection(str(tmp_path / "newer.db"))
    db.pragma("user_version", VERSION + 1)
    db.close()
    strange = apsw.Connection(str(tmp_path / "strange.db"))
    strange.execute("PRAGMA application_id = 7; CREATE TABLE a (b)")
    strange.close()
    for name, words in (("newer.db", "knows"), ("strange.db", "another program")):
        with pytest.raises(ConfigError, match=words):
            salvage(str(tmp_path / name), str(tmp_path / "out.db"))
    assert (tmp_path / "there.db").read_text() == "mine"
    assert not [name for name in os.listdir(tmp_path) if name.startswith("out")]


@pytest.mark.parametrize("kind", ["nothing but garbage", "nothing but zeros", "text"])
def test_a_file_of_which_nothing_is_left_gives_an_empty_database(tmp_path: Path, kind: str) -> None:
    data = {"text": b"not a database\n" * 5000, "nothing but zeros": bytes(400_000)}.get(
        kind, os.urandom(400_000)
    )
    (tmp_path / "a.db").write_bytes(data)
    found = salvage(str(tmp_path / "a.db"), str(tmp_path / "out.db"))
    assert found.header_lost
    assert sum(one.rows for one in found.tables) == 0
    assert any(one.missing for one in found.tables)


@pytest.mark.parametrize("place", [16, 20, 28, 44, 56, 60, 68])
def test_a_damaged_number_in_the_header_costs_nothing(origin: Origin, tmp_path: Path, place: int) -> None:
    """Page size, reserved bytes, number of pages, format, encoding, version, application id."""
    data = b"\x04\x00" if place == 16 else b"\x7f\x13\x55\x99"
    found = attempt(origin.data, origin.kept, tmp_path, (place, data), random.Random(1))
    assert (found.saved, found.changed, found.unsaid) == (found.present, 0, ())


def test_there_and_back_by_the_command_line(origin: Origin, tmp_path: Path) -> None:
    env = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "COLUMNS": "200",
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-P", "-m", "llamaagent", *words, "--db", "a.db"]
        return subprocess.run(
            argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False
        )

    (tmp_path / "a.db").write_bytes(origin.data)
    leaf = next(
        n for n, (kind, cells) in origin.kinds.items() if kind == 13 and cells > 20 and n not in origin.schema
    )
    hurt(tmp_path / "a.db", "garbage", random.Random(1), leaf)
    assert run("db", "check").returncode == 1
    done = run("db", "salvage", "out.db", "--json")
    assert done.returncode == 1, done.stderr
    assert "next: llamaagent db restore" in done.stderr
    rows = {row["table"]: row for row in json.loads(done.stdout)}
    (hit,) = [row for row in rows.values() if row["state"] == "damaged"]
    assert hit["between"]
    assert run("db", "restore", "out.db", "--yes").returncode == 0
    assert run("db", "check").returncode == 0
    assert run("db", "salvage", "again.db").returncode == 0
