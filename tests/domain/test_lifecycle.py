"""The table of states holds for everything that is decided, and the docs show this very table."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.lifecycle import NONE, TABLE, LifecycleError, as_markdown, follows
from llamaagent.domain.plan import Action

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_every_state_can_be_reached_and_every_one_but_the_last_can_be_left() -> None:
    reached = {NONE}
    for _ in TABLE:
        reached |= {row.end for row in TABLE if row.begin in reached}
    assert reached == {NONE, *st.STATUSES}
    assert {row.begin for row in TABLE if row.end != row.begin} == {NONE, *st.STATUSES}


def test_nothing_live_is_started_a_second_time() -> None:
    assert not [row for row in TABLE if row.begin in st.LIVE and row.action in {act.START, act.CANCEL}]
    assert not [row for row in TABLE if row.begin in st.OVER and row.end in {st.RUNNING, st.STOPPING}]


@given(some.sampled_from([None, *st.STATUSES]), some.sampled_from(sorted({row.action for row in TABLE})))
@settings(deadline=None)
def test_what_the_table_does_not_have_is_refused(status: str | None, kind: str) -> None:
    ends = {row.end for row in TABLE if (row.begin, row.action) == (status or NONE, kind)}
    action = Action(kind, "alpha", 1, "crash", status=st.ERROR)
    if ends:
        assert follows(status, action) in ends
    else:
        with pytest.raises(LifecycleError, match="alpha: no way from"):
            follows(status, action)


def test_an_end_names_the_state_it_leads_to() -> None:
    end = Action(act.END, "alpha", 1, "crash")
    assert follows(st.RUNNING, end._replace(status=st.STOPPED)) == st.STOPPED
    assert follows(st.RUNNING, end._replace(status=st.ERROR)) == st.ERROR
    with pytest.raises(LifecycleError):
        follows(st.RUNNING, end)


def test_the_docs_show_the_table() -> None:
    with open(os.path.join(ROOT, "docs", "lifecycle.md"), encoding="utf-8") as file:
        assert as_markdown() in file.read()
