"""Fills the templates of reports/ with a Report. What comes from outside is escaped by the engine."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2

from llamaagent.base.errors import InstallError
from llamaagent.report import charts, figures, png, times, words

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from llamaagent.report.charts import Chart
    from llamaagent.report.model import ProfilePage, Report
    from llamaagent.report.rows import GpuRow

_HERE = os.path.dirname(os.path.abspath(__file__))
_CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(_HERE)))
_PLAIN = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
# A page may not hold control characters, and a log line may.
_CONTROLS = dict.fromkeys(
    {*range(32), *range(127, 160)} - {ord("\t"), ord("\n")}, "\N{REPLACEMENT CHARACTER}"
)
_FIGURES = {
    1: ("Generation speed", "tokens/s"),
    2: ("Prompt speed", "tokens/s"),
    3: ("Time to finish", "ms"),
    4: ("Tokens generated", "tokens"),
}


class Picture(NamedTuple):
    """Where a chart's picture is, relative to the site; `failure` instead when it could not be drawn."""

    path: str
    failure: str | None = None


def site_folder() -> str:
    """Where templates, style sheet and chart definitions lie: in the wheel, else in the checkout."""
    for folder in (os.path.join(_HERE, "site"), os.path.join(_CHECKOUT, "reports")):
        if os.path.isfile(os.path.join(folder, "charts.toml")):
            return folder
    raise InstallError("the report's templates are missing from this installation")


def read_site_file(name: str) -> str:
    """Read a file of the site folder, such as `style.css`. Raises InstallError."""
    path = os.path.join(site_folder(), name)
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise InstallError(f"{path} cannot be read: {error.strerror}") from error


def page_path(profile: str) -> str:
    """The page of a profile, relative to the site; a name that is no plain file name gets a hash instead."""
    if _PLAIN.fullmatch(profile):
        return f"profiles/{profile}.html"
    safe = re.sub(r"[^a-z0-9._-]+", "-", profile.lower()).strip("-.")[:40]
    return f"profiles/{safe}-{hashlib.sha256(profile.encode()).hexdigest()[:8]}.html"


def picture_path(chart: Chart, subject: str, zone: dt.tzinfo) -> str:
    """The picture of a chart, named after what it shows. subject: as for Pages."""
    stem = re.sub(r"[^a-z0-9]+", "-", subject.lower()).strip("-")[:40]
    return f"assets/{stem}-{chart.slug}-{chart.fingerprint(zone)}-{png.VERSION}.png"


class Pages:
    """The templates, ready to be filled for one report.

    pictures: for each non-empty chart, by (subject, slug): subject is `system`, `gpu UUID` or `profile NAME`.
    """

    def __init__(
        self, report: Report, zone: dt.tzinfo, pictures: Mapping[tuple[str, str], Picture], style: str
    ) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(site_folder()),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        cards = {gpu.row.uuid: _card(gpu.row) for gpu in report.gpus}
        self._environment.filters.update(
            iso=lambda ts: times.iso(ts, zone),
            instant=lambda ts, seconds=False: times.format_instant(ts, zone, report.now, seconds=seconds),
            hour=lambda ts: times.format_time(ts, zone),
            quantity=figures.format_quantity,
            count=figures.format_count,
            number=lambda value: figures.DASH if value is None else figures.format_number(value),
            duration=figures.format_duration,
            reason=words.say_reason,
            action=words.say_action,
            ending=words.say_end,
            arithmetic=words.read_arithmetic,
            page=page_path,
            card=lambda uuid: cards.get(uuid, uuid),
            commit=_commit,
            command=shlex.join,
            pretty=_pretty,
        )
        self._environment.globals.update(
            report=report,
            style=style,
            known=frozenset(page.row.profile for page in report.profiles),
            figures=_FIGURES,
            picture_size=(png.WIDTH, png.HEIGHT),
            table=lambda chart: charts.tabulate(chart, zone),
            picture=lambda subject, chart: pictures[subject, chart.slug],
            zone=times.zone_label(report.window.from_ts, report.window.to_ts, zone),
        )

    def index(self) -> bytes:
        """The first page."""
        return self._render("index.html", root="", active="index")

    def system(self) -> bytes:
        """The page of the machine and its cards."""
        return self._render("system.html", root="", active="system")

    def profile(self, page: ProfilePage) -> bytes:
        """The page of one profile."""
        return self._render("profile.html", root="../", active="profile", page=page)

    def _render(self, template: str, **values: Any) -> bytes:
        text = self._environment.get_template(template).render(**values)
        return text.translate(_CONTROLS).encode("utf-8", "replace")


def _card(gpu: GpuRow) -> str:
    """A card in short: its number and name, its identity without them."""
    return " ".join(str(part) for part in (gpu.idx, gpu.name or gpu.uuid) if part is not None)


def _commit(commit: str | None, dirty: int | None = None) -> str:
    """A commit in short, with a sign when the work tree differed from it."""
    return f"{commit[:10]}{' + changes' if dirty else ''}" if commit else figures.DASH


def _pretty(document: str | None) -> str:
    """A stored document, indented; as it is stored when it is no JSON."""
    try:
        return json.dumps(json.loads(document or "{}"), indent=2, ensure_ascii=False)
    except ValueError:
        return document or ""
