"""Requests read from logs: real recordings in all four shapes, old builds, a router, and arbitrary cuts."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamaagent.collect.log import LogEvent, LogState, close_log, read_requests, settle, wall_time
from llamaagent.collect.logline import LogLine, parse_clock, parse_timing, split_line, strip_colours
from llamaagent.collect.logstate import MAX_LINE, MAX_OPEN

if TYPE_CHECKING:
    from llamaagent.domain.sample import Request

LOGS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "fixtures", "logs")
SERVERS = sorted(name for name in os.listdir(LOGS) if not name.startswith("end-"))


def recorded(name: str) -> bytes:
    with open(os.path.join(LOGS, name), "rb") as file:
        return file.read()


def requests_of(name: str) -> tuple[Request, ...]:
    return read_requests(LogState(), recorded(name))[1]


def test_real_server_requests_equal_what_http_answered() -> None:
    """The HTTP answers beside the recording: cache_n, prompt_n, predicted_n and both times."""
    found = requests_of("llama-server-b11434.log")
    figures = [(r.cached_tokens, r.prompt_tokens, r.generated_tokens) for r in found]
    assert figures == [
        (0, 23, 20),
        (23, 10, 1),
        (32, 1, 1),
        (0, 56, 5),  # the second choice of one chat: a child
        (0, 56, 5),
        (None, None, None),  # the client left
        (8, 1, 503),  # the context ran full, which is no shift
        (None, None, None),  # refused: longer than the context
    ]
    assert [r.finish_reason for r in found] == ["stop"] * 5 + ["cancelled", "stop", "error"]
    assert [r.is_child for r in found] == [False] * 3 + [True] + [False] * 4
    assert (found[6].prompt_time_ms, found[6].generation_time_ms, found[6].truncated) == (0.47, 113.41, True)
    assert (found[0].prompt_tokens_per_second, found[0].tokens_per_second) == (19674.94, 7593.92)
    assert (found[0].started_us, found[0].finished_us) == (27_351_948, 27_355_708)


def test_speculation_figures_are_read() -> None:
    found = requests_of("llama-server-b11434-speculation.log")
    assert [(r.draft_tokens, r.draft_accepted) for r in found] == [
        (None, None),
        (53, 53),
        (70, 70),
        (105, 105),
    ]
    assert [r.cached_tokens for r in found] == [0, 96, 96, 96]


def test_an_embedding_has_prompt_tokens_only() -> None:
    found = requests_of("llama-server-b11434-embeddings.log")
    assert [(r.task_id, r.prompt_tokens, r.generated_tokens) for r in found] == [
        (0, 9, 0), (3, 11, 0), (2, 15, 0), (5, 1, 3), (9, 9, 0),
    ]  # fmt: skip
    assert {r.finish_reason for r in found} == {"stop"}


def test_the_embedded_server_prints_the_same() -> None:
    state, found, events = read_requests(LogState(), recorded("xllamacpp-11549.log"))
    assert [(r.cached_tokens, r.prompt_tokens, r.generated_tokens) for r in found] == [(0, 23, 20)]
    assert [event.kind for event in events] == ["build", "slots", "model-loaded", "listening"]
    assert state.last_us == 5_950_090


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("llama-server-b11434-plain.log", [(0, 9, 503), (8, 1, 7)]),
        ("llama-server-b11434-jsonl.log", [(0, 9, 30)]),
        ("llama-server-b11434-colours.log", [(None, 9, 700), (1, 8, 7)]),  # the first was shifted
    ],
)
def test_every_log_format_gives_the_same_figures(
    name: str, figures: list[tuple[int | None, int, int]]
) -> None:
    assert [(r.cached_tokens, r.prompt_tokens, r.generated_tokens) for r in requests_of(name)] == figures


def test_older_builds_print_the_release_first() -> None:
    state, found, events = read_requests(LogState(), recorded("llama-server-release-first.log"))
    assert [(r.task_id, r.prompt_tokens, r.generated_tokens, r.draft_accepted) for r in found] == [
        (0, 177, 274, 171), (290, None, None, None),
    ]  # fmt: skip
    assert [(event.kind, event.numbers) for event in events] == [
        ("build", ()), ("gpu-layers", (33, 33)), ("listening", ()),
    ]  # fmt: skip
    assert not state.settled  # the last one may still get a draft line
    state, rest = settle(state)
    assert state.settled
    assert [(r.task_id, r.generated_tokens, r.total_time_ms, r.prompt_tokens_per_second) for r in rest] == [
        (300, 20, 30.0, None)
    ]
    assert rest[0].cached_tokens is None  # truncated by a build that also cuts prompts


def test_children_of_a_router_are_kept_apart() -> None:
    found = requests_of("llama-server-router.log")
    assert [(r.prompt_tokens, r.draft_tokens, r.finish_reason) for r in found] == [
        (30, 144, "stop"), (None, None, "cancelled"),
    ]  # fmt: skip


def test_every_recording_is_read_to_its_end() -> None:
    for name in SERVERS:
        state, found, _events = read_requests(LogState(), recorded(name))
        assert found, name
        assert not state.partial, name


WHOLE = b"".join(recorded(name) for name in SERVERS)


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_cutting_the_log_anywhere_changes_nothing(cuts: list[int]) -> None:
    """Also when the state goes through its row between any two pieces."""
    expected_state, expected, events = read_requests(LogState(), WHOLE)
    state, found, told = LogState(), [], []
    edges = [0, *sorted(cuts), len(WHOLE)]
    for start, end in itertools.pairwise(edges):
        state, some, news = read_requests(LogState.from_json(state.to_json()), WHOLE[start:end])
        found += some
        told += news
    assert tuple(found) == expected
    assert tuple(told) == events
    assert state == expected_state


def test_cutting_the_log_between_all_bytes_changes_nothing() -> None:
    data = recorded("llama-server-b11434.log")
    state, found = LogState(), []
    for position in range(len(data)):
        state, some, _ = read_requests(state, data[position : position + 1])
        found += some
    assert tuple(found) == requests_of("llama-server-b11434.log")


LINES = [*recorded("llama-server-b11434.log").splitlines(keepends=True), b"\x1b[1", b'{"msg":']


@settings(max_examples=100, deadline=None)
@given(lines=st.lists(st.sampled_from(LINES), max_size=40), rubbish=st.binary(max_size=50))
def test_lines_in_any_order_and_rubbish_are_survived(lines: list[bytes], rubbish: bytes) -> None:
    state, _, _ = read_requests(LogState(), b"".join(lines) + rubbish)
    assert LogState.from_json(state.to_json()) == state


def test_a_megabyte_without_a_line_end_does_no_harm() -> None:
    good = recorded("llama-server-b11434.log")
    state, found, _ = read_requests(LogState(), good[: good.index(b"processing task")])
    for _ in range(16):
        state, some, _ = read_requests(state, b"x" * 65536)
        found += some
        assert len(state.to_json()) < 2 * MAX_LINE
    state, some, _ = read_requests(state, b"\n" + good)
    assert some == requests_of("llama-server-b11434.log")


def test_a_long_line_is_dropped_in_one_piece_as_in_many() -> None:
    long = (
        b"0.00.001.000 I slot launch_slot_: id  0 | task 1 | processing task, is_child = 0"
        + b" " * MAX_LINE
        + b"\n"
    )
    assert read_requests(LogState(), long)[0].open == ()
    state, _, _ = read_requests(LogState(), long[:20000])
    assert read_requests(state, long[20000:])[0].open == ()


def test_requests_in_flight_are_bounded() -> None:
    lines = b"".join(
        b"0.00.001.000 I slot launch_slot_: id %d | task %d | processing task, is_child = 0\n" % (n, n)
        for n in range(MAX_OPEN + 5)
    )
    state, found, _ = read_requests(LogState(), lines)
    assert len(state.open) == MAX_OPEN
    assert [(r.task_id, r.finish_reason) for r in found] == [(n, None) for n in range(5)]


def test_a_slot_given_to_another_task_ends_the_first() -> None:
    lines = (
        b"slot launch_slot_: id 0 | task 1 | processing task, is_child = 0\n"
        b"slot launch_slot_: id 0 | task 2 | processing task, is_child = 0\n"
    )
    _, found, _ = read_requests(LogState(), lines)
    assert [(r.task_id, r.finish_reason) for r in found] == [(1, None)]


def test_what_was_running_when_the_server_ended_counts_as_cancelled() -> None:
    log = recorded("llama-server-b11434.log")
    state, _, _ = read_requests(LogState(), log[: log.index(b"slot      release: id  3 | task 0 ")])
    cleared, found = close_log(state)
    assert cleared == LogState()
    assert [(r.task_id, r.finish_reason) for r in found] == [(0, "stop")]  # all figures were there already
    state, _, _ = read_requests(LogState(), log[: log.index(b"slot print_timing: id  3 | task 0 ")])
    assert [r.finish_reason for r in close_log(state)[1]] == ["cancelled"]


def test_a_state_of_another_version_starts_anew() -> None:
    for text in (None, "", "{}", "null", "[1]", '{"partial": 3}', '{"open": [[1]]}', "not json"):
        assert LogState.from_json(text) == LogState()


def test_times_count_from_the_launch() -> None:
    assert parse_clock(b"132.05.318.177") == (132 * 60 + 5) * 1_000_000 + 318_177
    assert parse_clock(b"127.0.0.1") is None
    assert parse_clock(b"1.2.3") is None
    assert wall_time(1_763_000_000, 2_900_000) == 1_763_000_002
    assert wall_time(1_763_000_000, None) is None


def test_prefixes_come_off_in_every_combination() -> None:
    plain = LogLine(b"srv  x: y", None, 1_000, "W")
    assert split_line(b"0.00.001.000 W srv  x: y\r") == (plain,)
    assert split_line(b"\x1b[34m0.00.001.000\x1b[0m \x1b[35mW srv  x: y\x1b[0m") == (plain,)
    assert split_line(b"[8101] 0.00.001.000 W srv  x: y") == (plain._replace(port=8101),)
    assert split_line(b'{"type":"log","time":1000,"level":"warn","msg":"srv  x: y\\n"}') == (plain,)
    assert split_line(b'{"type":"fit_memory_breakdown","data":{}}') == ()
    assert split_line(b"W srv  x: y") == (plain._replace(at_us=None),)
    assert strip_colours(b"a\x1b[1;31mb\x1b[0m") == b"ab"


@pytest.mark.parametrize(
    ("text", "timing"),
    [
        (b"prompt eval time =     1.17 ms /  23 tokens (  0.05 ms per token, 19674.94 tokens per second)",
         ("prompt", 1.17, 23, 19674.94)),
        (b"eval time = 2.5 ms / 20 runs   (0.13 ms per token, 7593.92 tokens per second)",
         ("generation", 2.5, 20, 7593.92)),
        (b"eval time = nan ms / 0 tokens (-nan ms per token, inf tokens per second)",
         ("generation", None, 0, None)),
        (b"total time =  3.67 ms /    43 tokens", ("total", 3.67, 43, None)),
        (b"load time = 3.67 ms", None),
        (b"eval time = soon", None),
    ],
)  # fmt: skip
def test_timing_lines(text: bytes, timing: tuple[str, float | None, int | None, float | None] | None) -> None:
    assert parse_timing(text) == timing


def test_events_carry_their_time_and_numbers() -> None:
    _, _, events = read_requests(LogState(), recorded("llama-server-b11434.log"))
    assert events[0] == LogEvent(
        "slots",
        "srv    load_model: initializing, n_slots = 4, n_ctx_slot = 512, kv_unified = 'false'",
        11_766,
        (4, 512),
    )
    assert [(event.kind, event.at_us) for event in events[1:]] == [
        ("model-loaded", 13_652),
        ("listening", 13_657),
    ]
