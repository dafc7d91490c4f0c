"""Quantities as people type them: spelling and value are opposites, and every refusal says what to write."""

import doctest
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamaagent.base import units

NOW = int(datetime(2026, 11, 21, 9, 30, tzinfo=UTC).timestamp())  # a Saturday


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(units).failed == 0


@settings(max_examples=200)
@given(st.integers(0, 2**40))
def test_a_duration_survives_its_spelling(seconds: int) -> None:
    assert units.parse_duration(units.format_duration(seconds)) == seconds


@settings(max_examples=200)
@given(st.integers(0, 2**62))
def test_a_size_survives_its_spelling(size: int) -> None:
    assert units.parse_size(units.format_size(size)) == size


@settings(max_examples=200)
@given(st.one_of(st.integers(0, 10**12), st.floats(0, 1e9, allow_nan=False)))
def test_an_amount_survives_its_spelling(amount: float) -> None:
    assert units.parse_count(units.format_count(amount)) == pytest.approx(amount, abs=1e-15)


@given(st.integers(0, 10**9), st.sampled_from([3600, 86400, 604800, 2592000]))
def test_a_rate_survives_its_spelling(amount: int, window: int) -> None:
    assert units.parse_rate(units.format_rate((float(amount), window))) == (float(amount), window)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("7d", 604800),
        ("2w", 1209600),
        ("0", 0),
        (" 5 m ", 300),
    ],
)
def test_durations_are_whole_seconds(text: str, seconds: int) -> None:
    assert units.parse_duration(text) == seconds


def test_never_is_none_and_refused_where_it_makes_no_sense() -> None:
    assert units.parse_duration("never") is None
    with pytest.raises(units.UnitError, match="'never' is not possible here"):
        units.parse_seconds("never")


@pytest.mark.parametrize(
    "text", ["", "m", "5x", "-3s", "5s5", "1e3s", "٣s", "1..5h", "0.5s", "s5", "99999999999999999999d"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(units.UnitError):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (units.parse_duration, "30", "'30' has no unit: write 30s, 30m, 30h or 30d"),
        (units.parse_size, "512", "'512' has no unit: write 512MiB or 512GiB"),
        (units.parse_size, "9G", "'9G' is no size: write 9GiB (1024-based) or 9GB (1000-based)"),
        (
            units.parse_rate,
            "100",
            "'100' is no amount per window: write 100/week, 5M/day, or per hour or month",
        ),
        (units.parse_count, "5 apples", "'5 apples' is no amount: write 100, 20k, 5M or 1G"),
    ],
)
def test_a_refusal_says_what_to_write(parse, text: str, message: str) -> None:  # noqa: ANN001
    with pytest.raises(units.UnitError) as caught:
        parse(text)
    assert str(caught.value) == message


def test_sizes_know_both_families_of_units() -> None:
    assert units.parse_size("9GiB") == 9 * 2**30
    assert units.parse_size("1.5GB") == 1_500_000_000
    assert units.parse_size("9007199254740993B") == 9007199254740993
    assert units.parse_mib("1GB") == 954  # rounded up


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-21T09:30"),
        ("2h", "2026-11-21T07:30"),
        ("today", "2026-11-21T00:00"),
        ("yesterday", "2026-11-20T00:00"),
        ("mon", "2026-11-16T00:00"),
        ("saturday", "2026-11-21T00:00"),
        ("08:00", "2026-11-21T08:00"),
        ("10:00", "2026-11-20T10:00"),
        ("2026-11-01", "2026-11-01T00:00"),
        ("2026-11-01 12:30", "2026-11-01T12:30"),
        ("2026-11-01T12:30+01:00", "2026-11-01T11:30"),
        ("@1700000000", "2023-11-14T22:13:20"),
    ],
)
def test_moments_in_the_past(text: str, expected: str) -> None:
    moment = datetime.fromtimestamp(units.parse_when(text, NOW, UTC), UTC)
    assert moment == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", "2026-11-21T11:30"),
        ("08:00", "2026-11-22T08:00"),
        ("10:00", "2026-11-21T10:00"),
        ("mon", "2026-11-23T00:00"),
    ],
)
def test_moments_ahead(text: str, expected: str) -> None:
    moment = datetime.fromtimestamp(units.parse_when(text, NOW, UTC, future=True), UTC)
    assert moment == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_days_begin_in_the_zone_that_is_given() -> None:
    east = timezone(timedelta(hours=9))
    assert units.parse_when("today", NOW, east) == int(datetime(2026, 11, 20, 15, tzinfo=UTC).timestamp())
    berlin = ZoneInfo("Europe/Berlin")
    summer = int(datetime(2026, 3, 29, 12, tzinfo=UTC).timestamp())  # the clocks went forward that night
    assert units.parse_when("today", summer, berlin) == int(datetime(2026, 3, 28, 23, tzinfo=UTC).timestamp())


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2026-13-01", "monkey"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(units.UnitError, match="write 2h"):
        units.parse_when(text, NOW, UTC)


def test_an_age_of_millennia_is_refused() -> None:
    with pytest.raises(units.UnitError, match="too far away"):
        units.parse_when("9999999d", NOW, UTC)
