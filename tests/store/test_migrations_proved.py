"""Migrations over a database with rows in every table: the real one, and two made-up ones that come after it.

Interrupted at every single thing that they do to the disk, they are of one version with all their rows, go on when
tried again, and end as a fresh database with the same content; the copy from before is there from the first change on.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

import apsw
import pytest
from filled import columns, content, fill, tables
from interruption import DONE, HOW, KILLED, NEVER, TOLD, attempt, moments

from llamaagent import sql
from llamaagent.cli.main import entry
from llamaagent.store import open_database
from llamaagent.store.upgrade import VERSION, Step, migrate, version_of

if TYPE_CHECKING:
    from pathlib import Path

    from filled import Rows

FROZEN = os.path.join(os.path.dirname(__file__), "..", "fixtures", "schema_v1.sql")
OURS = 0x4C4C4147
GROWN = {"schema_version", "metadata"}  # what a migration itself adds to

# A column is added and filled from another table; then a table is rebuilt, with what others point to, and a part of
# its data moves to a table of its own.
ADDED = Step(
    VERSION + 1,
    "added",
    """
    ALTER TABLE instances ADD COLUMN owner TEXT;
    UPDATE instances SET owner = (SELECT username FROM users WHERE users.id = instances.user_id);
    """,
)
REBUILT = Step(
    VERSION + 2,
    "rebuilt",
    """
    CREATE TABLE user_mails (
        user_id INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
        address TEXT NOT NULL
    ) STRICT;
    INSERT INTO user_mails (user_id, address) SELECT id, email FROM users WHERE email IS NOT NULL;
    CREATE TABLE users_new (
        id INTEGER PRIMARY KEY,
        username TEXT NOT NULL UNIQUE,
        first_seen_ts INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    INSERT INTO users_new (id, username, first_seen_ts) SELECT id, username, coalesce(first_seen_ts, 0) FROM users;
    DROP TABLE users;
    ALTER TABLE users_new RENAME TO users;
    """,
)
STEPS = [ADDED, REBUILT]


def version_one(path: Path, rows: int) -> Rows:
    """A database as version 1 made and filled it."""
    db = apsw.Connection(str(path))
    db.pragma("journal_mode", "WAL")
    with open(FROZEN, encoding="utf-8") as file:
        db.execute(file.read())
    db.execute("CREATE VIEW v_of_version_one AS SELECT * FROM instances")
    db.pragma("application_id", OURS)
    db.pragma("user_version", 1)
    fill(db, rows)
    kept = content(db)
    db.close()
    return kept


def definitions(db: apsw.Connection) -> dict[str, str]:
    """Every table, index, trigger and view without white space and comments."""
    rows = db.execute(
        "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*'"
    )
    return {str(name): re.sub(r'\s+|"', "", re.sub(r"--[^\n]*", "", str(text))) for name, text in rows}


def same_rows(db: apsw.Connection, kept: Rows, shape: dict[str, list[str]]) -> None:
    """Every row is there, in the columns that it had."""
    now = content(db, shape)
    for name, rows in kept.items():
        assert now[name] >= rows if name in GROWN else now[name] == rows, name


def shape_of(path: Path) -> dict[str, list[str]]:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {name: columns(db, name) for name in tables(db)}
    finally:
        db.close()


@pytest.mark.case("sqlite 5.15")
@pytest.mark.case("sqlite 5.18")
def test_version_one_with_rows_in_every_table_becomes_todays(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    kept = version_one(path, 40)
    shape = shape_of(path)
    assert all(len(kept[name]) >= 1 for name in shape if name not in GROWN)

    db = open_database(str(path))
    fresh = open_database(str(tmp_path / "fresh.db"))
    assert version_of(db) == VERSION
    assert definitions(db) == definitions(fresh)
    same_rows(db, kept, shape)
    assert db.pragma("integrity_check") == "ok"
    assert db.pragma("foreign_key_check") is None
    names = [str(name) for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")]
    assert len(names) > 10
    for name in names:
        db.execute(f'SELECT * FROM "{name}" LIMIT 5').fetchall()
    db.close()
    fresh.close()
    before = open_frozen_copy(tmp_path / "a.db.pre-v1.bak")
    assert before == kept


def open_frozen_copy(path: Path) -> Rows:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        assert version_of(db) == 1
        assert db.pragma("integrity_check") == "ok"
        return content(db)
    finally:
        db.close()


def test_the_program_of_today_works_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DATA", "STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("HOME", str(tmp_path))
    site = tmp_path / "site"
    (site / "profiles").mkdir(parents=True)
    (site / "llamaagent.yaml").write_text("reports: {every: never}\ndatabase: a.db\n")
    monkeypatch.chdir(site)
    version_one(site / "a.db", 12)
    os.chmod(site / "a.db", 0o600)
    db = apsw.Connection(str(site / "a.db"))
    db.execute("UPDATE instances SET status = 'deleted', pid = NULL")
    db.execute("DELETE FROM metadata")
    db.close()

    assert entry(["ps"]) == 78  # reading changes nothing, and says what does
    assert "llamaagent db migrate" in capsys.readouterr().err
    assert entry(["db", "migrate"]) == 0
    assert "migrated from version 1" in capsys.readouterr().out
    assert entry(["run", "--once", "--yes"]) == 0
    for words in (
        ["ps", "-a"],
        ["history"],
        ["events"],
        ["why"],
        ["stats"],
        ["gpus"],
        ["db", "info"],
        ["db", "check"],
    ):
        assert entry([*words, "--json"]) == 0, words
    assert len(capsys.readouterr().out) > 1000


@pytest.mark.case("sqlite 5.15")
@pytest.mark.parametrize("how", HOW)
def test_the_real_migration_interrupted_anywhere(tmp_path: Path, how: str) -> None:
    origin = tmp_path / "origin.db"
    kept = version_one(origin, 3)
    shape = shape_of(origin)
    data = origin.read_bytes()
    folder = tmp_path / "live"
    path = folder / "a.db"
    folder.mkdir()

    def upgrade() -> None:
        open_database(str(path)).close()

    versions = set()
    path.write_bytes(data)
    code, count = attempt(tmp_path, NEVER, how, upgrade)
    assert code == DONE
    for number in moments(count, 30):
        for one in folder.iterdir():
            one.unlink()
        path.write_bytes(data)
        assert attempt(tmp_path, number, how, upgrade)[0] in {DONE, TOLD, KILLED}
        versions.add(check(path, kept, shape, {1: "tables", VERSION: "log_tails"}))
        upgrade()
        assert check(path, kept, shape, {VERSION: "log_tails"}) == VERSION
        assert open_frozen_copy(folder / "a.db.pre-v1.bak") == kept
    assert versions == {1, VERSION}


def check(path: Path, kept: Rows, shape: dict[str, list[str]], allowed: dict[int, str]) -> int:
    """Whole, with all rows, of a version that the tables agree with; gives it."""
    db = apsw.Connection(str(path))
    try:
        assert db.pragma("integrity_check") == "ok"
        version = version_of(db)
        assert version in allowed
        assert (version == VERSION) == ("log_tails" in tables(db))
        same_rows(db, kept, shape)
        return version
    finally:
        db.close()


def after(path: Path) -> tuple[dict[str, str], Rows]:
    db = apsw.Connection(str(path))
    try:
        assert db.pragma("integrity_check") == "ok"
        assert db.pragma("foreign_key_check") is None
        return definitions(db), {k: v for k, v in content(db).items() if k not in GROWN}
    finally:
        db.close()


def made_up(path: Path) -> None:
    db = writer(path)
    try:
        migrate(db, str(path), STEPS)
    finally:
        db.close()


def writer(path: Path) -> apsw.Connection:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    db.transaction_mode = "IMMEDIATE"
    db.pragma("synchronous", "FULL")
    return db


def version_at(path: Path) -> int:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return version_of(db)
    finally:
        db.close()


def fresh_of_the_end(path: Path, kept: Rows, shape: dict[str, list[str]]) -> None:
    """A database made at once as the last step leaves it, and filled with the same content."""
    text = sql.ddl("schema.sql")
    users = text[text.index("CREATE TABLE users (") :]
    users = users[: users.index(") STRICT;") + len(") STRICT;")]
    new_users = REBUILT.text[REBUILT.text.index("CREATE TABLE users_new") :]
    new_users = new_users[: new_users.index(") STRICT;") + len(") STRICT;")].replace("users_new", "users")
    mails = REBUILT.text[: REBUILT.text.index(") STRICT;") + len(") STRICT;")]
    db = apsw.Connection(str(path))
    db.execute(text.replace(users, new_users + mails))
    db.execute("ALTER TABLE instances ADD COLUMN owner TEXT")
    db.execute(sql.ddl("views.sql"))
    db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    names = {row[0]: row[1] for row in content_rows(kept, shape, "users", "id", "username")}
    for table, rows in kept.items():
        for row in rows if table not in GROWN else ():
            given = dict(zip(shape[table], row, strict=True))
            if table == "instances":
                given["owner"] = names.get(given["user_id"])
            if table == "users":
                db.execute("INSERT INTO user_mails VALUES (?, ?)", (given["id"], given["email"]))
                given = {k: given[k] for k in ("id", "username", "first_seen_ts")}
            marks = ", ".join("?" * len(given))
            quoted = ", ".join(f'"{name}"' for name in given)
            db.execute(f'INSERT INTO "{table}" ({quoted}) VALUES ({marks})', tuple(given.values()))
    db.close()


def content_rows(
    kept: Rows, shape: dict[str, list[str]], table: str, *names: str
) -> list[tuple[object, ...]]:
    return [tuple(row[shape[table].index(name)] for name in names) for row in kept[table]]


@pytest.mark.case("sqlite 5.15")
@pytest.mark.case("sqlite 5.18")
@pytest.mark.parametrize("how", HOW)
def test_two_steps_interrupted_anywhere_end_as_a_fresh_database(tmp_path: Path, how: str) -> None:
    origin = tmp_path / "origin.db"
    db = open_database(str(origin))
    fill(db, 3)
    kept = content(db)
    shape = {name: columns(db, name) for name in tables(db)}
    db.close()
    data = origin.read_bytes()
    fresh_of_the_end(tmp_path / "fresh.db", kept, shape)
    wanted = after(tmp_path / "fresh.db")
    folder = tmp_path / "live"
    path = folder / "a.db"
    folder.mkdir()
    path.write_bytes(data)
    code, count = attempt(tmp_path, NEVER, how, lambda: made_up(path))
    assert code == DONE
    versions = set()
    for number in moments(count, 30):
        for one in folder.iterdir():
            one.unlink()
        path.write_bytes(data)
        assert attempt(tmp_path, number, how, lambda: made_up(path))[0] in {DONE, TOLD, KILLED}
        version = version_at(path)
        versions.add(version)
        found = after(path)
        assert ("owner" in found[0]["instances"]) == (version > VERSION)
        assert ("user_mails" in found[0]) == (version > VERSION + 1)
        if version > VERSION:
            copy = apsw.Connection(str(folder / f"a.db.pre-v{VERSION}.bak"), flags=apsw.SQLITE_OPEN_READONLY)
            same_rows(copy, kept, shape)
            copy.close()
        made_up(path)
        assert version_at(path) == VERSION + 2
        assert after(path) == wanted
    assert versions == {VERSION, VERSION + 1, VERSION + 2}


@pytest.mark.case("sqlite 5.15")
@pytest.mark.parametrize(
    "words",
    [
        "run --once",
        "db init",
        "db migrate",
        "db vacuum",
        "db backup",
        "db adopt-site --yes",
        "stop --all",
        "rm alpha",
    ],
)
def test_an_older_program_leaves_a_newer_database_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    for name in ("DATA", "STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("HOME", str(tmp_path))
    site = tmp_path / "site"
    (site / "profiles").mkdir(parents=True)
    (site / "llamaagent.yaml").write_text("reports: {every: never}\ndatabase: a.db\n")
    monkeypatch.chdir(site)
    open_database(str(site / "a.db")).close()
    db = writer(site / "a.db")
    migrate(db, str(site / "a.db"), [ADDED])
    db.close()
    before = hashlib.sha256((site / "a.db").read_bytes()).hexdigest()

    assert entry(words.split()) == 78
    told = capsys.readouterr()
    assert told.out == ""
    assert f"schema version {VERSION + 1}" in told.err
    assert hashlib.sha256((site / "a.db").read_bytes()).hexdigest() == before
    assert not {name for name in os.listdir(site) if name.endswith(("-wal", "-shm"))}
