"""The log of an engine, cut anywhere, is the same lines."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from llamaagent.engine.lines import Line, joined, split_lines, unix_ns, where_news_begin, without_times

FIRST = "2026-11-26T00:08:07.25Z"


def stamp(ns: int) -> bytes:
    """As Docker writes it: without the zeros at its end."""
    fraction = f"{ns:09d}".rstrip("0")
    return f"2026-11-26T00:08:07{'.' if fraction else ''}{fraction}Z ".encode()


@given(
    st.lists(st.tuples(st.integers(0, 999_999_999), st.binary(max_size=40)), max_size=8),
    st.lists(st.integers(0, 600), max_size=6),
)
def test_cut_anywhere_it_is_the_same_lines(lines: list[tuple[int, bytes]], cuts: list[int]) -> None:
    texts = [(ns, text.replace(b"\n", b"").replace(b"20", b"")) for ns, text in lines]
    whole = b"".join(stamp(ns) + text + b"\n" for ns, text in texts)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[first:last] for first, last in pairwise(edges)]
    found = list(split_lines(pieces))
    assert [line.text for line in found] == [text + b"\n" for _, text in texts]
    base = unix_ns("2026-11-26T00:08:07Z")
    assert base is not None
    assert [line.ns - base for line in found] == [ns for ns, _ in texts]
    assert without_times(pieces) == b"".join(text + b"\n" for _, text in texts)


@given(st.lists(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4), max_size=5))
def test_a_line_that_the_engine_cut_is_whole_again(lines: list[list[bytes]]) -> None:
    clean = [[part.replace(b"\n", b"") for part in parts] for parts in lines]
    frames = [
        stamp(number) + part + (b"\n" if last == len(parts) - 1 else b"")
        for number, parts in enumerate(clean)
        for last, part in enumerate(parts)
    ]
    found = list(split_lines(joined(frames)))
    assert [line.text for line in found] == [b"".join(parts) + b"\n" for parts in clean]


def test_a_line_without_a_time_belongs_to_the_one_before() -> None:
    first, second = split_lines([b"2026-11-26T00:08:07Z one\ntwo\n"])
    assert (first.text, second.text, first.ns) == (b"one\n", b"two\n", second.ns)


def test_what_has_no_end_of_line_is_a_line_too() -> None:
    assert [line.text for line in split_lines([b"2026-11-26T00:08:07Z pa", b"rt"])] == [b"part"]


def test_times_are_compared_as_numbers() -> None:
    base = unix_ns("2026-11-26T00:08:07Z")
    assert base == 1795651687_000000000
    assert unix_ns(FIRST) == base + 250_000_000
    assert unix_ns("2026-11-26T01:08:07+01:00") == base
    assert unix_ns("2026-11-25T19:08:07.000000001-05:00") == base + 1
    assert unix_ns(None) is None
    assert unix_ns("yesterday") is None


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(0, 40), st.integers(0, 40))
def test_nothing_new_is_missed_while_the_log_is_whole(log: list[int], copied: int, marks: int) -> None:
    copied = min(copied, len(log))
    assert where_news_begin(log, copied, log[max(0, copied - marks - 1) : copied]) == copied


@given(st.permutations(range(40)), st.integers(1, 39), st.integers(0, 40), st.integers(1, 16))
def test_news_are_found_in_a_log_that_lost_its_beginning(
    log: list[int], copied: int, lost: int, marks: int
) -> None:
    """Of lines that differ: what was copied is not told again, and what is new is told."""
    found = where_news_begin(log[lost:], copied, log[max(0, copied - marks) : copied])
    assert log[lost:][found:] == log[max(copied, lost) :]


def test_where_lines_are_equal_none_is_copied_twice() -> None:
    assert where_news_begin([7, 7, 7, 8], 5, [7, 7, 7, 7, 7]) == 3
    assert where_news_begin([7, 7, 7], 5, [7, 7, 7, 7, 7]) == 3
    assert where_news_begin([8, 9], 5, [7, 7]) == 0


def test_the_mark_of_a_line_is_of_its_text_and_time() -> None:
    marks = {Line(ns, text).mark() for ns in (0, 1, 1_000_000_000, 10**18) for text in (b"", b"a\n", b"b\n")}
    assert len(marks) == 12
