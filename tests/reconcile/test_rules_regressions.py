"""Mistakes that were made once, in the rules and in the store: each test is one of them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from little_world import NOW, alive, dead, kinds, override, profile, row

from llamaagent.base.errors import StoreFullError
from llamaagent.cli.loop import next_beat
from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain import sight as seen
from llamaagent.domain.profile import Health
from llamaagent.reconcile.decide import Subject
from llamaagent.store.connect import forsake, has_moved, open_database
from llamaagent.store.errors import translate

if TYPE_CHECKING:
    from pathlib import Path


def test_what_had_a_wrapper_was_launched_even_if_nobody_saw_its_pid() -> None:
    short = row(status=st.LOADING, pid=None, start_ticks=None)
    assert kinds(Subject("alpha", profile(), row=short, sight=dead(exit_known=False))) == [(act.END, "lost")]


def test_a_look_that_only_waits_counts_no_failed_probe() -> None:
    sick = alive(health=seen.TIMEOUT, http_status=None)
    subject = Subject("alpha", profile(), row=row(), sight=sick)
    assert kinds(subject) == [(act.FAILING, "health")]
    assert kinds(subject._replace(counts=False)) == []


@pytest.mark.parametrize(("age_s", "stops"), [(None, True), (10, False), (400, True)])
def test_the_start_timeout_goes_by_the_clock_since_boot(age_s: int | None, stops: bool) -> None:
    slow = row(status=st.LOADING, launched_ts=NOW - 100_000)
    subject = Subject(
        "alpha",
        profile(health=Health(start_timeout_s=300)),
        row=slow,
        sight=alive(health=seen.LOADING),
        age_s=age_s,
    )
    assert (kinds(subject) == [(act.STOP, "start-timeout")]) is stops


@pytest.mark.parametrize(("due", "now", "expected"), [
    (100.0, 100.5, 130.0),  # as it should be
    (100.0, 175.0, 190.0),  # missed beats are skipped
    (130.0, 105.0, 130.0),  # a signal between two beats moves none
    (4000.0, 105.0, 135.0),  # the interval was shortened
])  # fmt: skip
def test_the_beat_is_kept(due: float, now: float, expected: float) -> None:
    assert next_beat(due, 30, now) == expected


def test_a_full_disk_is_told_as_such_out_of_transactions_in_transactions(tmp_path: Path) -> None:
    path = str(tmp_path / "full.db")
    db = open_database(path)
    db.pragma("max_page_count", db.pragma("page_count") + 2)
    rows = [(str(number), "x" * 3000) for number in range(100)]
    with pytest.raises(StoreFullError), translate(path), db, db:
        db.executemany("INSERT INTO metadata VALUES (?, ?, 1)", rows)
    db.pragma("max_page_count", 1 << 20)
    with db:
        db.execute("INSERT INTO metadata VALUES ('after', 'x', 1)")
    db.close()


def test_letting_go_of_a_deleted_database_leaves_the_new_ones_wal_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "site.db")
    old = open_database(path)
    assert not has_moved(old)
    for suffix in ("", "-wal", "-shm"):
        os.unlink(path + suffix)
    assert has_moved(old)
    new = open_database(path)
    with new:
        new.execute("INSERT INTO metadata VALUES ('row', 'x', 1)")
    forsake(old)
    assert os.path.getsize(f"{path}-wal") > 0
    reader = open_database(path, write=False)
    assert reader.execute("SELECT value FROM metadata WHERE key = 'row'").fetchone() == ("x",)
    reader.close()
    new.close()


def test_a_lock_needs_no_space_for_its_text(tmp_path: Path) -> None:
    text = (
        "import resource, sys\n"
        "from llamaagent.base.clock import SystemClock\n"
        "from llamaagent.store.locks import Lock\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "with Lock(sys.argv[1], 'pass').take(SystemClock()):\n"
        "    pass\n"
    )
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    env = {"PYTHONPATH": os.path.join(root, "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-P", "-c", text, str(folder / "site.db")], env=env, check=True)


@pytest.mark.parametrize("action", ["start", "restart"])
def test_a_word_said_in_the_second_of_the_launch_that_ended_is_heard(action: str) -> None:
    over = row(status=st.ERROR, reason="crash", launched_ts=NOW, ended_ts=NOW, retry_ts=NOW + 10)
    said = Subject("alpha", profile(), row=over, override=override(action, created_ts=NOW))
    assert [kind for kind, _ in kinds(said)] == [act.START]
