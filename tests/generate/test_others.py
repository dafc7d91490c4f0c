"""Vectors and scores, as llama-server gives them and as it must not."""

from __future__ import annotations

import pytest

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.generate.others import scores_from, vectors_from


def test_answers_come_in_the_order_of_the_question() -> None:
    vectors = {"data": [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1, 0.5]}], "usage": {}}
    scores = {"results": [{"index": 1, "relevance_score": -3.5}, {"index": 0, "relevance_score": 1}]}

    assert vectors_from(vectors, 2) == [[1.0, 0.5], [2.0]]
    assert scores_from(scores, 2) == [1.0, -3.5]


@pytest.mark.parametrize(
    "found", [None, [], {}, {"data": 3}, {"data": [{"index": 0}]}, {"results": [{"index": 0}]}]
)
def test_anything_else_is_refused(found: object) -> None:
    with pytest.raises(ServiceUnavailableError, match="something else than 1 vectors"):
        vectors_from(found, 1)
    with pytest.raises(ServiceUnavailableError, match="something else than 1 scores"):
        scores_from(found, 1)
