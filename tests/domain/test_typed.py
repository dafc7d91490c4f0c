"""Typed values of `config`: what is read back is what was put in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamaagent.base.errors import BadInputError
from llamaagent.domain.typed import check_key, decode, encode, from_words

PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NAMES = {bool: "bool", int: "int", float: "float", str: "str"}


@given(VALUES)
def test_what_is_read_back_is_what_was_put_in(value: object) -> None:
    text, value_type = encode(value)

    back = decode(text, value_type)

    assert (repr(back), type(back)) == (repr(value), type(value))  # repr: 1 and 1.0 and True are equal
    assert value_type == NAMES.get(type(value), "json")


@given(VALUES)
def test_what_is_printed_can_be_typed_again_with_its_type(value: object) -> None:
    text, value_type = encode(value)
    typed = value if isinstance(value, str) else text

    assert repr(from_words(typed, value_type)) == repr(value)


@given(st.text())
def test_any_text_is_taken_without_a_type(text: str) -> None:
    value = from_words(text)

    assert isinstance(value, str) is (value == text)
    decode(*encode(value) if isinstance(value, str) else (json.dumps(value), "json"))


@pytest.mark.parametrize(
    "value",
    [float("nan"), [float("inf")], (1, 2), {1: 2}, {1, 2}, b"x", object()],
    ids=lambda value: type(value).__name__,
)
def test_what_would_not_come_back_is_refused(value: object) -> None:
    with pytest.raises(BadInputError):
        encode(value)


def test_what_is_nested_too_deep_or_too_large_is_refused() -> None:
    nested: list[object] = []
    for _ in range(2000):
        nested = [nested]
    for value in (nested, "x" * (2 << 20), 10**5000):
        with pytest.raises(BadInputError):
            encode(value)


@pytest.mark.parametrize(
    ("word", "kind"), [("x", "int"), ("1.5", "int"), ("yes", "bool"), ("nan", "float"), ("{", "json")]
)
def test_a_word_of_another_type_is_refused(word: str, kind: str) -> None:
    with pytest.raises(BadInputError, match=kind):
        from_words(word, kind)


@pytest.mark.parametrize("key", ["", "-x", "a b", "a\n", "ä", "x" * 201])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(BadInputError):
        check_key(key)


def test_a_secret_is_a_reference_or_refused() -> None:
    for key in ("hf_token", "api_key", "db.password", "hfToken", "apikey"):
        with pytest.raises(BadInputError, match="secret"):
            check_key(key, "hunter2")
        assert check_key(key, "env:NAME") == key
    assert check_key("default_max_tokens", "512") == "default_max_tokens"
