"""Another program's database is read as it lies, whatever its owner does, and a hostile one gets a clear answer."""

import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from llamaagent.base.errors import BadInputError
from llamaagent.store.foreign import LARGEST_BYTES, open_foreign

CRASHED_OWNER = """
import apsw, os, sys
db = apsw.Connection(sys.argv[1])
db.pragma("journal_mode", "wal")
db.execute("CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)")
os._exit(9)
"""


def state(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in os.listdir(folder)}


def numbers(path: Path) -> list[object]:
    with open_foreign(str(path)) as source:
        return [row["x"] for row in source.rows("t")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "their s?#%").mkdir()
    return tmp_path / "their s?#%" / "a.db"


def filled(path: Path, journal: str = "delete") -> apsw.Connection:
    db = apsw.Connection(str(path))
    db.pragma("journal_mode", journal)
    db.execute("CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)")
    return db


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_closed_database_is_read_and_nothing_appears_beside_it(path: Path, journal: str) -> None:
    filled(path, journal).close()
    before = state(path.parent)
    assert numbers(path) == [1, 2]
    assert state(path.parent) == before
    assert list(before) == ["a.db"]


def test_what_only_the_wal_of_a_living_owner_holds_is_read(path: Path) -> None:
    owner = filled(path, "wal")
    before = path.read_bytes()
    assert numbers(path) == [1, 2]
    with open_foreign(str(path)) as source:
        rows = source.rows("t")
        next(rows)
        owner.execute("INSERT INTO t VALUES (3)")  # it is not held up, and we read on as it was
        assert [row["x"] for row in rows] == [2]
    assert path.read_bytes() == before
    owner.close()


@pytest.mark.parametrize("index", [True, False], ids=["with its index", "a copy of file and WAL"])
def test_what_an_owner_that_was_killed_left_behind_is_read(path: Path, index: bool) -> None:
    subprocess.run([sys.executable, "-c", CRASHED_OWNER, str(path)], check=False)
    if not index:
        os.unlink(f"{path}-shm")
    before = {name: data for name, data in state(path.parent).items() if not name.endswith("-shm")}
    assert numbers(path) == [1, 2]
    after = {name: data for name, data in state(path.parent).items() if not name.endswith("-shm")}
    assert after == before


def test_a_database_that_its_owner_has_locked_is_refused(path: Path) -> None:
    owner = filled(path)
    owner.execute("BEGIN EXCLUSIVE")
    with pytest.raises(BadInputError, match="is locked by its owner"):
        numbers(path)
    owner.close()


def test_a_change_that_was_left_half_done_is_not_undone_by_us(path: Path) -> None:
    owner = filled(path)
    owner.execute("PRAGMA cache_size = 1; BEGIN; CREATE TABLE big (x); PRAGMA cache_spill = 1")
    for _ in range(200):
        owner.execute("INSERT INTO big VALUES (randomblob(2000))")
    for name in ("a.db", "a.db-journal"):
        (path.parent / f"copy-{name}").write_bytes((path.parent / name).read_bytes())
    owner.close()
    copy = path.parent / "copy-a.db"
    before = state(path.parent)
    with pytest.raises(BadInputError, match="was interrupted in the middle of a change"):
        numbers(copy)
    assert state(path.parent) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"GGUF" + bytes(100), "is no SQLite database"),
        (b"SQLite format 3\0" + b"\xff" * 4096, "is damaged|cannot be read"),
        (b"SQLite format 3\0", "is damaged|cannot be read"),
    ],
    ids=["empty", "a model", "garbage behind the head", "the head alone"],
)
def test_what_is_no_database_is_refused(path: Path, content: bytes, words: str) -> None:
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=words):
        numbers(path)
    assert path.read_bytes() == content


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(BadInputError, match=r"is not a file|no such file"):
            numbers(place)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInputError, match="is not a file"):
        numbers(tmp_path / "pipe")


def test_damage_is_found_before_anything_is_read(path: Path) -> None:
    db = filled(path)
    db.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) INSERT INTO t SELECT i FROM n"
    )
    db.close()
    data = bytearray(path.read_bytes())
    data[4096 * 4 : 4096 * 5] = b"\xa5" * 4096
    path.write_bytes(data)
    with pytest.raises(BadInputError, match="is damaged"):
        numbers(path)


def test_a_file_beyond_all_measure_is_refused_before_it_is_read(path: Path) -> None:
    filled(path).close()
    os.truncate(path, LARGEST_BYTES + 1)  # a hole: it takes no space
    with pytest.raises(BadInputError, match="16 GiB are not imported"):
        numbers(path)


def test_only_tables_and_stored_columns_are_looked_at(path: Path) -> None:
    db = apsw.Connection(str(path))
    db.execute(
        "CREATE TABLE t (x, y AS (printf('%*c', 900000000, 'x')));"
        "CREATE VIEW models AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n;"
        "CREATE VIRTUAL TABLE logs USING fts5 (message);"
        'CREATE TABLE "odd "" name; --" ("a "" column" TEXT); INSERT INTO "odd "" name; --" VALUES (5)'
    )
    db.execute("INSERT INTO t (x) VALUES (1)")
    db.close()
    with open_foreign(str(path)) as source:
        assert "models" not in source.tables
        assert "logs" not in source.tables
        assert source.tables["t"] == ("x",)
        assert list(source.rows('odd " name; --')) == [{'a " column': "5"}]


def test_a_value_too_long_and_text_that_is_none_are_told(path: Path) -> None:
    db = apsw.Connection(str(path))
    db.execute("CREATE TABLE t (x); INSERT INTO t VALUES (CAST(x'ff41' AS TEXT))")
    with pytest.raises(BadInputError, match="not UTF-8"):
        numbers(path)
    db.execute("UPDATE t SET x = zeroblob(70000000)")
    db.close()
    with pytest.raises(BadInputError, match="more than 64 MiB"):
        numbers(path)
