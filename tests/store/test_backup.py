"""Backups: of one moment, private, checked, whole or not there, and rotated without losing the last good one."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import apsw
import pytest

from llamaagent.base.errors import CannotCreateError, StoreCorruptError, StoreFullError, UsageError
from llamaagent.domain.backups import backup_name
from llamaagent.store import open_database
from llamaagent.store.backup import back_up_in_turn, back_up_into, back_up_to, backups_in, last_backup

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_700_000_000
DAY = 86400


def filled(path: Path, rows: int = 0) -> apsw.Connection:
    db = open_database(str(path))
    with db:
        db.executemany(
            "INSERT INTO logs (ts, level, source, message) VALUES (?, 'info', 'test', ?)",
            ((NOW + n, f"line {n} " + "x" * 200) for n in range(rows)),
        )
    return db


def lines(path: str | Path) -> int:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        assert db.pragma("integrity_check") == "ok"
        return int(db.execute("SELECT count(*) FROM logs WHERE source = 'test'").get)
    finally:
        db.close()


def test_a_backup_is_a_private_file_that_can_be_read_from_a_folder_without_room(tmp_path: Path) -> None:
    db = filled(tmp_path / "a.db", 1000)
    made = back_up_to(db, str(tmp_path / "out.db"), NOW)

    assert lines(made.path) == 1000
    assert stat.S_IMODE(os.stat(made.path).st_mode) == 0o600
    assert made.size_bytes == os.stat(made.path).st_size
    copy = apsw.Connection(
        f"file:{made.path}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    )
    assert copy.pragma("journal_mode") == "delete"  # no WAL to be missed
    copy.close()
    assert last_backup(db) == made
    db.close()
    assert sorted(os.listdir(tmp_path)) == ["a.db", "out.db"]


def test_a_writer_is_not_held_up_and_the_copy_is_of_one_moment(tmp_path: Path) -> None:
    db = filled(tmp_path / "a.db", 30_000)
    writer = apsw.Connection(str(tmp_path / "a.db"))
    writer.set_busy_timeout(0)
    steps: list[tuple[int, int]] = []

    def write(done: int, pages: int) -> None:
        steps.append((done, pages))
        writer.execute(
            "INSERT INTO logs (ts, level, source, message) VALUES (1, 'info', 'test', 'meanwhile')"
        )

    made = back_up_to(db, str(tmp_path / "out.db"), NOW, write)

    assert len(steps) >= 2
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})  # it never began anew
    assert lines(made.path) == 30_000
    assert lines(tmp_path / "a.db") == 30_000 + len(steps)
    writer.close()
    db.close()


@pytest.mark.case("sqlite 5.7")
def test_a_damaged_database_is_not_backed_up_and_rotates_nothing_out(tmp_path: Path) -> None:
    db = filled(tmp_path / "a.db", 2000)
    folder = tmp_path / "backups"
    good = back_up_into(db, str(folder), NOW)
    db.close()
    size = os.stat(tmp_path / "a.db").st_size
    with open(tmp_path / "a.db", "r+b") as file:
        file.seek(size // 4096 * 4096 - 5 * 4096)
        file.write(os.urandom(4096))

    db = open_database(str(tmp_path / "a.db"))
    for day in range(1, 4):
        with pytest.raises(StoreCorruptError, match="damaged, and was not copied"):
            back_up_in_turn(db, str(folder), NOW + day * DAY, keep=1, every_s=DAY)
    db.close()
    assert os.listdir(folder) == [os.path.basename(good.path)]
    assert lines(good.path) == 2000


def test_rotation_keeps_as_many_as_said_and_what_is_not_ours(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    other = filled(tmp_path / "elsewhere" / "a.db", 3)
    other.execute("UPDATE schema_version SET applied_ts = applied_ts - 1")
    strange = back_up_into(other, str(folder), NOW - 9 * DAY)
    other.close()
    named = folder / backup_name("a.db", NOW - 8 * DAY)
    named.write_text("not a database")
    (folder / "a-by-hand.db").write_bytes(b"")

    db = filled(tmp_path / "a.db", 3)
    made = [back_up_in_turn(db, str(folder), NOW + n * DAY, keep=3, every_s=DAY) for n in range(5)]
    db.close()

    assert [len(one.removed) for one in made] == [0, 0, 0, 1, 1]
    kept = {one.path for one in made[2:]} | {strange.path, str(named), str(folder / "a-by-hand.db")}
    assert {str(path) for path in folder.iterdir()} == kept


def test_backups_by_hand_do_not_push_out_those_of_the_days_before(tmp_path: Path) -> None:
    folder = str(tmp_path / "backups")
    db = filled(tmp_path / "a.db")
    for day in (0, 1, 2):
        back_up_in_turn(db, folder, NOW + day * DAY, keep=3, every_s=DAY)
    for second in (5, 10, 15):
        back_up_in_turn(db, folder, NOW + 2 * DAY + second, keep=3, every_s=DAY)
    db.close()
    assert [ts for _, ts in backups_in(folder, "a.db")] == [NOW, NOW + DAY, NOW + 2 * DAY + 15]


def test_the_one_just_made_stays_though_the_clock_was_set_back(tmp_path: Path) -> None:
    folder = str(tmp_path / "backups")
    db = filled(tmp_path / "a.db")
    back_up_in_turn(db, folder, NOW + 900 * DAY, keep=1, every_s=DAY)
    made = back_up_in_turn(db, folder, NOW, keep=1, every_s=DAY)
    db.close()
    assert [path for path, _ in backups_in(folder, "a.db")] == [made.path]


def test_two_in_one_second_have_two_names(tmp_path: Path) -> None:
    folder = str(tmp_path / "backups")
    db = filled(tmp_path / "a.db")
    made = [back_up_into(db, folder, NOW).path for _ in range(3)]
    db.close()
    assert [path for path, _ in backups_in(folder, "a.db")] == made
    assert len(set(made)) == 3


@pytest.mark.parametrize("name", ["a.db", "a.db-wal", "a.db.pass.lock"])
def test_the_database_is_no_place_for_its_own_backup(tmp_path: Path, name: str) -> None:
    db = filled(tmp_path / "a.db", 5)
    with pytest.raises(UsageError, match="the database itself"):
        back_up_to(db, str(tmp_path / name), NOW)
    db.close()
    assert lines(tmp_path / "a.db") == 5


def test_what_is_no_backup_of_ours_is_not_replaced(tmp_path: Path) -> None:
    db = filled(tmp_path / "a.db", 5)
    (tmp_path / "letter.txt").write_text("dear Ann, " * 50)
    (tmp_path / "link").symlink_to(tmp_path / "letter.txt")
    for name in ("letter.txt", "link"):
        with pytest.raises(CannotCreateError):
            back_up_to(db, str(tmp_path / name), NOW)
    (tmp_path / "empty.db").touch()
    assert lines(back_up_to(db, str(tmp_path / "empty.db"), NOW).path) == 5
    assert lines(back_up_to(db, str(tmp_path / "empty.db"), NOW).path) == 5
    db.close()
    assert (tmp_path / "letter.txt").read_text() == "dear Ann, " * 50


def test_a_folder_that_does_not_exist_is_said(tmp_path: Path) -> None:
    db = filled(tmp_path / "a.db")
    with pytest.raises(CannotCreateError, match="nowhere"):
        back_up_to(db, str(tmp_path / "nowhere" / "a.db"), NOW)
    db.close()


@pytest.mark.case("sqlite 5.16")
@pytest.mark.root
def test_a_full_target_leaves_the_old_backup(tmp_path: Path, small_disk: Path) -> None:
    db = filled(tmp_path / "a.db", 40_000)
    target = small_disk / "out.db"
    back_up_to(db, str(target), NOW)
    before = target.read_bytes()
    assert len(before) > 11 << 20
    with pytest.raises(StoreFullError, match="no space for the copy"):  # said before anything is written
        back_up_to(db, str(target), NOW)

    target.write_bytes(before := before[: 1 << 20])  # stands for the old one: there is room beside it

    def fill(done: int, pages: int) -> None:
        """Somebody else takes what was free when the copy began."""
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        (small_disk / "filler").write_bytes(bytes(free))

    with pytest.raises(StoreFullError):
        back_up_into(db, str(small_disk), NOW, told=fill)
    db.close()
    assert target.read_bytes() == before
    assert sorted(os.listdir(small_disk)) == ["filler", "out.db"]
