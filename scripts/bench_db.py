"""Whether questions stay as fast when years of history lie behind them: the same ones at 1, 30 and 365 days.

The history is made up by `llamaagent db simulate` with the default settings (or lies in --keep DIR from last time).
Each figure is the best of several runs in milliseconds. Gates: the same question over the same span at 365 days is
within 1.5 of 30 days; the year chart within 3 of the month chart; the file at 365 days below 1.5 GB. Exit status 1
when one is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from llamaagent.cli.main import entry
from llamaagent.report import html
from llamaagent.report.definitions import read_definitions
from llamaagent.report.series import read_columns, span_window
from llamaagent.sql import statements
from llamaagent.store.connect import open_database
from llamaagent.store.events import EventFilter, EventStore

if TYPE_CHECKING:
    from collections.abc import Callable

DAYS = (365, 30, 1)  # measured at once when made: two of the views look at the last minutes only
DAY_S = 86400
SIZE_GATE = 1_500_000_000
GROWTH_GATE, YEAR_GATE = 1.5, 3.0
NOISE_MS = 0.2  # less than this is no difference


def questions(db: Any, now: int) -> dict[str, Callable[[], object]]:
    """What people ask, by name."""
    definitions = read_definitions(html.read_site_file("charts.toml"))

    def ask(text: str, /, **given: object) -> Callable[[], object]:
        return lambda: db.execute(text, given).fetchall()

    def chart(days: int) -> Callable[[], object]:
        window = span_window(now - days * DAY_S, now, 30)
        pages = ("system", "gpu", "profile")
        return lambda: [read_columns(db, definitions, page, statements("report"), window) for page in pages]

    hours = "SELECT project, sum(card_s) / 3600.0 FROM v_gpu_seconds WHERE resolution_s = 3600 AND ts >= :ts GROUP BY 1"
    return {
        "last hour": ask("SELECT * FROM v_system_summary"),
        "v_active_containers": ask("SELECT * FROM v_active_containers"),
        "GPU hours, 1 day": ask(hours, ts=now - DAY_S),
        "GPU hours, 30 days": ask(hours, ts=now - 30 * DAY_S),
        "search in logs": lambda: EventStore(db).search(EventFilter(text="number 7")),
        "day chart": chart(1),
        "month chart": chart(30),
        "year chart": chart(365),
    }


def best_ms(ask: Callable[[], object], runs: int) -> float:
    """The fastest of some runs: the others tell of the machine's other work."""
    taken = []
    for _ in range(runs):
        begin = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - begin) * 1000)
    return min(taken)


def main() -> int:
    """Make the files that are missing, measure, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", metavar="DIR", help="use the files there, and leave them")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    if options.keep:
        os.makedirs(options.keep, exist_ok=True)
        return measure(options.keep, options.runs)
    with tempfile.TemporaryDirectory(prefix="llamaagent-bench-db-") as folder:
        return measure(folder, options.runs)


def measure(folder: str, runs: int) -> int:
    """Print the table and what is missed."""
    paths = {days: os.path.join(folder, f"{days}d.db") for days in DAYS}
    found: dict[str, dict[int, float]] = {}
    for days, path in paths.items():
        if not os.path.exists(path) and entry(["db", "simulate", "--days", str(days), "--out", path]):
            return 1
        with closing(open_database(path, write=False)) as db:
            newest = db.execute("SELECT max(ts) FROM system_samples").get
            for name, ask in questions(db, int(str(newest))).items():
                found.setdefault(name, {})[days] = best_ms(ask, runs)
    print(f"{'milliseconds':<22}" + "".join(f"{f'{days} days':>11}" for days in DAYS) + f"{'365/30':>9}")
    missed = []
    for name, taken in found.items():
        ratio = (taken[365] + NOISE_MS) / (taken[30] + NOISE_MS)
        same_span = name != "year chart"  # at 30 days it is a month's
        print(f"{name:<22}" + "".join(f"{taken[days]:>11.2f}" for days in DAYS) + f"{ratio:>9.2f}")
        if same_span and ratio > GROWTH_GATE:
            missed.append(name)
    year = found["year chart"][365] / found["month chart"][365]
    sizes = {days: os.path.getsize(path) for days, path in paths.items()}
    print(f"{'file, MB':<22}" + "".join(f"{sizes[days] / 1e6:>11.1f}" for days in DAYS))
    print(f"year chart / month chart: {year:.2f}")
    if year > YEAR_GATE:
        missed.append("year chart")
    if sizes[365] > SIZE_GATE:
        missed.append("file")
    print("every gate is met" if not missed else f"MISSED: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
