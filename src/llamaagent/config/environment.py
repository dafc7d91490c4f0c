"""`LLAMAAGENT_...` variables laid over the settings file: one for every key with a single value.

The name is the dotted key in capitals with `_` (`LLAMAAGENT_REPORTS_DIRECTORY`); a few older names are kept.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llamaagent.config.node import Faults, Mark, Node

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llamaagent.config.files import Places
    from llamaagent.config.schema import Spec

_SINGLE = ("text", "url", "path", "binary", "duration", "size", "int", "number", "bool", "choice", "range")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_UNITS = {"seconds": "s", "megabytes": "MiB"}  # the older names carry their unit; _MB always meant MiB
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_OTHER_LEVELS = {"WARN": "WARNING", "FATAL": "CRITICAL"}


def overrides(places: Places, specs: Mapping[str, Spec], faults: Faults) -> Node:
    """A node to lay over the settings; relative paths in variables mean beside the working folder."""
    top: dict[str, tuple[Mark, Node]] = {}
    here = Mark(os.path.join(places.cwd, "."), 1, 1, "environment")
    for variable, dotted, kind in _variables(specs, ""):
        text = places.environ.get(variable, "")
        if not text:
            continue
        mark = _mark(places, variable)
        node = _node(variable, text.strip(), kind, mark, faults)
        if node is None:
            continue
        section, _, key = dotted.rpartition(".")
        if section:
            entries = top.setdefault(section, (mark, Node({}, mark)))[1].map
            entries[key] = (mark, node)
        else:
            top[key] = (mark, node)
    return Node(top, here)


def process_switches(
    environ: Mapping[str, str], complain: Callable[[str, str], None]
) -> dict[str, bool | str]:
    """db_enabled, log_level and log_to_db, which no file sets.

    complain: gets the name of each variable that cannot be read, and what is wrong with it; its default holds.
    """
    out: dict[str, bool | str] = {}
    for field in ("db_enabled", "log_to_db"):
        variable = f"LLAMAAGENT_{field.upper()}"
        word = environ.get(variable, "").strip()
        if word.lower() in (*_TRUE, *_FALSE):
            out[field] = word.lower() in _TRUE
        elif word:
            complain(variable, f"{variable} must be true or false, not {word!r}")
    word = environ.get("LLAMAAGENT_LOG_LEVEL", "").strip()
    level = _OTHER_LEVELS.get(word.upper(), word.upper())
    if level in _LEVELS:
        out["log_level"] = level
    elif word:
        levels = ", ".join(_LEVELS)
        complain("LLAMAAGENT_LOG_LEVEL", f"LLAMAAGENT_LOG_LEVEL must be one of {levels}, not {word!r}")
    return out


def checked_switches(places: Places, faults: Faults) -> dict[str, bool | str]:
    """The same for the settings, where one that cannot be read is a fault."""

    def complain(variable: str, text: str) -> None:
        faults.add(_mark(places, variable), text)

    return process_switches(places.environ, complain)


def _mark(places: Places, variable: str) -> Mark:
    return Mark(os.path.join(places.cwd, f"${variable}"), 1, 1, "environment")


def _variables(specs: Mapping[str, Spec], prefix: str) -> list[tuple[str, str, str]]:
    """(variable, dotted key, kind); an older name comes after the regular one and wins."""
    out: list[tuple[str, str, str]] = []
    for key, spec in specs.items():
        if spec.kind == "map":
            out += _variables(spec.keys, f"{prefix}{key}.")
        elif spec.kind in _SINGLE:
            dotted = prefix + key
            out.append(("LLAMAAGENT_" + dotted.upper().replace(".", "_"), dotted, spec.kind))
    if not prefix:
        out.append(("LLAMAAGENT_DB_PATH", "database", "path"))
        out.append(("LLAMAAGENT_CACHE_MAX_SIZE_MB", "cache.max_size", "megabytes"))
        out.append(("LLAMAAGENT_CACHE_TTL", "cache.ttl", "seconds"))
    return out


def _node(variable: str, text: str, kind: str, mark: Mark, faults: Faults) -> Node | None:
    if kind == "bool":
        if text.lower() in (*_TRUE, *_FALSE):
            return Node(text.lower() in _TRUE, mark)
        faults.add(mark, f"{variable} must be true or false, not {text!r}")
        return None
    if kind in _UNITS and text.isdecimal():
        return Node(text + _UNITS[kind], mark)
    if kind in {"int", "number"}:
        try:
            number = float(text)
        except ValueError:
            return Node(text, mark)
        if number - number != 0:  # infinite, or not a number
            return Node(text, mark)
        return Node(int(number) if number == int(number) else number, mark, text)
    return Node(text, mark)
