"""What an engine tells of its container's log is copied once, whatever happens to its clock, its log or our copy.

The engine is the only fake: a list of lines with times, told from a second on, as Docker's API tells them.
"""

from __future__ import annotations

import os
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from llamaagent.base.clock import ManualClock
from llamaagent.reconcile.containerlogs import copy_log
from llamaagent.store import open_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llamaagent.domain.instance import Instance
    from llamaagent.reconcile.context import Context

NS = 1_000_000_000
NOW = 1_700_000_000


class Told:
    """A container whose log is `log`, and the agent's copy of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "box.log"
        self.db = open_database(str(folder / "la.db"))
        self.db.execute(
            "INSERT INTO instances (profile, kind, status, since_ts, created_ts)"
            " VALUES ('b', 'container', 'running', 1, 1)"
        )
        self.log: list[tuple[int, bytes]] = []
        self.clock = ManualClock(NOW)
        self.row = cast(
            "Instance", SimpleNamespace(id=1, log_path=str(self.path), container_id="c", engine="unix:///e")
        )

    def logs(self, _container: str, *, since: int = 0) -> Iterator[bytes]:
        for ns, text in self.log:
            if ns >= since * NS:
                when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // NS))
                yield f"{when}.{ns % NS:09d}Z ".encode() + text

    def copied(self, *, over: bool = False) -> bytes:
        engines = SimpleNamespace(at=lambda _url: self)
        given = SimpleNamespace(db=self.db, clock=self.clock, engines=lambda: engines)
        copy_log(cast("Context", given), self.row, over=over)
        return self.path.read_bytes()


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    made = Told(tmp_path)
    yield made
    made.db.close()


def test_a_log_that_lost_its_beginning_within_a_second_of_coarse_times(told: Told) -> None:
    """As Podman's: whole seconds, and a beginning that is thrown away when the log is full."""
    at = NOW * NS
    told.log = [(at, b"%d\n" % number) for number in range(100)]
    first = told.copied()
    told.log = [(at, b"%d\n" % number) for number in range(80, 140)]
    assert told.copied() == first + b"".join(b"%d\n" % number for number in range(100, 140))


def test_what_comes_after_the_clock_was_set_back_is_copied_once(told: Told) -> None:
    told.log = [(NOW * NS + number, b"before %d\n" % number) for number in range(20)]
    told.copied()
    told.clock.jump(-3600)
    for number in range(3):
        told.log.append(((NOW - 3600 + number) * NS, b"after %d\n" % number))
        told.copied()
        told.clock.sleep(1)
    told.clock.jump(3657)
    told.log.append(((NOW + 59) * NS, b"last\n"))
    assert told.copied() == b"".join(text for _, text in told.log)


def test_a_line_that_is_still_written_is_copied_when_it_is_whole_or_nobody_writes_it_any_more(
    told: Told,
) -> None:
    told.log = [(NOW * NS, b"one\n"), (NOW * NS, b"tw")]
    assert told.copied() == b"one\n"
    told.log[1:] = [(NOW * NS, b"two\n"), (NOW * NS, b"Password: ")]
    assert told.copied() == b"one\ntwo\n"
    assert told.copied(over=True) == b"one\ntwo\nPassword: "


def test_a_line_without_any_end_does_not_wait_for_ever(told: Told) -> None:
    told.log = [(NOW * NS, b"x" * (3 << 20))]
    assert len(told.copied()) >= 1 << 20


def test_our_copy_that_was_cut_goes_on_where_it_ends(told: Told) -> None:
    told.log = [(NOW * NS, b"old\n")]
    told.copied()
    os.truncate(told.path, 0)  # as upkeep does where the file system cannot punch holes
    told.log.append((NOW * NS + 1, b"new\n"))
    assert told.copied() == b"new\n"


def test_nothing_new_writes_nothing(told: Told) -> None:
    told.log = [(NOW * NS, b"one\n")]
    told.copied()
    before = told.db.total_changes()
    assert told.copied() == b"one\n"
    told.log.clear()
    told.copied()
    assert told.db.total_changes() == before
