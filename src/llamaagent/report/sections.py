"""Pages that are a file of SQL and a template: ours (projects, requests, models, journal, care) and the user's.

`NAME.sql` begins with `-- page: TITLE`, then has statements under `-- name:` headings; `NAME.html` gets their rows as
`data.STATEMENT`; one that a chart of charts.toml names (as `NAME.STATEMENT`) is drawn instead. Bound are :now,
:from_ts, :to_ts (the day), :week_ts, :month_ts and :project (NULL: all). The connection only reads.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llamaagent.base.errors import ConfigError, InstallError, LlamaAgentError
from llamaagent.base.record import NamedTuple
from llamaagent.report.folder import site_folder
from llamaagent.report.pagefiles import check_form, check_name
from llamaagent.report.sources import SourceError
from llamaagent.report.templates import say_error
from llamaagent.sql import split_statements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llamaagent.report.model import Charts
    from llamaagent.report.reading import Reader
    from llamaagent.report.scope import Scope

_MARK = "-- page:"
FIXED = ("gpus", "system")  # sections that are not made of SQL and a template
_ORDER = ("projects", "requests", "models", "journal", "care")
_MOST_ROWS = 2000  # of one statement: a page is for people


class SectionSpec(NamedTuple):
    """A page as its files define it. own: from the user's folder."""

    key: str
    title: str
    statements: dict[str, str]
    own: bool

    def fits(self, scope: Scope) -> bool:
        """Say whether it can show what is asked for: of a project only where every statement asks for `:project`."""
        if scope.project is None and scope.profiles is None:
            return True
        return scope.profiles is None and all(":project" in text for text in self.statements.values())


class Section(NamedTuple):
    """The same with what the database said. failure: one line when it could not be asked."""

    spec: SectionSpec
    data: dict[str, list[dict[str, Any]]]
    charts: Charts = ()
    failure: str | None = None


def find_sections(templates: str | None, wanted: Sequence[str] | None) -> tuple[SectionSpec, ...]:
    """All pages of both folders in their order; wanted: the keys to take, in that order.

    Raises ConfigError for a key that no file bears, InstallError for a file that is not as it must be.
    """
    found = _read_folder(site_folder(), own=False)
    if templates is not None:
        found |= _read_folder(templates, own=True)
    if wanted is None:
        own = sorted(key for key in found if key not in _ORDER)
        return tuple(found[key] for key in (*_ORDER, *own) if key in found)
    unknown = [key for key in wanted if key not in found and key not in FIXED]
    if unknown:
        names = ", ".join((*FIXED, *found))
        raise ConfigError(f"reports.sections: no page is named {unknown[0]!r}", hint=f"there are {names}")
    return tuple(found[key] for key in dict.fromkeys(wanted) if key in found)


def _read_folder(folder: str, *, own: bool) -> dict[str, SectionSpec]:
    found = {}
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise ConfigError(f"reports.templates: {folder} cannot be read: {error.strerror}") from error
    for name in names:
        key, ending = os.path.splitext(name)
        if ending != ".sql":
            continue
        path = os.path.join(folder, name)
        if own:
            check_name(key, path, _taken())
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise (ConfigError if own else InstallError)(f"{path} cannot be read: {reason}") from error
        title = text.partition("\n")[0]
        if not title.startswith(_MARK) or not os.path.isfile(os.path.join(folder, f"{key}.html")):
            raise ConfigError(
                f"{path} is not a page", hint=f"line 1 is `{_MARK} TITLE`, and {key}.html lies beside it"
            )
        if own:
            check_form(text, path)
        found[key] = SectionSpec(
            key, title.removeprefix(_MARK).strip() or key, split_statements(text, path), own
        )
    return found


def _taken() -> frozenset[str]:
    """Pages of ours that are not made of SQL, and parts of pages: one of the user's would silently take their place."""
    names = [os.path.splitext(name) for name in os.listdir(site_folder())]
    made = {key for key, ending in names if ending == ".sql"}
    return frozenset({key for key, ending in names if ending == ".html"} - made | {*FIXED})


def read_section(reader: Reader, spec: SectionSpec) -> Section:
    """Ask its statements. One of the user's that fails costs its page, with a line that says so."""
    now = reader.now
    bound: dict[str, object] = {
        "now": now,
        **reader.window.bindings(),
        "week_ts": now - 7 * 86400,
        "month_ts": now - 31 * 86400,
    }
    bound["project"] = reader.scope.project
    drawn = {source.statement for source in reader.definitions.sources}
    try:
        data = {
            name: _ask(reader, text, bound)
            for name, text in spec.statements.items()
            if f"{spec.key}.{name}" not in drawn
        }
        charts = reader.charts(spec.key, reader.columns(spec.key).get("", {}), reader.happened.of_all())
    except Exception as error:
        misplaced = isinstance(error, LlamaAgentError) and not isinstance(error, SourceError)
        if misplaced or not spec.own:
            raise
        return Section(spec, {}, failure=say_error(error))
    return Section(spec, data, charts)


def _ask(reader: Reader, text: str, bound: Mapping[str, object]) -> list[dict[str, Any]]:
    cursor: Any = reader.db.execute(text, bound)
    found: list[dict[str, Any]] = []
    names: list[str] = []
    for row in cursor:
        names = names or [column[0] for column in cursor.get_description()]
        found.append(dict(zip(names, row, strict=True)))
        if len(found) >= _MOST_ROWS:
            break
    return found
