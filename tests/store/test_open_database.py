"""Opening: private files, safeties on, any number of programs at once."""

import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import apsw
import pytest

from llamaagent.base.errors import CannotCreateError, ConfigError, StorageError, StoreBusyError
from llamaagent.store import open_database
from llamaagent.store.upgrade import APPLICATION_ID, VERSION

OPEN_AND_WRITE = """
import sys
from llamaagent.store import open_database
db = open_database(sys.argv[1])
with db:
    db.execute("INSERT INTO logs (ts, level, message) VALUES (1, 'info', 'here')")
print(db.execute("SELECT count(*) FROM schema_version").get)
db.close()
"""


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_new_database_is_private_under_an_open_umask(tmp_path: Path) -> None:
    path = tmp_path / "state" / "llamaagent.db"
    before = os.umask(0o022)
    try:
        db = open_database(str(path))
    finally:
        os.umask(before)
    with db:
        db.execute("INSERT INTO logs (ts, level, message) VALUES (1, 'info', 'x')")
    assert mode(path.parent) == 0o700
    assert {name: mode(path.parent / name) for name in os.listdir(path.parent)} == {
        "llamaagent.db": 0o600,
        "llamaagent.db-wal": 0o600,
        "llamaagent.db-shm": 0o600,
    }
    db.close()


def test_a_writer_has_every_safety_on(tmp_path: Path) -> None:
    db = open_database(str(tmp_path / "a.db"), busy_timeout_ms=1234)
    assert db.pragma("journal_mode") == "wal"
    assert db.pragma("synchronous") == 2
    assert db.pragma("foreign_keys") == 1
    assert db.pragma("busy_timeout") == 1234
    assert db.pragma("trusted_schema") == 0
    assert db.pragma("journal_size_limit") == 16 * 1024 * 1024
    assert db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, -1) == 1
    assert db.pragma("application_id") == APPLICATION_ID
    assert db.pragma("user_version") == VERSION
    with db:
        assert db.txn_state() == apsw.SQLITE_TXN_WRITE
    db.close()


def test_closing_leaves_one_file(tmp_path: Path) -> None:
    open_database(str(tmp_path / "a.db")).close()
    assert os.listdir(tmp_path) == ["a.db"]


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    open_database(str(path)).close()
    before = path.read_bytes()
    open_database(str(path)).close()
    assert path.read_bytes() == before


@pytest.mark.case("sqlite 5.8")
@pytest.mark.parametrize("present", ["absent", "empty"])
def test_eight_programs_at_once_all_succeed(tmp_path: Path, present: str) -> None:
    path = tmp_path / "new" / "a.db"
    if present == "empty":
        path.parent.mkdir(mode=0o700)
        path.touch(mode=0o600)
    command = [sys.executable, "-c", OPEN_AND_WRITE, str(path)]
    children = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(8)
    ]
    answers = [(child.communicate(timeout=60), child.returncode) for child in children]
    assert answers == [(("1\n", ""), 0)] * 8
    db = open_database(str(path), write=False)
    assert db.execute("SELECT count(*) FROM logs").get == 8
    assert db.pragma("quick_check") == "ok"
    db.close()


def test_a_program_that_writes_while_the_journal_is_switched_is_waited_for(tmp_path: Path) -> None:
    """SQLite itself gives up at once here, whatever its busy timeout: it fears a deadlock."""
    path = tmp_path / "a.db"
    open_database(str(path)).close()
    other = apsw.Connection(str(path))
    assert other.pragma("journal_mode", "DELETE") == "delete"
    other.execute("BEGIN IMMEDIATE")
    opened: list[object] = []

    def open_it() -> None:
        db = open_database(str(path))
        opened.append(db.pragma("journal_mode"))
        db.close()

    opening = threading.Thread(target=open_it)
    opening.start()
    opening.join(0.5)
    assert opening.is_alive(), "it waits"
    other.execute("ROLLBACK")
    other.close()
    opening.join(20)
    assert opened == ["wal"]


def test_a_program_that_writes_for_ever_is_not_waited_for_that_long(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    open_database(str(path)).close()
    other = apsw.Connection(str(path))
    other.pragma("journal_mode", "DELETE")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusyError):
        open_database(str(path), busy_timeout_ms=300)
    other.execute("ROLLBACK")
    other.close()


def test_a_reader_reads_and_cannot_write(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    open_database(path).close()
    db = open_database(path, write=False)
    assert db.execute("SELECT count(*) FROM v_profiles").get == 0
    with pytest.raises(apsw.ReadOnlyError):
        db.execute("DELETE FROM logs")
    db.close()


def test_a_reader_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no database at"):
        open_database(str(tmp_path / "a.db"), write=False)
    assert os.listdir(tmp_path) == []


def test_without_leave_to_create_a_missing_database_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no database at"):
        open_database(str(tmp_path / "a.db"), create=False)
    assert os.listdir(tmp_path) == []


def test_an_empty_file_is_filled_only_with_leave_to_create(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.touch(mode=0o600)
    with pytest.raises(StorageError, match="empty"):
        open_database(str(path), create=False)
    assert path.stat().st_size == 0
    open_database(str(path)).close()
    assert path.stat().st_size > 0


def test_a_database_whose_making_was_cut_short_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    cut = apsw.Connection(str(path))
    assert cut.pragma("journal_mode", "WAL") == "wal"
    cut.close()
    db = open_database(str(path))
    assert db.execute("SELECT count(*) FROM v_profiles").get == 0
    db.close()


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    open_database(str(path)).close()
    path.chmod(0o644)
    open_database(str(path)).close()
    assert mode(path) == 0o600


def test_a_folder_in_which_others_can_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(CannotCreateError):
        open_database(str(folder / "a.db"))
    assert os.listdir(folder) == []


def test_a_linked_folder_is_followed_a_linked_file_is_not(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(real)
    open_database(str(tmp_path / "link" / "a.db")).close()
    assert os.listdir(real) == ["a.db"]
    (real / "b.db").symlink_to(real / "a.db")
    with pytest.raises(ConfigError, match="symbolic link"):
        open_database(str(real / "b.db"))


def test_a_dangling_link_creates_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(ConfigError, match="symbolic link"):
        open_database(str(tmp_path / "a.db"))
    assert os.listdir(tmp_path) == ["a.db"]


def test_a_held_write_lock_is_a_busy_error_after_the_timeout(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    first = open_database(path)
    first.execute("BEGIN IMMEDIATE")
    second = open_database(path, busy_timeout_ms=50)  # an up-to-date file is opened beside a writer
    started = time.monotonic()
    with pytest.raises(apsw.BusyError), second:
        pass
    assert time.monotonic() - started < 5
    first.execute("ROLLBACK")
    second.close()
    first.close()


def test_a_locked_new_database_is_a_busy_error(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.touch(mode=0o600)
    other = apsw.Connection(str(path))
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreBusyError) as caught:
        open_database(str(path), busy_timeout_ms=50)
    assert caught.value.exit_code == 75
    other.close()


def test_an_unknown_group_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no group"):
        open_database(str(tmp_path / "a.db"), shared_group="no-such-group-here")


def test_with_a_shared_group_members_may_read_and_the_wal_stays(tmp_path: Path) -> None:
    import grp

    group = grp.getgrgid(os.getegid())
    path = tmp_path / "shared" / "a.db"
    db = open_database(str(path), shared_group=group.gr_name)
    with db:
        db.execute("INSERT INTO logs (ts, level, message) VALUES (1, 'info', 'x')")
    db.close()
    assert mode(path.parent) == 0o750
    assert {name: mode(path.parent / name) for name in os.listdir(path.parent)} == {
        "a.db": 0o640,
        "a.db-wal": 0o640,
        "a.db-shm": 0o640,
    }
    assert (path.parent / "a.db-wal").stat().st_size == 0


READ_AS_MEMBER = """
import os, sys, zlib  # all that is needed: this member may not be able to read where Python lies
from llamaagent.store import open_database
os.setgroups([int(sys.argv[2])]); os.setgid(65534); os.setuid(65534)
print(open_database(sys.argv[1], write=False).execute("SELECT count(*) FROM logs").get)
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_member_of_the_group_reads_with_the_agent_stopped() -> None:
    import grp

    group = grp.getgrnam("games")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "shared", "a.db")
        open_database(path, shared_group="games").close()
        command = [sys.executable, "-c", READ_AS_MEMBER, path, str(group.gr_gid)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_an_up_to_date_database_is_opened_without_reading_the_schema_text(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    open_database(path).close()
    code = (
        "import sys; from llamaagent.store import open_database; from llamaagent import sql\n"
        "asked = []; real = sql._read\n"
        "def read(folder, name):\n    asked.append(name); return real(folder, name)\n"
        "sql._read = read\n"
        "open_database(sys.argv[1]).close(); print(sorted(set(asked)))\n"
        "heavy = {'logging', 'pathlib', 'hashlib', 'dataclasses', 'subprocess', 'ctypes', 'apsw.ext'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['views.sql']", "[]"]
