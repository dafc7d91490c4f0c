"""The counters of llama-server's /metrics page. Source: tools/server/server-task.cpp, read at b11434.

The page's own rates are averages since the last scrape, whoever made it, so two readers spoil each other's:
only counters and the two request gauges are taken. The header Process-Start-Time-Unix is no Unix time and
is ignored.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple

_PREFIX = b"llamacpp:"
_COUNTS = {
    b"prompt_tokens_total": "prompt_tokens_total",
    b"prompt_tokens_cached_total": "cached_tokens_total",
    b"tokens_predicted_total": "predicted_tokens_total",
    b"n_decode_total": "decode_total",
    b"requests_processing": "requests_processing",
    b"requests_deferred": "requests_deferred",
}
_SECONDS = {
    b"prompt_seconds_total": "prompt_ms_total",
    b"tokens_predicted_seconds_total": "predicted_ms_total",
}
_LIMIT = 1 << 62  # beyond it the number is rubbish and would not fit an SQLite integer


class ServerCounters(NamedTuple):
    """Counters since the server's start and two gauges; None where the server does not print the name."""

    prompt_tokens_total: int | None = None  # without those that came from the cache
    cached_tokens_total: int | None = None
    predicted_tokens_total: int | None = None
    prompt_ms_total: int | None = None
    predicted_ms_total: int | None = None
    decode_total: int | None = None
    requests_processing: int | None = None
    requests_deferred: int | None = None

    @property
    def tokens(self) -> int | None:
        """Tokens evaluated and generated: every completion moves them. None when it counts neither."""
        known = [
            count for count in (self.prompt_tokens_total, self.predicted_tokens_total) if count is not None
        ]
        return sum(known) if known else None

    @property
    def in_progress(self) -> int | None:
        """Requests that it works on or has queued."""
        if self.requests_processing is None:
            return None
        return self.requests_processing + (self.requests_deferred or 0)


def parse_metrics(text: bytes) -> ServerCounters:
    """Pick the known names out of a page in Prometheus text format.

    Seconds become whole milliseconds. Unknown names, labelled series and values that are no finite
    number are passed over, so a newer server's page is still read.
    """
    found: dict[str, int] = {}
    for line in text.split(b"\n"):
        if not line.startswith(_PREFIX):
            continue
        name, _, value = line[len(_PREFIX) :].partition(b" ")
        field = _COUNTS.get(name)
        factor = 1
        if field is None:
            field = _SECONDS.get(name)
            factor = 1000
        if field is not None and (number := _number(value, factor)) is not None:
            found[field] = number
    return ServerCounters(**found)


def difference(now: int | None, before: int | None) -> int | None:
    """What a counter gained since `before`.

    None when either is unknown, and when it went backwards: a server's counters never do while it lives,
    so the two readings are not of one life and their difference means nothing.
    """
    return None if now is None or before is None or now < before else now - before


def _number(text: bytes, factor: int) -> int | None:
    words = text.split()
    if not words:
        return None
    try:
        value = float(words[0]) * factor
    except ValueError:
        return None
    return round(value) if 0 <= value < _LIMIT else None  # false for nan as well
