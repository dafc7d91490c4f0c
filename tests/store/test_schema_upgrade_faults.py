"""A migration under a disk that fails.

After each possible failure the database is whole, of one version, and the same migration goes through when it is
tried again.
"""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

from llamaagent.store import open_database
from llamaagent.store.upgrade import VERSION, Step, migrate, version_of

STEPS = [
    Step(VERSION + 1, "one", "ALTER TABLE users ADD COLUMN shell TEXT; UPDATE users SET shell = 'sh'"),
    Step(
        VERSION + 2, "two", "CREATE TABLE boxes (id INTEGER PRIMARY KEY) STRICT; INSERT INTO boxes VALUES (1)"
    ),
]


class Countdown:
    """Fails the n-th call that changes the disk, and each one after it: the disk does not come back."""

    def __init__(self, left: int, error: type[apsw.Error]) -> None:
        self.left = left
        self.error = error

    def tick(self) -> None:
        self.left -= 1
        if self.left <= 0:
            raise self.error("the test says no")


class FaultyFile(apsw.VFSFile):
    def __init__(self, filename: Any, flags: Any, countdown: Countdown) -> None:
        super().__init__("", filename, flags)
        self.countdown = countdown

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self.countdown.tick()
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self.countdown.tick()
        super().xSync(flags)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self.countdown.tick()
        super().xTruncate(size)


class FaultyDisk(apsw.VFS):
    def __init__(self, countdown: Countdown) -> None:
        super().__init__("faulty", "")
        self.countdown = countdown

    def xOpen(self, name: Any, flags: Any) -> FaultyFile:  # noqa: N802
        return FaultyFile(name, flags, self.countdown)


def attempt(path: Path, countdown: Countdown) -> None:
    """Migrate on a faulty disk, and leave as a program does that is told of the fault."""
    disk = FaultyDisk(countdown)
    try:
        with suppress(apsw.Error):
            db = apsw.Connection(str(path), vfs="faulty", flags=apsw.SQLITE_OPEN_READWRITE)
            db.transaction_mode = "IMMEDIATE"
            try:
                migrate(db, str(path), STEPS)
            finally:
                db.close(True)
    finally:
        disk.unregister()


def shape(db: apsw.Connection) -> int:
    """The version that the tables themselves show."""
    names = {str(name) for (name,) in db.execute("SELECT name FROM sqlite_schema").fetchall()}
    columns = {str(row[1]) for row in db.execute("PRAGMA table_info(users)").fetchall()}
    assert "v_profiles" in names
    return VERSION + ("shell" in columns) + ("boxes" in names)


@pytest.mark.case("sqlite 5.15")
@pytest.mark.case("sqlite 5.1")
@pytest.mark.parametrize("error", [apsw.FullError, apsw.IOError])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_failing_write_leaves_a_whole_version(tmp_path: Path, error: type[apsw.Error]) -> None:
    origin = tmp_path / "origin.db"
    db = open_database(str(origin))
    db.execute("INSERT INTO users (username) VALUES ('ann')")
    db.close()
    for number in range(1, 500):
        path = tmp_path / f"{number}.db"
        shutil.copyfile(origin, path)
        countdown = Countdown(number, error)
        attempt(path, countdown)
        again = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        again.transaction_mode = "IMMEDIATE"
        assert again.pragma("integrity_check") == "ok"
        assert version_of(again) == shape(again)
        assert again.execute("SELECT count(*) FROM users").get == 1
        migrate(again, str(path), STEPS)
        assert version_of(again) == shape(again) == VERSION + 2
        again.close()
        if countdown.left > 0:
            break
    assert 10 < number < 499  # there was something to fail, and in the end nothing more
