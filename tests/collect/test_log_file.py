"""Reading a growing, cut, replaced or absent log file."""

from __future__ import annotations

import os

import pytest

from llamaagent.collect.log import LogState, has_news, read_log, read_requests, read_tail

LOGS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "fixtures", "logs")
with open(os.path.join(LOGS, "llama-server-b11434.log"), "rb") as _file:
    DATA = _file.read()
ALL = read_requests(LogState(), DATA)[1]


@pytest.fixture
def path(tmp_path: object) -> str:
    return f"{tmp_path}/server.log"


def append(path: str, data: bytes) -> None:
    with open(path, "ab") as file:
        file.write(data)


def test_a_growing_file_is_read_once(path: str) -> None:
    found: list[object] = []
    inode, offset, state = None, 0, LogState()
    for start in range(0, len(DATA), 700):
        append(path, DATA[start : start + 700])
        chunk = read_log(path, inode, offset, state)
        inode, offset, state = chunk.inode, chunk.offset, chunk.state
        assert not chunk.truncated
        found += chunk.requests
    assert tuple(found) == ALL
    assert offset == len(DATA)
    assert inode == os.stat(path).st_ino
    assert not has_news(path, inode, offset)


def test_an_absent_file_changes_nothing(path: str) -> None:
    assert read_log(path, 5, 7, LogState()) == (5, 7, LogState(), (), (), False, False, False)
    assert not has_news(path, None, 0)


def test_a_hole_is_passed_over_and_not_read(path: str) -> None:
    """An older copy of the database was put back: the offset is before what was given back meanwhile."""
    with open(path, "wb") as file:
        file.truncate(50 << 30)
        file.seek(50 << 30)
        file.write(b"rest of a line\n" + DATA)
    chunk = read_log(path, None, 4096, LogState(partial=b"0.01.000.000 I slot "))
    assert chunk.requests == ALL
    assert not chunk.more
    with open(path, "wb") as file:
        file.truncate(50 << 30)
    chunk = read_log(path, None, 0, LogState())
    assert (chunk.offset, chunk.requests) == (50 << 30, ())


def test_a_limit_leaves_the_rest_for_the_next_time(path: str) -> None:
    append(path, DATA)
    first = read_log(path, None, 0, LogState(), max_bytes=3000)
    assert (first.offset, first.more) == (3000, True)
    second = read_log(path, first.inode, first.offset, first.state)
    assert first.requests + second.requests == ALL
    assert not second.more


def test_a_cut_file_is_read_from_its_start_and_keeps_what_is_in_flight(path: str) -> None:
    """Rotation by copy and truncate while a request is running."""
    half = DATA.rindex(b"\n", 0, DATA.index(b"slot print_timing: id  3 | task 0 |")) + 1
    append(path, DATA[:half])
    before = read_log(path, None, 0, LogState())
    assert len(before.state.open) == 1
    os.truncate(path, 0)
    append(path, DATA[half:][:600])
    after = read_log(path, before.inode, before.offset, before.state)
    assert after.truncated
    assert [r.task_id for r in after.requests] == [0]


def test_a_new_file_of_that_name_is_a_new_log(path: str, tmp_path: object) -> None:
    append(path, DATA[: DATA.index(b"slot print_timing: id  3 | task 0 |")])
    before = read_log(path, None, 0, LogState())
    append(f"{tmp_path}/other", DATA)
    os.replace(f"{tmp_path}/other", path)
    assert has_news(path, before.inode, before.offset)
    after = read_log(path, before.inode, before.offset, before.state)
    assert after.truncated
    assert after.requests == ALL


def test_a_request_held_for_late_lines_is_closed_by_a_quiet_reading(path: str) -> None:
    with open(os.path.join(LOGS, "llama-server-release-first.log"), "rb") as file:
        append(path, file.read())
    first = read_log(path, None, 0, LogState())
    assert [r.task_id for r in first.requests] == [0, 290]
    second = read_log(path, first.inode, first.offset, first.state)
    assert [r.task_id for r in second.requests] == [300]
    assert read_log(path, second.inode, second.offset, second.state).requests == ()


def test_a_link_in_place_of_the_log_is_not_followed(path: str, tmp_path: object) -> None:
    append(f"{tmp_path}/secret", DATA)
    os.symlink(f"{tmp_path}/secret", path)
    assert read_log(path, None, 0, LogState()).requests == ()
    assert read_tail(path) == b""


def test_the_tail_is_the_last_bytes(path: str) -> None:
    append(path, DATA)
    assert read_tail(path, 100) == DATA[-100:]
    assert read_tail(path + ".gone") == b""
