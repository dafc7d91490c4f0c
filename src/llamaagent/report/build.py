"""Builds the whole site: read, draw, fill the templates, publish. Runs in the calling process.

The agent itself calls it through child.py, so that what matplotlib needs is given back when it is done.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.base.errors import StorageError
from llamaagent.report import html, png
from llamaagent.report.model import read_report
from llamaagent.report.publish import Site
from llamaagent.report.series import read_definitions

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from llamaagent.base.clock import Clock
    from llamaagent.report.charts import Chart
    from llamaagent.report.model import Report
    from llamaagent.report.series import Definitions

TITLE = "llamaagent"


class BuildResult(NamedTuple):
    """What was built. path: the first page. charts: pictures on the pages, `drawn` of them anew.

    failed: (picture, what went wrong) of those that could not be drawn. written: files that changed.
    """

    path: str
    pages: int
    charts: int
    drawn: int
    failed: tuple[tuple[str, str], ...]
    written: int
    seconds: float


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
) -> BuildResult:
    """Write the site of a database into a folder.

    now: the end of the day that is shown, default the clock's. public: readable by everyone, for a web
    server. cache_directory: where matplotlib keeps its font list. Raises StorageError and its kin,
    LockHeldError when another build of this folder is on.
    """
    begin = clock.monotonic()
    instant = clock.now() if now is None else now
    definitions = read_definitions(html.read_site_file("charts.toml"))
    with Site(os.path.abspath(directory), public=public) as site:
        report = _read(database, definitions, instant, zone, title or TITLE)
        pictures, drawn = _draw(report, site, zone, cache_directory)
        style = html.read_site_file("style.css").encode()
        style_path = f"assets/style-{hashlib.sha256(style).hexdigest()[:12]}.css"
        site.add_asset(style_path, style)
        pages = html.Pages(report, zone, pictures, style_path)
        for page in report.profiles:
            site.add_page(html.page_path(page.row.profile), pages.profile(page))
        site.add_page("system.html", pages.system())
        site.add_page("index.html", pages.index())
        published = site.publish()
    failed = tuple((p.path, p.failure) for p in pictures.values() if p.failure is not None)
    return BuildResult(
        path=os.path.join(os.path.abspath(directory), "index.html"),
        pages=len(report.profiles) + 2,
        charts=len(pictures) - len(failed),
        drawn=drawn,
        failed=failed,
        written=len(published.written),
        seconds=clock.monotonic() - begin,
    )


def _read(database: str, definitions: Definitions, now: int, zone: dt.tzinfo, title: str) -> Report:
    """Read everything in one transaction, which is over before the first picture is drawn."""
    from llamaagent.store.connect import open_database
    from llamaagent.store.errors import translate

    db = open_database(database, write=False)
    try:
        with translate(database), db:
            report = read_report(db, definitions, now=now, zone=zone, title=title)
    finally:
        db.close()
    return report


def _all_charts(report: Report) -> Iterator[tuple[str, Chart]]:
    """Every chart with what it is about, in the words that the templates use too."""
    for _, chart in report.system_charts:
        yield "system", chart
    for gpu in report.gpus:
        for _, chart in gpu.charts:
            yield f"gpu {gpu.row.uuid}", chart
    for page in report.profiles:
        for _, chart in page.charts:
            yield f"profile {page.row.profile}", chart


def _draw(
    report: Report, site: Site, zone: dt.tzinfo, cache_directory: str | None
) -> tuple[dict[tuple[str, str], html.Picture], int]:
    """Draw what is not there yet; a chart that cannot be drawn costs that chart only."""
    pictures: dict[tuple[str, str], html.Picture] = {}
    renderer: png.Renderer | None = None
    drawn = 0
    for subject, chart in _all_charts(report):
        if chart.empty:
            continue
        path = html.picture_path(chart, subject, zone)
        picture = html.Picture(path)
        if not site.has_asset(path):
            try:
                renderer = renderer or png.Renderer(zone, cache_directory)
                content = renderer.draw(chart)
            except Exception as error:  # noqa: BLE001 - whatever matplotlib or a font raises, the page says so
                picture = html.Picture(path, f"{type(error).__name__}: {error}")
            else:
                site.add_asset(path, content)
                drawn += 1
        pictures[subject, chart.slug] = picture
    return pictures, drawn


def default_cache(database: str) -> str:
    """Where matplotlib may keep its font list when nobody says: beside the database."""
    folder = os.path.dirname(os.path.abspath(database))
    if not os.path.isdir(folder):
        raise StorageError(f"no such folder: {folder}")
    return os.path.join(folder, "matplotlib")
