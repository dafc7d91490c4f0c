"""When a notification is sent, sent again, or given up. Pure."""

from __future__ import annotations

MOST_ATTEMPTS = 100
OLDEST_S = 86400
LONGEST_WAIT_S = 900


def is_over(ts: int, attempts: int, now: int) -> bool:
    """Whether it is given up: after a hundred attempts, or a day. ts: when it was noted."""
    return attempts >= MOST_ATTEMPTS or now - ts > OLDEST_S


def is_due(attempts: int, tried_ts: int | None, now: int) -> bool:
    """Whether to try now: at once the first time, then after 2, 4, 8, ... seconds, at most a quarter of an hour.

    A last try in the future was written before the clock was set back.

    >>> is_due(0, None, 5), is_due(3, 100, 107), is_due(3, 100, 108), is_due(3, 100, 50)
    (True, False, True, True)
    """
    if tried_ts is None or now < tried_ts:
        return True
    return now - tried_ts >= min(LONGEST_WAIT_S, 1 << min(attempts, 20))
