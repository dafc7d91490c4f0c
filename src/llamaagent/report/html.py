"""Fills the templates of reports/ with a Report. What comes from outside is escaped by the engine."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

from llamaagent.base.record import NamedTuple
from llamaagent.report import figures, lives, svg, times, words
from llamaagent.report.arithmetic import read_arithmetic
from llamaagent.report.drawings import Drawings
from llamaagent.report.paths import card_path, page_path, picture_stem
from llamaagent.report.periods import DAY
from llamaagent.report.tables import table_step
from llamaagent.report.templates import find_fault, make_environment, say_error

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from llamaagent.report.charts import Chart
    from llamaagent.report.model import GpuPage, LongPage, ProfilePage, Report
    from llamaagent.report.rows import GpuRow
    from llamaagent.report.sections import Section
    from llamaagent.report.usage import ProjectUse

_CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f]")  # a page may not hold them, and a log line may
_FIGURES = {
    1: ("Generation speed", "tokens/s"),
    2: ("Prompt speed", "tokens/s"),
    3: ("Time to finish", "ms"),
    4: ("Tokens generated", "tokens"),
}
_NAMED_CARDS = 4  # more than these are one entry of the navigation


class Look(NamedTuple):
    """What the owner of a site chose. style, logo: paths of assets; links: (name, address)."""

    style: str
    logo: str | None = None
    links: tuple[tuple[str, str], ...] = ()
    sections: tuple[str, ...] | None = None
    templates: str | None = None
    cache_directory: str | None = None
    single: str | None = None  # the style sheet itself, for a site in one file
    written_ts: int | None = None  # of a day that is over: when its states were read

    def has(self, section: str) -> bool:
        """Say whether one of the fixed sections is wanted."""
        return self.sections is None or section in self.sections


class Pages:
    """The templates, ready to be filled for one report.

    pictures: files that are there, by their stem without ending, and what went wrong with others ('' = nothing).
    """

    def __init__(
        self,
        report: Report,
        sections: tuple[Section, ...],
        usage: tuple[ProjectUse, ...],
        zone: dt.tzinfo,
        look: Look,
        pictures: Mapping[str, str],
    ) -> None:
        self._report, self._look, self._pictures = report, look, pictures
        self.failed: dict[
            str, str
        ] = {}  # pages of the user's own and drawings, and why they could not be made
        self._drawings = Drawings(zone, self.failed)
        self._cards = {gpu.row.uuid: card_path(gpu.row) for gpu in report.gpus}
        self._environment = make_environment(look.templates, look.cache_directory)
        self._environment.filters.update(_filters(report, zone))
        self._environment.globals.update(
            report=report,
            sections=sections,
            usage=usage,
            look=look,
            policy=_policy(look),
            nav=self._navigation(sections),
            known=frozenset(page.row.profile for page in report.profiles),
            figures=_FIGURES,
            step=table_step,
            **self._drawings.named(),
            marks=svg.marks(),
            say_life=lives.say_life,
            files=self._files,
            day=DAY,
            zone_words=lambda window: times.zone_label(window.from_ts, window.to_ts, zone),
        )

    def index(self) -> bytes:
        """The first page."""
        return self._render("index.html", "index.html", "index")

    def system(self) -> bytes:
        """The page of the machine."""
        return self._render("system.html", "system.html", "system")

    def profile(self, page: ProfilePage) -> bytes:
        """The page of one profile."""
        return self._render("profile.html", page_path(page.row.profile), "profile", page=page)

    def gpu(self, page: GpuPage) -> bytes:
        """The page of one card."""
        path = card_path(page.row)
        return self._render("gpu.html", path, path, gpu=page)

    def section(self, section: Section) -> bytes:
        """The page of a section; of one that failed, the line that says so."""
        path, key = f"{section.spec.key}.html", section.spec.key
        if section.failure is None:
            try:
                return self._render(path, path, key, section=section, data=section.data)
            except Exception as error:
                if not section.spec.own:
                    raise
                self.failed[key] = say_error(error)
                section = section._replace(failure=self.failed[key])
        return self._render("failed.html", path, key, section=section)

    def is_whole(self, path: str) -> bool:
        """Say whether nothing failed on a page that was filled."""
        return not any(place.partition("#")[0] == path for place in self.failed)

    def long(self, page: LongPage, path: str) -> bytes:
        """The charts of a week or longer."""
        tail = path.partition("/")[2]
        active = page.kind if page.kind != "gpu" else tail
        return self._render("long.html", path, active, page=page, tail=tail)

    def archive(self, days: tuple[tuple[str, str], ...]) -> bytes:
        """The list of the days that were kept. days: (path, date)."""
        return self._render("archive.html", "archive.html", "archive", days=days)

    def _navigation(self, sections: tuple[Section, ...]) -> tuple[tuple[str, str, str], ...]:
        """(key, title, path) of each entry."""
        found = [("index", "Overview", "index.html")]
        if self._look.has("gpus") and self._report.gpus:
            if len(self._report.gpus) <= _NAMED_CARDS:
                found += [(card_path(g.row), _short(g.row), card_path(g.row)) for g in self._report.gpus]
            else:
                found.append(("gpus", "GPUs", "index.html#cards"))
        if self._look.has("system"):
            found.append(("system", "System", "system.html"))
        found += [(one.spec.key, one.spec.title, f"{one.spec.key}.html") for one in sections]
        return tuple(found)

    def _files(self, kind: str, subject: str, chart: Chart, period: str) -> tuple[str, str] | None:
        """(stem, what went wrong) of a chart's pictures; None when there are none yet."""
        stem = picture_stem(kind, subject, chart.slug, period)
        return (stem, self._pictures[stem]) if stem in self._pictures else None

    def _render(self, template: str, path: str, active: str, **values: Any) -> bytes:
        root = "../" * path.count("/")
        self._drawings.page = path
        try:
            text = self._environment.get_template(template).render(
                root=root, path=path, active=active, cards=self._cards, **values
            )
        except Exception as error:
            folder = self._look.templates
            fault = None if folder is None else find_fault(error, template, folder)
            if fault is None:
                raise
            raise fault from error
        return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text).encode("utf-8", "replace")


def _filters(report: Report, zone: dt.tzinfo) -> dict[str, Any]:
    cards = {gpu.row.uuid: _card(gpu.row) for gpu in report.gpus}
    return {
        "iso": lambda ts: times.iso(ts, zone),
        "instant": lambda ts, seconds=False: times.format_instant(ts, zone, report.now, seconds=seconds),
        "hour": lambda ts: times.format_time(ts, zone),
        "date": lambda ts: times.format_day(ts, zone, year=True),
        "utc_date": times.utc_date,
        "quantity": figures.format_quantity,
        "count": figures.format_count,
        "number": lambda value: figures.DASH if value is None else figures.format_number(value),
        "duration": figures.format_duration,
        "reason": words.say_reason,
        "action": words.say_action,
        "change": words.say_change,
        "ending": words.say_end,
        "arithmetic": read_arithmetic,
        "against": figures.compare,
        "page": page_path,
        "card": lambda uuid: cards.get(uuid, uuid),
        "commit": _commit,
        "command": shlex.join,
        "pretty": _pretty,
    }


def _policy(look: Look) -> str:
    """What a browser may load: nothing from elsewhere, no script."""
    styles = "'self' file:"
    if look.single is not None:
        import base64
        import hashlib

        digest = base64.b64encode(hashlib.sha256(look.single.encode()).digest()).decode()
        styles = f"'sha256-{digest}'"
    return f"default-src 'none'; img-src 'self' file: data:; style-src {styles}"


def _card(gpu: GpuRow) -> str:
    """A card in short: its number and name, its identity without them."""
    return " ".join(str(part) for part in (gpu.idx, gpu.name or gpu.uuid) if part is not None)


def _short(gpu: GpuRow) -> str:
    return f"GPU {gpu.idx}" if gpu.idx is not None else gpu.name or gpu.uuid


def _commit(commit: str | None, dirty: int | None = None) -> str:
    """A commit in short, with a sign when the work tree differed from it."""
    return f"{commit[:10]}{' + changes' if dirty else ''}" if commit else figures.DASH


def _pretty(document: str | None) -> str:
    """A stored document, indented; as it is stored when it is no JSON."""
    try:
        return json.dumps(json.loads(document or "{}"), indent=2, ensure_ascii=False)
    except ValueError:
        return document or ""
