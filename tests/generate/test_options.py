"""Options as they are typed, and what of them is refused."""

from __future__ import annotations

import pytest

from llamaagent.base.errors import UsageError
from llamaagent.generate.options import pairs, settings_of


def test_names_of_the_server_and_fields_of_the_request_both_do() -> None:
    assert settings_of({"temp": "0.2", "top_k": "40", "n-predict": 8, "ignore-eos": "true"}) == {
        "temperature": 0.2, "top_k": 40, "n_predict": 8, "ignore_eos": True,
    }  # fmt: skip
    assert settings_of({"temperature": 1, "stop": ["a", "b"], "samplers": "top_k;temperature"}) == {
        "temperature": 1.0, "stop": ["a", "b"], "samplers": ["top_k", "temperature"],
    }  # fmt: skip
    assert settings_of({"schema": '{"type": "object"}', "seed": None}) == {"json_schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"tempp": 1}, "tempp is not an option"),
        ({"temp": "warm"}, "temp is a number"),
        ({"temp": "nan"}, "temp is a number"),
        ({"temp": True}, "temp is a number"),
        ({"top-k": "1.5"}, "whole number"),
        ({"temp": 1, "temperature": 1}, "given twice"),
        ({"ignore-eos": "maybe"}, "true or false"),
        ({"schema": "{"}, "not JSON"),
        ({"grammar": "g", "schema": "{}"}, "exclude each other"),
        ({"grammar": 3}, "is a text"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        settings_of(given)


def test_pairs_need_a_sign() -> None:
    assert pairs(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    with pytest.raises(UsageError, match="NAME=VALUE"):
        pairs(["temp"])
