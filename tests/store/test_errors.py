"""What SQLite raises becomes ours, with an exit code that a script can act on; our mistakes stay visible."""

import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from llamaagent.base.errors import StorageError, StoreBusyError, StoreCorruptError, StoreFullError
from llamaagent.store import open_database, translate

INSERT = "INSERT INTO logs (ts, level, message) VALUES (1, 'info', hex(zeroblob(100000)))"


def test_a_full_disk_is_store_full_and_the_rows_before_stay(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    db = open_database(path)
    db.pragma("max_page_count", int(db.pragma("page_count")) + 10)
    with pytest.raises(StoreFullError) as caught, translate(path), db:
        db.execute(INSERT)
    assert caught.value.exit_code == 74
    assert db.execute("SELECT count(*) FROM logs").get == 0
    db.close()


FILL = f"""
import resource, signal, sys
from llamaagent.base.errors import StoreFullError
from llamaagent.store import open_database, translate
db = open_database(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
try:
    with translate("it"):
        for _ in range(20):
            db.execute({INSERT!r})
except StoreFullError as error:
    print(error.exit_code)
"""


def test_a_file_size_limit_is_store_full_too(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FILL, str(tmp_path / "a.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("74\n", "")


def test_a_lock_is_store_busy(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    first, second = open_database(path), open_database(path, busy_timeout_ms=20)
    first.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusyError) as caught, translate(path), second:
        pass
    assert caught.value.exit_code == 75
    first.execute("ROLLBACK")
    first.close()
    second.close()


def test_a_damaged_page_is_store_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    db = open_database(str(path))
    root = int(db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'logs'").get)
    size = int(db.pragma("page_size"))
    db.close()
    data = bytearray(path.read_bytes())
    data[(root - 1) * size : root * size] = b"\xa5" * size
    path.write_bytes(data)
    db = open_database(str(path))
    with pytest.raises(StoreCorruptError), translate(str(path)):
        db.execute("SELECT count(*) FROM logs NOT INDEXED").fetchall()
    db.close()


def test_writing_through_a_reader_is_a_storage_error(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    open_database(path).close()
    db = open_database(path, write=False)
    with pytest.raises(StorageError, match="cannot be written"), translate(path):
        db.execute("DELETE FROM logs")
    db.close()


@pytest.mark.parametrize(
    "statement", ["CHOOSE 1", "INSERT INTO logs (ts, level, message) VALUES (1, 'loud', 'x')"]
)
def test_our_own_mistakes_stay_what_they_are(tmp_path: Path, statement: str) -> None:
    db = open_database(str(tmp_path / "a.db"))
    with pytest.raises((apsw.SQLError, apsw.ConstraintError)), translate("a.db"):
        db.execute(statement)
    db.close()
