"""The days that are kept: each as the report showed it at its end, in a file that the first build after it makes."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from llamaagent.report.single import one_file
from llamaagent.report.times import format_day, local

if TYPE_CHECKING:
    from llamaagent.report.build import Source
    from llamaagent.report.html import Pages
    from llamaagent.report.model import Report
    from llamaagent.report.publish import Site

FOLDER = "archive"


def add_days(site: Site, source: Source, pages: Pages, report: Report, keep_s: int | None) -> None:
    """Keep the days that are young enough, add yesterday if it is missing, and write the list of them.

    keep_s: how long; None = for ever, 0 = not at all. What is older goes with this publication.
    """
    zone = source.zone
    today = local(report.now, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    oldest = "" if keep_s is None else local(report.now - keep_s, zone).date().isoformat()
    kept = [path for path in site.listed(FOLDER) if keep_s != 0 and _date(path) >= oldest]
    site.keep_pages(kept)
    yesterday = f"{FOLDER}/{(today - dt.timedelta(days=1)).date().isoformat()}.html"
    midnight = int(today.timestamp())
    first = report.sampling.first_ts
    due = keep_s != 0 and source.choices.scope.whole and first is not None and first < midnight
    if due and yesterday not in kept and _date(yesterday) >= oldest:
        begin = int((today - dt.timedelta(days=1)).timestamp())
        site.add_page(yesterday, one_file(source, midnight, (begin, midnight), report.now))
        kept.append(yesterday)
    days = [(path, _words(path, zone)) for path in sorted(set(kept), reverse=True)]
    site.add_page("archive.html", pages.archive(tuple(days)))


def _date(path: str) -> str:
    return path.removeprefix(f"{FOLDER}/").removesuffix(".html")


def _words(path: str, zone: dt.tzinfo) -> str:
    try:
        at = dt.datetime.fromisoformat(_date(path)).replace(hour=12, tzinfo=zone)
    except ValueError:
        return _date(path)
    return format_day(int(at.timestamp()), zone, year=True)
