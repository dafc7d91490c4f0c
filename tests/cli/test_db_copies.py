"""`db backup` and `db restore` as a user types them."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import apsw
import pytest

from llamaagent.base.clock import SystemClock
from llamaagent.store import open_database
from llamaagent.store.locks import Lock
from llamaagent.store.upgrade import VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from scratch_home import Agent

FROZEN = "schema_v1.sql"


def database(home: Path) -> Path:
    return home / "data" / "llamaagent" / "llamaagent.db"


def note(home: Path, text: str) -> None:
    db = apsw.Connection(str(database(home)))
    db.execute("INSERT INTO logs (ts, level, source, message) VALUES (1, 'info', 'test', ?)", (text,))
    db.close()


def notes(path: Path) -> list[str]:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return [
            str(text) for (text,) in db.execute("SELECT message FROM logs WHERE source = 'test' ORDER BY id")
        ]
    finally:
        db.close()


def aside(home: Path) -> list[Path]:
    return sorted(one for one in database(home).parent.iterdir() if ".replaced-" in one.name)


def test_there_and_back(agent: Agent, site: Path, home: Path) -> None:
    agent("db", "init", cwd=site)
    note(home, "before")
    path = agent("db", "backup", cwd=site).stdout.strip()
    assert path.startswith(f"{database(home).parent}/backups/llamaagent-2")
    note(home, "after")

    result = agent("db", "restore", path, "--yes", cwd=site)
    assert result.stdout == f"{database(home)}\n"
    assert notes(database(home)) == ["before"]
    (old,) = aside(home)
    assert str(old) in result.stderr
    assert notes(old) == ["before", "after"]
    assert stat.S_IMODE(old.stat().st_mode) == stat.S_IMODE(database(home).stat().st_mode) == 0o600
    assert "restored from" in agent("events", cwd=site).stdout

    agent("db", "restore", old, "--yes", cwd=site)  # what was replaced is a backup like any other
    assert notes(database(home)) == ["before", "after"]


def test_the_settings_say_where_and_how_many(agent: Agent, site: Path, home: Path) -> None:
    with open(site / "llamaagent.yaml", "a", encoding="utf-8") as file:
        file.write("backup: {directory: saved, keep: 2}\n")
    assert agent("check", cwd=site).stderr.count("backup") == 0
    agent("db", "init", cwd=site)
    made = [json.loads(agent("db", "backup", "--json", cwd=site).stdout) for _ in range(3)]
    assert made[2]["removed"] == [made[0]["path"]]
    assert sorted(os.listdir(site / "saved")) == sorted(os.path.basename(one["path"]) for one in made[1:])

    (home / "usb").mkdir()
    for _ in range(4):
        agent("db", "backup", home / "usb", cwd=site)
    assert len(os.listdir(home / "usb")) == 4  # somebody's own folder is not rotated


def test_info_tells_the_last_backup(agent: Agent, home: Path) -> None:
    agent("db", "init")
    assert json.loads(agent("db", "info", "--json").stdout)["last_backup"] is None
    path = agent("db", "backup", home / "x.db").stdout.strip()
    found = json.loads(agent("db", "info", "--json").stdout)["last_backup"]
    assert found["path"] == path == str(home / "x.db")
    assert path in agent("db", "info").stdout


def test_a_backup_that_is_on_is_not_joined_by_another(agent: Agent, home: Path) -> None:
    agent("db", "init")
    with Lock(str(database(home)), "backup").take(SystemClock()):
        agent("db", "backup", home / "x.db", code=75)
    assert not (home / "x.db").exists()


@pytest.mark.parametrize("lock", ["agent", "backup"])
def test_restore_is_refused_under_others(agent: Agent, home: Path, lock: str) -> None:
    agent("db", "init")
    agent("db", "backup", home / "x.db")
    before = database(home).read_bytes()
    with Lock(str(database(home)), lock).take(SystemClock()):
        result = agent("db", "restore", home / "x.db", "--yes", code=75)
    assert "is held" in result.stderr
    assert database(home).read_bytes() == before
    assert aside(home) == []


def test_restore_is_refused_while_somebody_has_the_database_open(agent: Agent, home: Path) -> None:
    agent("db", "init")
    agent("db", "backup", home / "x.db")
    db = apsw.Connection(str(database(home)))
    assert db.execute("SELECT count(*) FROM logs").get >= 1
    result = agent("db", "restore", home / "x.db", "--yes", code=75)
    assert "another program has" in result.stderr
    db.close()
    assert aside(home) == []
    agent("db", "restore", home / "x.db", "--yes")


def test_nobody_to_ask_changes_nothing(agent: Agent, home: Path) -> None:
    agent("db", "init")
    agent("db", "backup", home / "x.db")
    assert "--yes" in agent("db", "restore", home / "x.db", code=2).stderr
    assert aside(home) == []


def test_restore_without_a_name_says_the_newest(agent: Agent, home: Path) -> None:
    agent("db", "init")
    assert "there are none in" in agent("db", "restore", code=2).stderr
    agent("db", "backup")
    newest = agent("db", "backup").stdout.strip()
    assert f"llamaagent db restore {newest}" in agent("db", "restore", code=2).stderr


def test_what_cannot_be_restored(agent: Agent, home: Path) -> None:
    agent("db", "init")
    note(home, "mine")
    before = database(home).read_bytes()
    good = home / "good.db"
    agent("db", "backup", good)
    (home / "empty.db").touch()
    (home / "text.db").write_text("no database at all\n" * 100)
    strange = apsw.Connection(str(home / "strange.db"))
    strange.execute("CREATE TABLE a (b)")
    strange.close()
    (home / "newer.db").write_bytes(good.read_bytes())
    newer = apsw.Connection(str(home / "newer.db"))
    newer.pragma("user_version", VERSION + 1)
    newer.close()
    data = bytearray(good.read_bytes())
    data[20 * 4096 : 21 * 4096] = os.urandom(4096)
    (home / "damaged.db").write_bytes(data)

    for name, code, words in (
        ("missing.db", 65, "no file"),
        ("empty.db", 65, "empty"),
        ("text.db", 65, "no database"),
        ("strange.db", 65, "no database of llamaagent"),
        ("newer.db", 78, f"schema version {VERSION + 1}"),
        ("damaged.db", 65, "damaged"),
        (str(database(home)), 2, "the database itself"),
    ):
        result = agent("db", "restore", home / name, "--yes", code=code)
        assert words in result.stderr, result.stderr
    assert database(home).read_bytes() == before or notes(database(home)) == ["mine"]
    assert aside(home) == []


@pytest.mark.parametrize("state", ["missing", "empty", "damaged", "with a WAL of its own"])
def test_restore_in_place_of_what_is_lost(agent: Agent, home: Path, state: str) -> None:
    agent("db", "init")
    note(home, "kept")
    agent("db", "backup", home / "x.db")
    path = database(home)
    if state == "missing":
        path.unlink()
    elif state == "empty":
        path.write_bytes(b"")
    elif state == "damaged":
        path.write_bytes(b"\xff" * 4096 * 50)
    else:  # the WAL of another life must not be taken for the new file's
        db = open_database(str(path))
        db.execute("INSERT INTO logs (ts, level, source, message) VALUES (2, 'info', 'test', 'in the WAL')")
        wal, main = (path.parent / "llamaagent.db-wal").read_bytes(), path.read_bytes()
        db.close()
        path.write_bytes(b"\xff" * 512 + main[512:])
        (path.parent / "llamaagent.db-wal").write_bytes(wal)

    agent("db", "restore", home / "x.db", "--yes")
    assert notes(path) == ["kept"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = {one.name.rpartition("Z")[2] for one in aside(home)}
    assert kept == {"damaged": {""}, "with a WAL of its own": {"", "-wal"}}.get(state, set())


def test_an_older_backup_is_migrated(agent: Agent, home: Path) -> None:
    agent("db", "init")
    old = apsw.Connection(str(home / "old.db"))
    with open(os.path.join(os.path.dirname(__file__), "..", "fixtures", FROZEN), encoding="utf-8") as file:
        old.execute(file.read())
    old.pragma("application_id", 0x4C4C4147)
    old.pragma("user_version", 1)
    old.execute("INSERT INTO logs (ts, level, source, message) VALUES (1, 'info', 'test', 'of version 1')")
    old.close()
    agent("db", "restore", home / "old.db", "--yes")
    assert notes(database(home)) == ["of version 1"]
    assert json.loads(agent("db", "info", "--json").stdout)["schema_version"] == VERSION
