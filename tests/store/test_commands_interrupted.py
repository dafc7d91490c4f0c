"""`db import` and `db prune`, killed or failing at every single thing that is done to the disk: all or nothing."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import apsw
import pytest
from interruption import DONE, HOW, KILLED, NEVER, TOLD, attempt, moments

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))

from foreign_sources import DAY, NOW, SOURCES

from llamaagent.base.errors import CANNOT_CREATE, IO_ERROR, LlamaAgentError
from llamaagent.cli.main import entry
from llamaagent.store import open_database

if TYPE_CHECKING:
    from pathlib import Path

    State = dict[str, int]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without settings; the database of it is in `live`."""
    for name in ("DATA", "STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LLAMAAGENT_DB_PATH", str(tmp_path / "live" / "a.db"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*words: object) -> None:
    """A command in this process. Raises LlamaAgentError when it could not write, as 73 and 74 say."""
    code = entry([str(word) for word in words])
    if code in {CANNOT_CREATE, IO_ERROR}:
        raise LlamaAgentError("told")
    assert code == 0


def state(path: Path) -> State:
    """A whole database: the rows of its tables, but for lines that any upkeep moves."""
    with closing(apsw.Connection(str(path))) as db:
        assert db.pragma("integrity_check") == "ok"
        assert db.pragma("foreign_key_check") is None
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        found = {name: db.execute(f'SELECT count(*) FROM "{name}"').get for name in names}
        found["metadata"] = db.execute("SELECT count(*) FROM metadata WHERE key NOT LIKE 'rollup_%'").get
        return found


def refill(folder: Path, data: bytes) -> Path:
    for one in folder.iterdir():
        one.unlink()
    (folder / "a.db").write_bytes(data)
    return folder / "a.db"


@pytest.mark.case("sqlite 5.1")
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", ["mlenv", "dashboard-v2"])
def test_an_import_interrupted_anywhere_is_whole_or_not_there(home: Path, how: str, kind: str) -> None:
    source = SOURCES[kind](home / "theirs.db")
    theirs = source.read_bytes()
    live = home / "live"
    live.mkdir(mode=0o700)
    open_database(str(live / "a.db")).close()
    data = (live / "a.db").read_bytes()
    before = state(live / "a.db")
    code, count = attempt(home, NEVER, how, lambda: command("db", "import", source, "-q"))
    assert code == DONE
    after = state(live / "a.db")
    assert after != before
    seen = set()
    for number in moments(count):
        path = refill(live, data)
        code, _ = attempt(home, number, how, lambda: command("db", "import", source, "-q"))
        assert code in {DONE, TOLD, KILLED}
        found = state(path)
        assert found in (before, after)
        seen.add(found == after)
        assert code != DONE or found == after
        if number % 7 == 0:
            command("db", "import", source, "-q")
            command("db", "import", source, "-q")
            assert state(path) == after
    assert seen == {False, True}
    assert source.read_bytes() == theirs


@pytest.mark.case("sqlite 5.1")
@pytest.mark.parametrize("how", HOW)
def test_a_clean_up_by_hand_interrupted_anywhere_takes_old_rows_only_and_is_finished_by_the_next(
    home: Path, how: str
) -> None:
    live = home / "live"
    live.mkdir(mode=0o700)
    with closing(open_database(str(live / "a.db"))) as db, db:
        for day in range(12):
            at = {"ts": (NOW - day * DAY) // DAY * DAY + 60}
            db.execute("INSERT INTO logs (ts, level, message) VALUES (:ts, 'info', 'a line')", at)
            db.execute("INSERT INTO generations (ts, generated_tokens) VALUES (:ts, 5)", at)
            db.execute(
                "INSERT INTO system_samples (ts, interval_s, boot_id, cpu_cores, cpu_permille)"
                " VALUES (:ts, 30, 'b', 4, 100)",
                at,
            )
    data = (live / "a.db").read_bytes()
    tables = ("logs", "generations", "system_samples")

    def prune() -> None:
        command("db", "prune", "--older-than", "8d", "-q")

    def check(path: Path, *, done: bool) -> None:
        assert state(path)
        with closing(apsw.Connection(str(path))) as db:
            young = (NOW - 8 * DAY) // DAY * DAY + DAY
            for table in tables:
                assert db.execute(f"SELECT count(*) FROM {table} WHERE ts >= ?", (young,)).get == 8
                assert (
                    not done
                    or db.execute(f"SELECT count(*) FROM {table} WHERE ts < ?", (young - DAY,)).get == 0
                )
            gone = 12 - db.execute("SELECT count(*) FROM system_samples").get
            rolled = db.execute("SELECT total(n) FROM system_rollups WHERE resolution_s = 300").get
            assert rolled >= gone, "what went is in the roll-ups"

    code, count = attempt(home, NEVER, how, prune)
    assert code == DONE
    check(live / "a.db", done=True)
    for number in moments(count, 40):
        path = refill(live, data)
        code, _ = attempt(home, number, how, prune)
        assert code in {DONE, TOLD, KILLED}
        check(path, done=code == DONE)
        if number % 11 == 0:
            prune()
            check(path, done=True)
