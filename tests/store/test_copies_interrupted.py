"""Backing up and restoring, killed or failing at every single thing that is done to the disk.

What is done is counted at two borders: SQLite's own VFS, and the interpreter's audit events for what Python does with
names. At the n-th the process kills itself, or the thing fails as on a full disk.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING

import apsw
import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "proof"))

from disk import Disk, Op, told_disk

from llamaagent.base.errors import LlamaAgentError
from llamaagent.store import open_database
from llamaagent.store.backup import back_up_in_turn, back_up_to
from llamaagent.store.restore import restore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOW = 1_700_000_000
NAMES = frozenset({"os.rename", "os.link", "os.remove", "os.chmod", "open"})
DONE, TOLD, KILLED = 0, 3, -signal.SIGKILL
NEVER = 1 << 40
HOW = ["killed", "full"]


class Counter(Disk):
    """A disk that also hears what Python does to names below a folder."""

    def __init__(self, folder: str, at: int, *, kill: bool) -> None:
        super().__init__()
        self.folder, self.at, self.kill = folder, at, kill
        self.error = apsw.FullError

    def change(self, op: Op) -> None:
        self.tick(self.error("the test says no"))

    def hear(self, event: str, given: tuple[object, ...]) -> None:
        if event not in NAMES or not str(given[0]).startswith(self.folder):
            return
        if event == "open" and not (isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        if event == "os.remove" and not os.path.lexists(str(given[0])):
            return
        self.tick(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(given[0])))

    def tick(self, error: Exception) -> None:
        self.count += 1
        if self.count < self.at:
            return
        if self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        raise error  # and so does everything after it


def attempt(folder: Path, at: int, how: str, action: Callable[[], object]) -> tuple[int, int]:
    """The action in a child of its own, whose disk fails at the n-th change: how it ended, and changes until then."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code, counter = 1, Counter(str(folder), at, kill=how == "killed")
        try:
            with told_disk(counter):
                sys.addaudithook(counter.hear)
                action()
            code = DONE
        except (LlamaAgentError, OSError, apsw.Error):
            code = TOLD
        except BaseException:  # noqa: BLE001 - a child must never come back into pytest
            traceback.print_exc()
        finally:
            os.write(writer, str(counter.count).encode())
            os._exit(code)
    os.close(writer)
    with open(reader, "rb") as pipe:
        count = int(pipe.read() or b"0")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), count


def moments(count: int) -> Iterator[int]:
    """Of the many pages that are copied one in eleven, of the steps before and after all."""
    assert count > 20
    yield from (n for n in range(1, count + 1) if n < 12 or n > count - 90 or n % 11 == 0)


def put_rows(path: Path, rows: int, word: str) -> None:
    db = open_database(str(path))
    with db:
        db.executemany(
            "INSERT INTO logs (ts, level, source, message) VALUES (?, 'info', 'test', ?)",
            ((n, word) for n in range(rows)),
        )
    db.close()


def words_in(path: Path) -> tuple[str, int]:
    """The one word that the rows of a whole database say, and how many there are."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        assert db.pragma("integrity_check") == "ok"
        ((word, rows),) = db.execute(
            "SELECT message, count(*) FROM logs WHERE source = 'test' GROUP BY 1"
        ).fetchall()
        return str(word), int(rows)
    finally:
        db.close()


@pytest.mark.case("sqlite 5.16")
@pytest.mark.parametrize("how", HOW)
def test_a_backup_interrupted_anywhere_leaves_the_old_copy_and_the_database(tmp_path: Path, how: str) -> None:
    path, target = tmp_path / "live" / "a.db", tmp_path / "out" / "copy.db"
    target.parent.mkdir()
    put_rows(path, 300, "live")

    def back_up(name: Path = target) -> None:
        db = open_database(str(path))
        try:
            back_up_to(db, str(name), NOW)
        finally:
            db.close()

    back_up()
    old = target.read_bytes()
    put_rows(path, 300, "live")
    seen = set()
    code, count = attempt(tmp_path, NEVER, how, back_up)
    assert code == DONE
    for number in moments(count):
        target.write_bytes(old)
        code, _ = attempt(tmp_path, number, how, back_up)
        assert code in {DONE, TOLD, KILLED}
        assert words_in(path) == ("live", 600)
        whole = words_in(target)[1]
        assert whole in {300, 600}
        seen.add(whole)
        if whole == 300:
            assert target.read_bytes() == old
    assert seen == {300, 600}
    back_up()
    assert os.listdir(target.parent) == ["copy.db"]


@pytest.mark.case("sqlite 5.16")
@pytest.mark.parametrize("how", HOW)
def test_a_turn_interrupted_anywhere_keeps_a_good_backup(tmp_path: Path, how: str) -> None:
    path, folder = tmp_path / "live" / "a.db", tmp_path / "backups"
    put_rows(path, 200, "live")

    def turn(now: int) -> None:
        db = open_database(str(path))
        try:
            back_up_in_turn(db, str(folder), now, keep=1, every_s=60)
        finally:
            db.close()

    turn(NOW)
    code, count = attempt(tmp_path, NEVER, how, lambda: turn(NOW + 50))
    assert code == DONE
    for number in moments(count):
        code, _ = attempt(tmp_path, number, how, lambda at=number: turn(NOW + 100 * at))
        assert code in {DONE, TOLD, KILLED}
        made = [one for one in folder.iterdir() if one.name.startswith("a-")]
        assert made
        assert {words_in(one) for one in made} == {("live", 200)}
    turn(NOW + 100 * count + 100)
    assert len(list(folder.iterdir())) == 1


@pytest.mark.case("sqlite 5.16")
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("wal", [False, True], ids=["settled", "wal"])
def test_a_restore_interrupted_anywhere_leaves_one_of_the_two(tmp_path: Path, how: str, wal: bool) -> None:
    folder = tmp_path / "live"
    path, source = folder / "a.db", tmp_path / "source.db"
    put_rows(tmp_path / "origin.db", 200, "old")
    db = open_database(str(tmp_path / "origin.db"))
    back_up_to(db, str(source), NOW)
    db.close()
    put_rows(path, 300, "new")
    origin = path.read_bytes()
    log = b""
    if wal:  # rows that only the WAL has, as after a kill
        db = open_database(str(path))
        db.execute("UPDATE logs SET message = 'newer' WHERE source = 'test'")
        log = (folder / "a.db-wal").read_bytes()
        db.close()
    now = ("newer" if wal else "new", 300)
    seen = set()

    def fresh() -> None:
        for one in folder.iterdir():
            one.unlink()
        path.write_bytes(origin)
        if wal:
            (folder / "a.db-wal").write_bytes(log)

    fresh()
    code, count = attempt(tmp_path, NEVER, how, lambda: restore(str(source), str(path), NOW))
    assert code == DONE
    for number in moments(count):
        fresh()
        code, _ = attempt(tmp_path, number, how, lambda: restore(str(source), str(path), NOW))
        assert code in {DONE, TOLD, KILLED}
        found = words_in(path)
        assert found in {("old", 200), now}
        seen.add(found)
        aside = [one for one in folder.iterdir() if ".replaced-" in one.name and one.name.endswith("Z")]
        if found[0] == "old":
            assert [words_in(one) for one in aside] == [now]
    assert seen == {("old", 200), now}
    fresh()
    aside = [restore(str(source), str(path), NOW)]
    assert sorted(one.name for one in folder.iterdir()) == ["a.db", os.path.basename(str(aside[0]))]
    assert words_in(source) == ("old", 200)
