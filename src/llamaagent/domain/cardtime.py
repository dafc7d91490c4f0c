"""Who had a card for how long, and whose energy it drew: reservations laid over time. Pure.

A card that several of a project hold at once counts once for the project: its time is divided among them evenly.
Energy is divided among all who hold the card, of every project, by what they have reserved of it.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_S = 600  # one reading of the power stands for no more than this
_MJ_PER_WH = 3_600_000


class Span(NamedTuple):
    """One card held from begin to end, in Unix seconds. memory_mib None = the whole card."""

    project: str
    holder: str
    gpu_id: int
    begin: int
    end: int
    memory_mib: int | None = None


class Power(NamedTuple):
    """One reading of a card. interval_s: since the reading before, None = not known."""

    ts: int
    gpu_id: int
    power_mw: int | None
    interval_s: int | None
    memory_total_mib: int | None


class Energy(NamedTuple):
    """Watt hours by holder; unmeasured_s: time of a held card of which no power is known."""

    by_holder: dict[str, int]
    unmeasured_s: int


def card_seconds(spans: Iterable[Span]) -> dict[str, int]:
    """Seconds of one card by holder; the sum is the time in which at least one held the card, over all cards."""
    events: dict[int, list[tuple[int, int, str]]] = {}
    for span in spans:
        if span.end > span.begin:
            events.setdefault(span.gpu_id, []).append((span.begin, 1, span.holder))
            events[span.gpu_id].append((span.end, -1, span.holder))
    found: dict[str, int] = {}
    for changes in events.values():
        holding: dict[str, int] = {}
        before = 0
        for ts, step, holder in sorted(changes):
            _divide(found, sorted(holding), ts - before)
            before = ts
            holding[holder] = holding.get(holder, 0) + step
            if not holding[holder]:
                del holding[holder]
    return found


def _divide(found: dict[str, int], holders: list[str], seconds: int) -> None:
    """Evenly, and the seconds that are left over to the first ones, so that nothing is lost."""
    if not holders:
        return
    each, left = divmod(seconds, len(holders))
    for number, holder in enumerate(holders):
        found[holder] = found.get(holder, 0) + each + (number < left)


def energy(project: str, readings: Iterable[Power], spans: Iterable[Span]) -> Energy:
    """Watt hours of a project by holder. spans: of every project; readings in the order of time.

    A reading without a power counts 0, and its time is told as unmeasured.
    """
    waiting: dict[int, list[Span]] = {}
    for span in sorted(spans, key=lambda s: -s.begin):  # popped from the end, the earliest first
        waiting.setdefault(span.gpu_id, []).append(span)
    holding: dict[int, list[Span]] = {}
    drawn: dict[str, int] = {}
    unmeasured = 0
    for reading in readings:
        later, now = waiting.get(reading.gpu_id, []), holding.setdefault(reading.gpu_id, [])
        while later and later[-1].begin <= reading.ts:
            now.append(later.pop())
        now[:] = [span for span in now if span.end >= reading.ts]
        seconds = min(reading.interval_s or 0, LONGEST_S)
        if not seconds or all(span.project != project for span in now):
            continue
        if reading.power_mw is None:
            unmeasured += seconds
            continue
        weights = [_weight(span, reading) for span in now]
        for span, weight in zip(now, weights, strict=True):
            if span.project == project:
                share = reading.power_mw * seconds * weight // sum(weights)
                drawn[span.holder] = drawn.get(span.holder, 0) + share
    return Energy({holder: mj // _MJ_PER_WH for holder, mj in drawn.items()}, unmeasured)


def _weight(span: Span, reading: Power) -> int:
    whole = max(1, reading.memory_total_mib or 1)
    return whole if span.memory_mib is None else max(1, min(span.memory_mib, whole))
