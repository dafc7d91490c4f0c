"""charts.toml: which figures are read, and which of them are drawn as which chart."""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from typing import TYPE_CHECKING, Any

from llamaagent.base.errors import InstallError
from llamaagent.base.record import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class SeriesSpec(NamedTuple):
    """One line of a chart: a column of its source."""

    column: str
    name: str
    style: str


class SourceSpec(NamedTuple):
    """A statement with its figures in their order. split: each row's second column names whose figures they are."""

    page: str
    statement: str
    columns: tuple[str, ...]
    split: bool = False


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


def read_definitions(text: str, path: str = "charts.toml", cache_directory: str | None = None) -> Definitions:
    """Read charts.toml. cache_directory: where it may lie as JSON, whose reading costs little.

    Raises InstallError when it is not as it must be.
    """
    data = None if cache_directory is None else _read_parsed(text, cache_directory)
    if data is None:
        import tomllib

        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InstallError(f"{path} is not usable: {error!r}") from error
        if cache_directory is not None:
            _keep_parsed(text, data, cache_directory)
    try:
        sources = tuple(
            SourceSpec(s["page"], s["statement"], tuple(s["columns"]), s.get("split", False))
            for s in data.get("source", ())
        )
        charts = tuple(_chart_spec(item) for item in data.get("chart", ()))
    except (KeyError, TypeError) as error:
        raise InstallError(f"{path} is not usable: {error!r}") from error
    return Definitions(sources, charts)


def _parsed_path(text: str, folder: str) -> str:
    return os.path.join(folder, f"charts-{zlib.crc32(text.encode()):08x}.json")


def _read_parsed(text: str, folder: str) -> dict[str, Any] | None:
    try:
        with open(_parsed_path(text, folder), encoding="utf-8") as file:
            kept = json.load(file)
        found: dict[str, Any] = kept["data"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if kept["text"] == text else None


def _keep_parsed(text: str, data: dict[str, Any], folder: str) -> None:
    """For the next build; where that cannot be done, it parses once more."""
    path = _parsed_path(text, folder)
    with contextlib.suppress(OSError, TypeError, ValueError):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with open(f"{path}.{os.getpid()}", "w", encoding="utf-8") as file:
            json.dump({"text": text, "data": data}, file)
        os.replace(f"{path}.{os.getpid()}", path)


def _chart_spec(item: Mapping[str, Any]) -> ChartSpec:
    lines = tuple(SeriesSpec(s["column"], s["name"], s.get("style", "line")) for s in item.get("series", ()))
    given = item.get("limit", ())
    limits = tuple((one["column"], one["label"]) for one in ([given] if isinstance(given, dict) else given))
    stack = (
        (item["stack"]["split"], item["stack"]["whole"], item["stack"]["rest"]) if "stack" in item else None
    )
    return ChartSpec(
        item["page"],
        item["slug"],
        item["title"],
        item["unit"],
        lines,
        limits,
        item.get("top"),
        item.get("optional", False),
        item.get("about", ""),
        stack,
    )
