"""What the templates draw and write out of figures. One that cannot be drawn costs itself: a sentence stands there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llamaagent.report import svg
from llamaagent.report.escaping import escape
from llamaagent.report.strips import draw_histogram, draw_life, draw_spark
from llamaagent.report.tables import draw_rows
from llamaagent.report.templates import say_error

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable


class Drawings:
    """By the names that the templates know. failed: where, and why. page: the path of the one that is being filled."""

    def __init__(self, zone: dt.tzinfo, failed: dict[str, str]) -> None:
        self.page = ""
        self._zone, self._failed = zone, failed

    def named(self) -> dict[str, Callable[..., str]]:
        """For the globals of the templates' engine."""
        return {
            "svg": lambda chart: self._try(chart.slug, svg.draw, chart, self._zone),
            "rows": lambda chart: self._try(f"{chart.slug}-rows", draw_rows, chart, self._zone, around=_ROW),
            "life": lambda life, window: self._try("life", draw_life, life, window, self._zone),
            "histogram": lambda bins, unit: self._try("histogram", draw_histogram, bins, unit),
            "spark": lambda points, label, unit="": self._try(
                "spark", draw_spark, points, label, unit, around="<span>{}</span>"
            ),
        }

    def _try(self, name: str, draw: Callable[..., str], *values: Any, around: str = "<p>{}</p>") -> str:
        try:
            return draw(*values)
        except Exception as error:  # noqa: BLE001 - whatever it is, the page says so and stands
            failure = say_error(error)
            self._failed[f"{self.page}#{name}"] = failure
            return around.format(escape(f"This could not be drawn ({failure})."))


_ROW = "<tr><td>{}</td></tr>\n"
