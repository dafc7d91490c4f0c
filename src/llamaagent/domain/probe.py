"""What one token asked for by ourselves says of a server, and how that request is known again in the log. Pure.

A health answer comes from the HTTP threads of llama-server, so a server whose card has failed goes on giving it. Only a
token shows that the model still computes. The request is ours and no user's: its tokens are kept apart, and its line in
the server's log is recognised by the figures that the answer gave, which the log prints with the same rounding.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.sample import Request

# What became of one question for a token.
TOKEN = "token"  # noqa: S105 - it came
WELL = "well"  # a command of the profile's own ended with 0
ASLEEP = "asleep"  # not asked: it would wake the server
QUIET = "quiet"  # not asked: nobody used the server since the last time, so it may fall asleep
BUSY = "busy"  # not asked: every slot is taken, the question would only queue
UNABLE = "unable"  # the server has no such endpoint, or refuses the question itself
FAILED = "failed"  # asked, and answered with a failure
TIMEOUT = "timeout"  # asked, and not answered in time

DUE_START = "start"
DUE_ERROR = "error"
MARKS = 8  # requests of ours that the log has not shown yet; older ones are given up
_SLACK_S = 2  # the log counts from the server's start, which we know to the second
_SLACK_MS = 0.0101  # the log has two decimals


class Mark(NamedTuple):
    """One request of ours, as far as the log will show it. prompt_ms None: the answer had no timings, or none came."""

    asked_ts: int
    until_ts: int
    slot: int | None = None
    prompt_tokens: int | None = None
    generated_tokens: int | None = None
    prompt_ms: float | None = None
    generation_ms: float | None = None


class Verdict(NamedTuple):
    """The outcome of a probe that goes beyond the health answer. tokens: what it used, of the server's counters."""

    word: str
    detail: str | None = None
    latency_ms: int | None = None
    tokens: int = 0
    mark: Mark | None = None

    @property
    def bad(self) -> bool:
        """The server does not do what it is there for."""
        return self.word in {FAILED, TIMEOUT}

    @property
    def settles(self) -> bool:
        """Nothing more is to be asked: a token came, or none can be had in this way."""
        return self.word in {TOKEN, UNABLE}


class Watched(NamedTuple):
    """What the row of a launch remembers for its health from pass to pass."""

    instance_id: int
    due: str | None = None  # why a token is to be asked for
    stalled_boottime_s: int | None = None  # busy without a new token since
    tokens: int = 0  # used by our own questions since the launch
    used: int | None = None  # the users' tokens when a token was asked for last
    marks: tuple[Mark, ...] = ()


def is_ours(mark: Mark, request: Request, begun_ts: int | None) -> bool:
    """Whether this request in the log is the one of the mark. begun_ts: None when the log has no times.

    With timings the figures decide. Without them (embeddings, rerank, an answer that never came) it is the time, and
    that the log knows no more of the request than it would of ours.
    """
    if mark.prompt_ms is not None:
        return (
            request.slot_id == mark.slot
            and request.prompt_tokens == mark.prompt_tokens
            and request.generated_tokens == mark.generated_tokens
            and _near(request.prompt_time_ms, mark.prompt_ms)
            and _near(request.generation_time_ms, mark.generation_ms)
        )
    if begun_ts is not None and not mark.asked_ts - _SLACK_S <= begun_ts <= mark.until_ts + _SLACK_S:
        return False
    if mark.prompt_tokens is not None:
        return request.prompt_tokens == mark.prompt_tokens and not request.generated_tokens
    return request.finish_reason != "stop" and request.generated_tokens is None


def without_ours(
    marks: tuple[Mark, ...], requests: tuple[tuple[Request, int | None], ...]
) -> tuple[tuple[Mark, ...], tuple[int, ...]]:
    """Which requests are ours: the marks that are still waited for, and the places of those that were found.

    requests: each with when it began, Unix seconds. A mark answers for one request.
    """
    left = list(marks)
    found: list[int] = []
    for place, (request, begun_ts) in enumerate(requests):
        for mark in left:
            if is_ours(mark, request, begun_ts):
                left.remove(mark)
                found.append(place)
                break
    return tuple(left), tuple(found)


def _near(printed: float | None, told: float | None) -> bool:
    return printed is None or told is None or abs(printed - told) < _SLACK_MS
