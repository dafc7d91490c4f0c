"""How figures of requests are spread: the values that 5, 50 and 95 of 100 do not exceed, and bars. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llamaagent.report.rows import Distribution, HistogramRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BINS = 24
_FIGURES = 4
_BARRED = (1, 2)  # generation speed, prompt speed


def spread(
    requests: Iterable[tuple[str, float | None, float | None, float | None, float | None]],
) -> tuple[dict[str, tuple[Distribution, ...]], dict[str, tuple[HistogramRow, ...]]]:
    """(distributions, histograms) by profile. requests: profile and the four figures of each, None = not known.

    Infinity is not known either: so a server puts a speed that it could not measure.
    """
    values: dict[str, tuple[list[float], ...]] = {}
    for profile, *figures in requests:
        lists = values.setdefault(profile, tuple([] for _ in range(_FIGURES)))
        for found, value in zip(lists, figures, strict=True):
            if value is not None and math.isfinite(value):
                found.append(value)
    distributions, histograms = {}, {}
    for profile, lists in values.items():
        ordered = [(number, sorted(found)) for number, found in enumerate(lists, 1) if found]
        distributions[profile] = tuple(_distribution(profile, number, found) for number, found in ordered)
        bars = [_histogram(profile, number, found) for number, found in ordered if number in _BARRED]
        histograms[profile] = tuple(row for rows in bars for row in rows)
    return distributions, histograms


def _distribution(profile: str, figure: int, values: Sequence[float]) -> Distribution:
    p5, p50, p95 = (at_most(values, share) for share in (0.05, 0.5, 0.95))
    return Distribution(profile, figure, len(values), values[0], p5, p50, p95, values[-1])


def at_most(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed. values: ascending, at least one.

    >>> at_most([1, 2, 3, 4], 0.5), at_most([7], 0.95)
    (2, 7)
    """
    return values[max(0, math.ceil(len(values) * share - 1e-9) - 1)]


def _histogram(profile: str, figure: int, values: Sequence[float]) -> list[HistogramRow]:
    """Bars up to what 99 of 100 do not exceed; the faster ones are in the last."""
    width = at_most(values, 0.99) / BINS
    if width <= 0:
        return []
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, int(value / width))] += 1
    return [
        HistogramRow(profile, figure, number, count, width) for number, count in enumerate(counts) if count
    ]
