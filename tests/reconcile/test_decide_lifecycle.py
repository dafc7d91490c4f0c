"""`decide` yields no transition that the written table does not have, whatever the world is like."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as some
from little_world import NOW
from test_decide_laws import hosts

from llamaagent.domain import instance as st
from llamaagent.domain.lifecycle import follows
from llamaagent.reconcile.again import Past
from llamaagent.reconcile.decide import World, decide

_PASTS = some.none() | some.builds(
    Past, some.integers(0, 9), some.sampled_from([None, "good"]), some.just("yesterday"), some.booleans(),
    some.sampled_from([None, "/m.gguf"]),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    hosts(),
    some.lists(_PASTS, min_size=4, max_size=4),
    some.booleans(),
    some.integers(-10_000_000, 10_000_000),
)
def test_every_decided_action_is_a_row_of_the_table(
    host: object, pasts: list[Past | None], back: bool, off: int
) -> None:
    looked = host.world()  # type: ignore[attr-defined]
    subjects = []
    for subject, past in zip(looked.subjects, pasts, strict=False):
        gave_up = (
            subject.row is not None
            and subject.row.status == st.ERROR
            and past is not None
            and past.recent > 6
        )
        row = subject.row._replace(gave_up_ts=NOW) if gave_up else subject.row
        subjects.append(subject._replace(row=row, past=past, rolled_back=back, stalled_s=off % 1000))
    by_name = {subject.name: subject.row for subject in subjects}
    for action in decide(World(NOW + off, tuple(subjects))).actions:
        row = by_name[action.profile]
        assert follows(row.status if row is not None else None, action) in st.STATUSES
