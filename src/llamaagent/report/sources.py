"""Sources that the user's charts.toml names: what they give is looked at before anything is reckoned with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llamaagent.base.errors import ConfigError
from llamaagent.config.near import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from llamaagent.report.definitions import Definitions, SourceSpec

KINDS = ("profile", "gpu", "system")  # pages that are no sections


class SourceError(ConfigError):
    """The statement behind a chart of the user's cannot be asked, or gives something else than figures."""


def check_statements(definitions: Definitions, statements: Collection[str], sections: Iterable[str]) -> None:
    """Raise ConfigError for a source of a page that is shown, when no statement has the name that it gives."""
    shown = (*KINDS, *sections)
    for source in definitions.sources:
        if source.page in shown and source.statement not in statements:
            raise ConfigError(
                f"{source.origin or 'charts.toml'}: no statement is named {source.statement!r}",
                hint=_nearest(source.statement, statements),
            )


def check_pages(definitions: Definitions, sections: Iterable[str], path: str) -> None:
    """Raise ConfigError for a source or chart of the user's that is for a page that nobody has."""
    known = (*KINDS, *sections)
    wanted = [source.page for source in definitions.sources] + [chart.page for chart in definitions.charts]
    for page in wanted:
        if page not in known:
            raise ConfigError(f"{path}: no page is named {page!r}", hint=_nearest(page, known))


def read_rows(source: SourceSpec, ask: Callable[[], Iterable[Any]]) -> list[tuple[Any, ...]]:
    """Ask a source of the user's for all its rows. Raises SourceError when they fail or are not as they must be."""
    place = f"{source.origin}: statement {source.statement}"
    wide = (3 if source.split else 2) + 3 * len(source.columns)
    try:
        found = [tuple(row) for row in ask()]
    except Exception as error:
        raise SourceError(f"{place}: {type(error).__name__}: {error}") from error
    for row in found:
        if len(row) != wide:
            raise SourceError(
                f"{place} gives {len(row)} columns, not {wide}: subject, {'part, ' if source.split else ''}time, then "
                f"mean, lowest and highest of {', '.join(source.columns)}"
            )
        _check_row(row, wide - 3 * len(source.columns), place)
    return found


def _check_row(row: Sequence[Any], begin: int, place: str) -> None:
    if not isinstance(row[begin - 1], int):
        raise SourceError(f"{place}: {row[begin - 1]!r} is no time in whole seconds")
    for at in range(begin, len(row), 3):
        figures = row[at : at + 3]
        if figures[0] is not None and not all(isinstance(value, (int, float)) for value in figures):
            raise SourceError(f"{place}: {figures!r} are no three figures")


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = nearest(name, names)
    return f"there are {', '.join(names)}" if near is None else f"did you mean {near}?"
