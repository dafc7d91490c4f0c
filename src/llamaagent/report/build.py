"""Builds the whole site: read, draw, fill the templates, publish. Runs in the calling process.

The agent itself calls it through child.py, so that what matplotlib needs is given back when it is done.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llamaagent.base.errors import StorageError
from llamaagent.base.record import NamedTuple
from llamaagent.report import feeds
from llamaagent.report.choices import DEFAULT, Choices
from llamaagent.report.dress import choose_look, read_chart_definitions, template_mark
from llamaagent.report.html import Pages
from llamaagent.report.keeping import add_days
from llamaagent.report.longpages import read_long, window_of
from llamaagent.report.paths import card_path, long_path, page_path, picture_folder
from llamaagent.report.periods import DAY
from llamaagent.report.pictures import Gallery
from llamaagent.report.publish import Site
from llamaagent.report.reading import Reader
from llamaagent.report.sections import FIXED, find_sections, read_section
from llamaagent.report.sources import check_statements
from llamaagent.report.stored import read_stored
from llamaagent.report.usage import read_usage

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from llamaagent.base.clock import Clock
    from llamaagent.report.html import Look
    from llamaagent.report.model import Charts, LongPage, Report, Stored
    from llamaagent.report.periods import Period
    from llamaagent.report.sections import Section
    from llamaagent.report.usage import ProjectUse

TITLE = "llamaagent"


class BuildResult(NamedTuple):
    """What was built. path: the first page. charts: those that have pictures, `drawn` of them anew.

    failed: (picture or page, what went wrong) of those that could not be made. written: files that changed.
    """

    path: str
    pages: int
    charts: int
    drawn: int
    failed: tuple[tuple[str, str], ...]
    written: int
    seconds: float
    complete: bool = True  # nothing failed, and nothing was left to the next build


class Told(NamedTuple):
    """All that was read for one build. long: (page, its path, what it was made from) of those that must be written.

    every_s: how often the agent builds the site.
    """

    report: Report
    sections: tuple[Section, ...]
    usage: tuple[ProjectUse, ...]
    long: tuple[tuple[LongPage, str, str], ...]
    every_s: int | None = None

    def all_charts(self, look: Look) -> Iterator[tuple[str, str, Charts, Period]]:
        """(kind, subject, charts, period) of every page that is wanted."""
        if look.has("system"):
            yield "system", "", self.report.system_charts, DAY
        for gpu in self.report.gpus if look.has("gpus") else ():
            yield "gpu", gpu.row.uuid, gpu.charts, DAY
        for page in self.report.profiles:
            yield "profile", page.row.profile, page.charts, DAY
        for section in self.sections:
            yield section.spec.key, "", section.charts, DAY
        for long, _, _ in self.long:
            yield long.kind, long.subject, long.charts, long.period


def build(
    database: str,
    directory: str,
    *,
    clock: Clock,
    zone: dt.tzinfo,
    public: bool,
    now: int | None = None,
    title: str | None = None,
    cache_directory: str | None = None,
    choices: Choices = DEFAULT,
) -> BuildResult:
    """Write the site of a database into a folder.

    now: the end of the day that is shown, default the clock's. public: readable by everyone, for a web
    server. cache_directory: where matplotlib and jinja2 keep what is dear to make. Raises StorageError and its kin,
    LockHeldError when another build of this folder is on, ConfigError for a choice that cannot be.
    """
    begin, instant = clock.monotonic(), clock.now() if now is None else now
    with Site(os.path.abspath(directory), public=public) as site:
        look = choose_look(site, choices, cache_directory)
        source = Source(database, zone, choices, look, title or TITLE)
        told = source.read(instant, site)
        gallery = Gallery(site, clock, zone, instant, cache_directory, choices.pictures)
        complete = {id(charts): gallery.add(kind, subject, charts, period)
                    for kind, subject, charts, period in told.all_charts(look)}  # fmt: skip
        pages = Pages(told.report, told.sections, told.usage, zone, look, gallery.known)
        add_days(site, source, pages, told.report, choices.keep_s)
        for page, path, mark in told.long:
            content = pages.long(page, path)
            site.add_page(path, content, mark if complete[id(page.charts)] and pages.is_whole(path) else None)
        for path, content in render(told, pages, look):
            site.add_page(path, content)
        published = site.publish()
    failed = _failed(told, gallery, pages)
    return BuildResult(
        path=os.path.join(os.path.abspath(directory), "index.html"),
        pages=site.count(".html"),
        charts=site.count("@2x.png"),
        drawn=gallery.drawn,
        failed=failed,
        written=len(published.written),
        seconds=clock.monotonic() - begin,
        complete=not failed and all(complete.values()),
    )


def _failed(told: Told, gallery: Gallery, pages: Pages) -> tuple[tuple[str, str], ...]:
    drawn = [(stem, text) for stem, text in gallery.known.items() if text]
    asked = [(section.spec.key, section.failure) for section in told.sections if section.failure is not None]
    return (*drawn, *asked, *pages.failed.items())


def render(told: Told, pages: Pages, look: Look) -> Iterator[tuple[str, bytes]]:
    """Every page of the day with its path, the first page last, after the feeds."""
    report = told.report
    for page in report.profiles:
        yield page_path(page.row.profile), pages.profile(page)
    for gpu in report.gpus if look.has("gpus") else ():
        yield card_path(gpu.row), pages.gpu(gpu)
    if look.has("system"):
        yield "system.html", pages.system()
    for section in told.sections:
        yield f"{section.spec.key}.html", pages.section(section)
    yield "status.json", feeds.status_json(report, told.every_s)
    yield "feed.atom", feeds.atom(report)
    yield "metrics.prom", feeds.prometheus(report)
    yield "index.html", pages.index()


class Source:
    """A database, and how it is looked at."""

    def __init__(self, database: str, zone: dt.tzinfo, choices: Choices, look: Look, title: str) -> None:
        self.database, self.zone, self.choices, self.look, self.title = database, zone, choices, look, title
        self._definitions = read_chart_definitions(choices.templates, look.cache_directory)
        self._specs = find_sections(choices.templates, choices.sections)
        self._stored: Stored | None = None

    def read(self, now: int, site: Site | None = None, window: tuple[int, int] | None = None) -> Told:
        """Read everything in one transaction, which is over before the first picture is drawn.

        site: where pages of longer spans may still be current; None: without those. window: another span.
        """
        from llamaagent.store.connect import open_database
        from llamaagent.store.errors import translate

        scope = self.choices.scope
        if window is not None:
            scope = scope._replace(since_ts=window[0], until_ts=window[1])
        db = open_database(self.database, write=False)
        try:
            with translate(self.database), db:
                reader = Reader(db, self._definitions, now, self.zone, scope)
                for spec in self._specs:
                    reader.sql |= {f"{spec.key}.{name}": text for name, text in spec.statements.items()}
                check_statements(self._definitions, reader.sql, (spec.key for spec in self._specs))
                report = reader.read(self.title)
                sections = tuple(read_section(reader, spec) for spec in self._specs if spec.fits(scope))
                usage = read_usage(reader)
                if window is None or self._stored is None:  # a day that is over is told what is stored now
                    self._stored = read_stored(reader, self.choices.kept, self.look.cache_directory)
                report = report._replace(stored=self._stored)
                if site is None:
                    report = report._replace(periods=())
                long = () if site is None else tuple(self._read_long(reader, report, site))
        finally:
            db.close()
        return Told(report, sections, usage, long, self.choices.every_s)

    def _read_long(self, reader: Reader, report: Report, site: Site) -> Iterator[tuple[LongPage, str, str]]:
        """Those whose next bucket is complete, or that look otherwise now; the others stay as they are."""
        cards = {gpu.row.uuid: card_path(gpu.row) for gpu in report.gpus}
        shown = (
            {*FIXED, *(spec.key for spec in self._specs)}
            if self.look.sections is None
            else {*self.look.sections}
        )
        looks = template_mark(self.look, self.title, self.zone, report, [spec.title for spec in self._specs])
        for period in report.periods:
            window = window_of(reader, period)
            mark = f"{looks}-{window.from_ts}-{window.to_ts}"
            pages = self._long_pages(report, period, cards, shown)
            stale = {
                path for path, folder in pages.items() if not self._keep(site, path, mark, folder, period)
            }
            for page in read_long(reader, report, period, window) if stale else ():
                path = long_path(page, cards)
                if path in stale:
                    yield page, path, mark + "+" * (self.choices.pictures == "all")

    def _keep(self, site: Site, path: str, mark: str, folder: str, period: Period) -> bool:
        """Keep a page and its pictures where they are current; `+` marks one whose pictures are all fresh."""
        marks = (f"{mark}+",) if self.choices.pictures == "all" else (mark, f"{mark}+")
        kept = any(site.is_current(path, one) for one in marks)
        if kept:
            site.keep_pictures(folder, period.key)
        return kept

    @staticmethod
    def _long_pages(report: Report, period: Period, cards: dict[str, str], shown: set[str]) -> dict[str, str]:
        """The pages of a period, each with the folder of its pictures."""
        found = {f"{kind}.html": picture_folder(kind, "") for kind in ("system", "requests") if kind in shown}
        if "gpus" in shown:
            found |= {path: picture_folder("gpu", uuid) for uuid, path in cards.items()}
        names = [page.row.profile for page in report.profiles]
        found |= {page_path(name): picture_folder("profile", name) for name in names}
        return {f"{period.key}/{tail}": folder for tail, folder in found.items()}


def default_cache(database: str) -> str:
    """Where matplotlib may keep its font list when nobody says: beside the database."""
    folder = os.path.dirname(os.path.abspath(database))
    if not os.path.isdir(folder):
        raise StorageError(f"no such folder: {folder}")
    return os.path.join(folder, "matplotlib")
