"""Our own request is known again in the server's log, and nobody else's is taken for it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llamaagent.domain.probe import Mark, is_ours, without_ours
from llamaagent.domain.sample import Request

NOW = 1_800_000_000
OURS = Mark(NOW, NOW, slot=1, prompt_tokens=3, generated_tokens=1, prompt_ms=312.998, generation_ms=0.001)


def request(**keys: object) -> Request:
    """The line of OURS as the log prints it: two decimals."""
    made: dict[str, object] = dict.fromkeys(Request._fields)
    made |= {"slot_id": 1, "task_id": 7, "prompt_tokens": 3, "generated_tokens": 1, "finish_reason": "stop"}
    made |= {"prompt_time_ms": 313.0, "generation_time_ms": 0.0, "is_child": False, "truncated": False}
    return Request(**(made | keys))  # type: ignore[arg-type]


def test_the_figures_of_the_answer_are_those_of_the_log() -> None:
    assert is_ours(OURS, request(), None)


@given(
    st.sampled_from(
        [
            {"slot_id": 0},
            {"prompt_tokens": 4},
            {"generated_tokens": 2},
            {"prompt_time_ms": 313.02},
            {"generation_time_ms": 0.02},
        ]
    )
)
def test_a_request_that_differs_in_one_figure_is_a_users(other: dict[str, object]) -> None:
    assert not is_ours(OURS, request(**other), NOW)


def test_one_that_was_not_answered_is_known_by_its_time_and_by_having_no_figures() -> None:
    cut = Mark(NOW, NOW + 5)
    blank = request(finish_reason="cancelled", prompt_tokens=None, generated_tokens=None, prompt_time_ms=None)
    assert is_ours(cut, blank, NOW + 1)
    assert not is_ours(cut, blank, NOW + 60)
    assert not is_ours(cut, request(), NOW + 1)


def test_an_embedding_is_known_by_its_time_and_its_prompt() -> None:
    mark = Mark(NOW, NOW, prompt_tokens=5)
    line = request(prompt_tokens=5, generated_tokens=0, prompt_time_ms=None)
    assert is_ours(mark, line, NOW)
    assert not is_ours(mark, line._replace(prompt_tokens=6), NOW)
    assert not is_ours(mark, line, NOW - 100)


def test_a_mark_answers_for_one_request() -> None:
    twice = ((request(), NOW), (request(), NOW))
    left, found = without_ours((OURS,), twice)
    assert (left, found) == ((), (0,))
    left, found = without_ours((OURS,), ((request(slot_id=0), NOW),))
    assert (left, found) == ((OURS,), ())
