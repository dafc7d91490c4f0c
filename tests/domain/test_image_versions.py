"""Versions written as text: how they compare, and what a condition holds for."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamaagent.domain.image import image_of, matching_images, natural_key, numbers_of, parse_condition

NUMBERS = st.lists(st.integers(0, 10**6), min_size=1, max_size=5)

TAGS = st.lists(st.text(string.ascii_letters + string.digits + ".-_", min_size=1, max_size=12))


def written(numbers: list[int]) -> str:
    return ".".join(map(str, numbers))


def holds(condition: str, version: str | None) -> bool:
    parsed = parse_condition(condition)
    assert parsed is not None
    return parsed.holds(version)


@pytest.mark.parametrize(
    ("condition", "good", "bad"),
    [
        (">=12.4", ["12.4", "12.4.0", "12.4.1.003", "12.10", "13"], ["12.3.2", "12", "9.9", None, "latest"]),
        (">=12.4,<13", ["12.4", "12.9.1"], ["13.0", "12.3"]),
        (">12.4", ["12.4.1", "12.5"], ["12.4.0", "12.4"]),
        ("<= 12.4", ["12.4.0", "11.8"], ["12.4.1"]),
        ("12.4", ["12.4", "12.4.1", "12.4.0"], ["12.40", "12.5", "12", "2.4"]),
        ("=12", ["12", "12.9.9"], ["120", "13"]),
        ("12.0", ["12", "12.0.1"], ["12.1"]),
        ("==12.4", ["12.4", "12.4.0"], ["12.4.1"]),
        ("!=12.4", ["12.4.1", "12"], ["12.4", "12.4.0"]),
        ("v12.4", ["12.4.1"], ["12.5"]),
    ],
)
def test_a_condition_holds_for_what_people_mean(
    condition: str, good: list[str], bad: list[str | None]
) -> None:
    assert [version for version in good if not holds(condition, version)] == []
    assert [version for version in bad if holds(condition, version)] == []


@pytest.mark.parametrize(
    "text", ["", ",", ">=", "latest", ">=12.4;", "12.x", "=>12", ">= 12 .4", "9" * 5000, "12.4,"]
)
def test_what_is_no_condition_is_none(text: str) -> None:
    assert parse_condition(text) is None


@given(NUMBERS, NUMBERS)
def test_versions_compare_as_their_numbers_do(one: list[int], other: list[int]) -> None:
    length = max(len(one), len(other))
    a, b = (numbers + [0] * (length - len(numbers)) for numbers in (one, other))
    first, second = written(one), written(other)
    assert holds(f">={second}", first) == (a >= b)
    assert holds(f"<{second}", first) == (a < b)
    assert holds(f"=={second}", first) == (a == b)
    assert holds(f"!={second}", first) == (a != b)
    assert holds(f">{second}", first) == holds(f"<{first}", second)


@given(NUMBERS, NUMBERS)
def test_numbers_alone_mean_everything_that_begins_so(one: list[int], more: list[int]) -> None:
    assert holds(written(one), written([*one, *more]))
    assert not holds(written(one), written([one[0] + 1, *one[1:], *more]))


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    found = numbers_of(text)
    assert found is None or all(isinstance(number, int) for number in found)
    condition = parse_condition(text)
    assert condition is None or condition.holds("12.4") in {True, False}


@given(st.text(max_size=60), NUMBERS)
def test_what_stands_behind_the_numbers_does_not_count(tail: str, numbers: list[int]) -> None:
    version = f"{written(numbers)}{'+' + tail}"
    assert numbers_of(version) == numbers_of(written(numbers))


@given(TAGS.flatmap(lambda tags: st.tuples(st.just(tags), st.permutations(tags))))
def test_tags_have_one_order(both: tuple[list[str], list[str]]) -> None:
    one, other = (sorted(tags, key=natural_key) for tags in both)
    assert [natural_key(tag) for tag in one] == [natural_key(tag) for tag in other]


def test_the_fullest_name_wins() -> None:
    images = [image_of("nvcr.io", "nvidia/pytorch"), image_of("docker.io", "pytorch/pytorch")]
    assert matching_images("nvidia/pytorch", images) == images[:1]
    assert matching_images("pytorch", images) == images
    assert matching_images("docker.io/*", images) == images[1:]
    assert matching_images("py", images) == []
