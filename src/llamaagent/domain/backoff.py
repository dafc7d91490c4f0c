"""How long a server that ended by itself waits for its next try, and when no try is left. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.profile import Restart

_JITTER = 0.1  # of the wait, up or down: what ended together does not come back together
_MIX = 2654435761  # spreads sums of texts that differ in a letter
_DOUBLINGS = 32  # beyond any wait that can be declared


def delay_s(restart: Restart, failures: int, seed: str) -> int:
    """Seconds to wait after the n-th failure in a row: `backoff`, doubled each time up to `max_backoff`.

    failures: 1 or more. seed: names the launch; the same launch waits the same time, whoever asks.

    >>> from llamaagent.domain.profile import Restart
    >>> [round(delay_s(Restart(), n, "a"), -1) for n in (1, 2, 3)]
    [10, 20, 40]
    """
    longest = max(restart.backoff_s, restart.max_backoff_s)
    plain = min(longest, restart.backoff_s << min(max(failures, 1) - 1, _DOUBLINGS))
    import binascii

    mixed = binascii.crc32(f"{seed}:{failures}".encode()) * _MIX & 0xFFFFFFFF
    spread = mixed / 0xFFFFFFFF * 2 - 1
    return max(0, round(plain * (1 + _JITTER * spread)))


def longest_s(restart: Restart) -> int:
    """No wait is longer: one that is was written before the clock was set back."""
    return round(max(restart.backoff_s, restart.max_backoff_s) * (1 + _JITTER)) + 1


def restarts_before(restarts: int, healthy_s: int, reset_after_s: int) -> int:
    """Failures in a row before this end: a life that was healthy long enough starts the count anew."""
    return 0 if healthy_s >= reset_after_s else restarts


def gives_up(restart: Restart, recent: int) -> bool:
    """Whether that many failures within `give_up_after.within` are too many."""
    return restart.give_up_failures is not None and recent >= restart.give_up_failures
