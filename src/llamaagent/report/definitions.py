"""charts.toml: which figures are read, and which of them are drawn as which chart."""

from __future__ import annotations

import contextlib
import json
import os
import re
import zlib
from typing import TYPE_CHECKING, Any, TypeVar

from llamaagent.base.errors import ConfigError, InstallError
from llamaagent.base.record import NamedTuple
from llamaagent.report.notes import find_note, leave_note

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Spec = TypeVar("Spec")

_STYLES = ("line", "dots")
_SLUG = re.compile("[a-z0-9][a-z0-9_-]*")  # it becomes the name of a file


class SeriesSpec(NamedTuple):
    """One line of a chart: a column of its source."""

    column: str
    name: str
    style: str


class SourceSpec(NamedTuple):
    """A statement with its figures in their order. split: each row's second column names whose figures they are.

    origin: the user's file that names it; None for ours.
    """

    page: str
    statement: str
    columns: tuple[str, ...]
    split: bool = False
    origin: str | None = None


class ChartSpec(NamedTuple):
    """A chart as charts.toml defines it. limits: column and label of each line; top: what the axis reaches.

    stack: (split column, column of the whole, name of what is left of it), for areas upon one another.
    """

    page: str
    slug: str
    title: str
    unit: str
    series: tuple[SeriesSpec, ...]
    limits: tuple[tuple[str, str], ...]
    top: float | None
    optional: bool
    about: str
    stack: tuple[str, str, str] | None = None


class Definitions(NamedTuple):
    """All of charts.toml."""

    sources: tuple[SourceSpec, ...]
    charts: tuple[ChartSpec, ...]


def read_definitions(
    text: str, path: str = "charts.toml", cache_directory: str | None = None, *, own: bool = False
) -> Definitions:
    """Read charts.toml. cache_directory: where it may lie as JSON, whose reading costs little. own: the user's.

    Raises InstallError when it is not as it must be, ConfigError when the user wrote it.
    """
    fault = ConfigError if own else InstallError
    data = None if cache_directory is None else _read_parsed(text, cache_directory)
    if data is None:
        import tomllib

        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise fault(f"{path}: {error}") from error
        if cache_directory is not None:
            _keep_parsed(text, data, cache_directory)
    unknown = sorted(data.keys() - {"source", "chart"})
    if unknown:
        raise fault(f"{path}: {unknown[0]!r} is neither [[source]] nor [[chart]]")
    try:
        sources = _each(data, "source", lambda item: _source_spec(item, path if own else None))
        charts = _each(data, "chart", _chart_spec)
    except (ValueError, TypeError) as error:
        raise fault(f"{path}: {error}") from error
    return Definitions(sources, charts)


def _each(data: Mapping[str, Any], key: str, read: Callable[[Mapping[str, Any]], Spec]) -> tuple[Spec, ...]:
    """All tables of a kind. Raises ValueError that says which of them is wrong, and how."""
    found = []
    for number, item in enumerate(_tables(data, key, []), 1):
        try:
            found.append(read(item))
        except (ValueError, TypeError) as error:
            raise ValueError(f"[[{key}]] {number}: {error}") from error
    return tuple(found)


def _take(item: Mapping[str, Any], key: str, kind: type, word: str, default: Any = None) -> Any:
    """A value of a table. Raises ValueError when it is not there and there is no default, or of another kind."""
    value = item.get(key, default)
    if value is None:
        raise ValueError(f"{key} is missing")
    if not isinstance(value, kind):
        raise TypeError(f"{key} is no {word}")
    return value


def _text(item: Mapping[str, Any], key: str, default: str | None = None) -> str:
    return str(_take(item, key, str, "text", default))


def _tables(item: Mapping[str, Any], key: str, default: Any = None) -> list[dict[str, Any]]:
    tables = _take(item, key, list, "list of tables", default)
    if not all(isinstance(one, dict) for one in tables):
        raise ValueError(f"{key} is no list of tables")
    return list(tables)


def _source_spec(item: Mapping[str, Any], origin: str | None) -> SourceSpec:
    columns = _take(item, "columns", list, "list of names")
    if not columns or not all(isinstance(name, str) for name in columns):
        raise ValueError("columns is no list of names")
    split = bool(_take(item, "split", bool, "true or false", default=False))
    return SourceSpec(_text(item, "page"), _text(item, "statement"), tuple(columns), split, origin)


def _parsed_path(text: str, folder: str) -> str:
    return os.path.join(folder, f"charts-{zlib.crc32(text.encode()):08x}.json")


def _read_parsed(text: str, folder: str) -> dict[str, Any] | None:
    try:
        kept = json.loads(find_note(_parsed_path(text, folder)))
        found: dict[str, Any] = kept["data"]
    except (ValueError, TypeError, KeyError):
        return None
    return found if kept["text"] == text else None


def _keep_parsed(text: str, data: dict[str, Any], folder: str) -> None:
    """Not what JSON does not know, such as a date, which is no part of a chart."""
    with contextlib.suppress(TypeError, ValueError):
        leave_note(_parsed_path(text, folder), json.dumps({"text": text, "data": data}))


def _series_spec(item: Mapping[str, Any]) -> SeriesSpec:
    style = _text(item, "style", "line")
    if style not in _STYLES:
        raise ValueError(f"style {style!r} is none of {', '.join(_STYLES)}")
    return SeriesSpec(_text(item, "column"), _text(item, "name"), style)


def _chart_spec(item: Mapping[str, Any]) -> ChartSpec:
    given = item.get("limit", [])
    limits = _tables({"limit": [given] if isinstance(given, dict) else given}, "limit")
    stack = _take(item, "stack", dict, "table", {})
    top = _take(item, "top", (int, float), "number", 0)  # type: ignore[arg-type]
    slug = _text(item, "slug")
    if not _SLUG.fullmatch(slug):
        raise ValueError(f"slug {slug!r} is not made of a-z, 0-9, _ and -")
    return ChartSpec(
        _text(item, "page"),
        slug,
        _text(item, "title"),
        _text(item, "unit"),
        tuple(_series_spec(one) for one in _tables(item, "series", [])),
        tuple((_text(one, "column"), _text(one, "label")) for one in limits),
        top or None,
        bool(_take(item, "optional", bool, "true or false", default=False)),
        _text(item, "about", ""),
        (_text(stack, "split"), _text(stack, "whole"), _text(stack, "rest")) if stack else None,
    )
