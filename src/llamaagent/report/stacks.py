"""Areas upon one another: who holds how much of a whole, and what is left to others. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.report.charts import Point, Series

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.report.definitions import ChartSpec
    from llamaagent.report.series import Columns

_MOST = 5  # areas that can be told apart; the smaller ones are joined


def stack_lines(spec: ChartSpec, columns: Columns, bucket_s: int) -> tuple[Series, ...]:
    """The parts of a split column, the largest first, and what the whole has beyond them; all with the same times."""
    if spec.stack is None:
        return ()
    split, whole, rest = spec.stack
    total = {point.ts // bucket_s: point for point in columns.get(whole, ())}
    parts = {
        name.removeprefix(f"{split}/"): {point.ts // bucket_s: point.mean for point in points}
        for name, points in columns.items()
        if name.startswith(f"{split}/")
    }
    order = sorted(parts, key=lambda name: (-sum(parts[name].values()), name))
    shown = order if len(order) <= _MOST else order[: _MOST - 1]
    made = [(name, {at: parts[name].get(at, 0.0) for at in total}) for name in shown]
    others = [name for name in order if name not in shown]
    if others:
        joined = {at: sum(parts[name].get(at, 0.0) for name in others) for at in total}
        made.append((f"{len(others)} others", joined))
    left = {
        at: max(0.0, point.mean - sum(p.get(at, 0.0) for p in parts.values())) for at, point in total.items()
    }
    lines = [_line(name, role, values, total) for role, (name, values) in enumerate(made)]
    if any(left.values()) or not lines:
        lines.append(_line(rest, _MOST, left, total))
    return tuple(lines)


def _line(name: str, role: int, values: Mapping[int, float], times: Mapping[int, Point]) -> Series:
    points = tuple(Point(times[at].ts, values[at], values[at], values[at]) for at in sorted(values))
    return Series(name, role, points, "stack")
