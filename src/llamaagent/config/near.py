"""The nearest known name for one that nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST = 60  # a longer word is no typing error
MOST = 20  # suggestions in one map; searching costs milliseconds, and a file may hold a hundred thousand keys


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like this one, None when none is near.

    >>> nearest("temperature-", ["temp", "temperature", "top-k"])
    'temperature'
    """
    from difflib import get_close_matches

    if len(word) > _LONGEST:
        return None
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return near[0] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'state'?`, or nothing when no known word is near.

    >>> did_you_mean("stat", ["state", "stop"]), did_you_mean("xyz", ["state"])
    (", did you mean 'state'?", '')
    """
    near = nearest(word, known)
    return "" if near is None else f", did you mean {near!r}?"
