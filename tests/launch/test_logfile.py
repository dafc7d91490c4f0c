"""Holes in a file that is being written, and which old logs go."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from llamaagent.collect.tail import last_lines
from llamaagent.launch.logfile import KEPT_LOGS, cut, keep_end, keep_more, mark_before, punch, remove_old

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, size: int) -> None:
    path.write_bytes(b"".join(b"%09d\n" % number for number in range(size // 10)))


def test_a_hole_frees_blocks_and_moves_nothing(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    write(log, 1_000_000)
    fd = os.open(log, os.O_WRONLY | os.O_APPEND)
    try:
        assert punch(str(log), 900_001)
        os.write(fd, b"more\n")
    finally:
        os.close(fd)
    assert log.stat().st_size == 1_000_005
    assert log.stat().st_blocks * 512 < 120_000
    data = log.read_bytes()
    assert data[900_001 // 4096 * 4096 :].startswith(data[900_001 // 4096 * 4096 :][:10])
    assert data[-5:] == b"more\n"
    lines, offset = last_lines(str(log), 10**6)
    assert offset == 1_000_005
    assert lines[-1] == b"more\n"
    assert all(len(line) == 10 for line in lines[:-1])
    assert punch(str(log), 4095), "less than a block: nothing to do"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "other", 10_000)
    (tmp_path / "a.log").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match=r"symbolic link|Too many levels"):
        punch(str(tmp_path / "a.log"), 8192)
    with pytest.raises(OSError, match=r"symbolic link|Too many levels"):
        cut(str(tmp_path / "a.log"), 10_000)


def test_a_log_is_cut_only_at_the_size_that_was_read(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    write(log, 10_000)
    assert not cut(str(log), 9_000)
    assert log.stat().st_size == 10_000
    assert mark_before(str(log), 10_000, 10) == b"000000999\n"
    keep_end(str(log), f"{log}.1", 9_000, 3_000)
    keep_more(str(log), f"{log}.1", 9_000, 10_000)
    assert cut(str(log), 10_000)
    assert log.stat().st_size == 0
    log.write_bytes(b"new\n")
    kept = (tmp_path / "a.log.1").read_bytes()
    assert kept.startswith(b"000000601\n")
    assert kept.endswith(b"000000999\n")
    assert last_lines(str(log), 3)[0] == [b"000000998\n", b"000000999\n", b"new\n"]


def test_a_copy_that_cannot_be_made_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a.log", 100)
    keep_end(str(tmp_path / "a.log"), str(tmp_path / "nowhere" / "a.log.1"), 100, 50)
    assert sorted(os.listdir(tmp_path)) == ["a.log"]


def test_old_logs_go_by_number_and_by_size(tmp_path: Path) -> None:
    for number in range(15):
        path = tmp_path / f"{number:02}.log"
        write(path, 40_000)
        os.utime(path, (1000 + number, 1000 + number))
    (tmp_path / "00.log.1").write_bytes(b"x")
    os.utime(tmp_path / "00.log.1", (1, 1))
    remove_old(str(tmp_path), 1 << 30)
    assert sorted(os.listdir(tmp_path)) == [f"{number:02}.log" for number in range(15 - KEPT_LOGS, 15)]
    remove_old(str(tmp_path), 100_000, spare=(str(tmp_path / "05.log"),))
    assert sorted(os.listdir(tmp_path)) == ["05.log", "13.log", "14.log"]
    remove_old(str(tmp_path), 0)
    assert sorted(os.listdir(tmp_path)) == ["14.log"]
    assert remove_old(str(tmp_path / "nowhere"), 0) == ()
