"""Two sets of requests, compared size by size. Pure.

A request's size is its prompt and what it wrote, each to a power of two. Only sizes that both sets have count, and each
counts on both sides as often as on the side that has fewer: another mix of short and long requests is no other speed.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Size = tuple[int, int]
    Speeds = Mapping[Size, list[float]]


class Typical(NamedTuple):
    """One side. n: requests that were compared."""

    n: int
    median: float | None
    p95: float | None


class Compared(NamedTuple):
    """Both sides. change: of the median, 0.1 = a tenth more. left_out: requests whose size only one side has."""

    before: Typical
    after: Typical
    change: float | None
    left_out: int
    mix_differs: bool


def by_size(rows: Iterable[tuple[Size, float | None]]) -> dict[Size, list[float]]:
    """Known speeds by size."""
    made: dict[Size, list[float]] = {}
    for size, speed in rows:
        if speed:
            made.setdefault(size, []).append(speed)
    return made


def compare(before: Speeds, after: Speeds) -> Compared:
    """Compare what both have."""
    shared = before.keys() & after.keys()
    weights = {size: min(len(before[size]), len(after[size])) for size in shared}
    first, second = (_typical(side, weights) for side in (before, after))
    change = None
    if first.median and second.median is not None:
        change = second.median / first.median - 1
    whole = [sum(map(len, side.values())) for side in (before, after)]
    return Compared(
        first, second, change, sum(whole) - first.n - second.n, _mix_differs(before, after, whole)
    )


def _typical(side: Speeds, weights: Mapping[Size, int]) -> Typical:
    """Median and 95th percentile where each request weighs so much that its size has its weight."""
    weighed = sorted((x, weights[size] / len(side[size])) for size in weights for x in side[size])
    return Typical(len(weighed), _at(weighed, 0.5), _at(weighed, 0.95))


def _at(weighed: list[tuple[float, float]], share: float) -> float | None:
    """The first value at which this share of the weight is reached; the mean of two where it is reached exactly."""
    whole, so_far = sum(weight for _, weight in weighed), 0.0
    for place, (value, weight) in enumerate(weighed):
        so_far += weight
        if abs(so_far - whole * share) < 1e-9 and place + 1 < len(weighed):
            return (value + weighed[place + 1][0]) / 2
        if so_far >= whole * share:
            return value
    return None


def _mix_differs(before: Speeds, after: Speeds, whole: list[int]) -> bool:
    """Whether a fifth or more of one side's requests would have to change their size to be like the other's."""
    if not all(whole):
        return True
    sizes = before.keys() | after.keys()
    apart = sum(abs(len(before.get(s, ())) / whole[0] - len(after.get(s, ())) / whole[1]) for s in sizes)
    return apart / 2 >= 0.2
