"""The option columns of the llama dashboard to options of today's llama-server. Pure.

The same columns stand in one table of 176 of them, or in eight tables; here it is one row either way.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.config.args import OWNED, canonical_args
from llamaagent.neighbours import cells
from llamaagent.neighbours.dashboarddefaults import DEFAULTS
from llamaagent.store.columns import SECTIONS, SERVER
from llamaagent.store.imports import LEFTOVERS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from llamaagent.config.argv import ArgValue
    from llamaagent.config.catalogue import Catalogue
    from llamaagent.store.columns import Column

    Row = Mapping[str, object]

_COLUMNS: dict[str, Column] = {
    column.column: column for section in (*SECTIONS, SERVER) for column in section.columns
}
_OWNED = {
    "host": OWNED["host"],
    "port": OWNED["port"],
    "api_key_file": OWNED["api-key-file"],
    "log_file": OWNED["log-file"],
    "log_disable": OWNED["log-disable"],
    "verbose_prompt": "llama-server never had it",
}
_LEFT = {column: section for section, columns in LEFTOVERS.items() for column in columns}
_GONE = {
    "hf_file": "today it is 'model: {hf: USER/REPO:QUANT}'",
    "hf_file_v": "today's llama-server has no such option",
    "defrag_thold": "today's llama-server ignores it",
    "list_devices": "it is a question, never part of a launch",
    "fit": OWNED["fit"],
    "model_url_draft": "llama-server has no such option; 'spec-draft-hf' or a local file does it",
    "ctx_size_draft": "today's draft context follows the main one",
    "spec_replace": "today's llama-server has no such option",
}
SECRETS = ("hf_token", "api_key")
# What the program took and today's llama-server ends at.
_LEAST = {
    "repeat-last-n": 0,
    "dry-penalty-last-n": 0,
    "prio-batch": 0,
    "n-cpu-moe": 0,
    "reasoning-budget": -1,
}
_NEVER = {"parallel": 0, "sleep-idle-seconds": 0}
_SILENT = ("metrics_enabled", "id", "model_id", "created_at", "updated_at")


class Options(NamedTuple):
    """args: as a profile holds them; leftovers: columns that only the tables keep; lost: (column, reason)."""

    args: tuple[tuple[str, ArgValue], ...]
    leftovers: dict[str, Any]
    lost: tuple[tuple[str, str], ...]


def said(row: Row, defaults: Mapping[str, object] = DEFAULTS) -> dict[str, object]:
    """What somebody set: no NULL, no empty text, nothing that the program's own default is equal to."""
    return {
        column: value
        for column, value in row.items()
        if cells.text(value) is not None and not _same(value, defaults.get(column))
    }


def options_of(
    row: Row, catalogue: Catalogue, *, under: Mapping[str, object] | None = None, ignored: frozenset[str]
) -> Options:
    """Options out of what `said` gives. under: of the server, weaker; ignored: columns that are no options."""
    raw: dict[str, object] = {}
    leftovers: dict[str, Any] = {}
    lost: list[tuple[str, str]] = []
    for column, value in {**(under or {}), **row}.items():
        if column in ignored or column in _SILENT or column in SECRETS:
            continue
        if column in _GONE:
            leftovers[column] = cells.whole(value) if column == "ctx_size_draft" else value
            lost.append((column, f"kept in its table, but no profile can say it: {_GONE[column]}"))
        elif column in _OWNED:
            lost.append((column, _OWNED[column]))
        elif column in {"mmap", "mlock"}:
            raw["load-mode"] = _load_mode(row)
        elif column == "custom_params":
            raw |= _custom(value, lost)
        elif column in _COLUMNS and _is_refused(_COLUMNS[column].option, value):
            lost.append((column, f"today's llama-server does not start with {value}"))
        elif column in _COLUMNS:
            raw[_COLUMNS[column].option] = _value(_COLUMNS[column], value, lost)
        else:
            lost.append((column, "this column is not known here"))
    canonical = canonical_args({key: value for key, value in raw.items() if value is not None}, catalogue)
    lost += [(fault.key, fault.message) for fault in canonical.faults if fault.severity == "error"]
    if "list_devices" in leftovers:
        leftovers["list_devices"] = int(bool(cells.whole(leftovers["list_devices"])))
    return Options(canonical.args, leftovers, tuple(lost))


def is_column(name: str) -> bool:
    """Whether it is one of the columns that are options."""
    return name in _COLUMNS or name in {"mmap", "mlock"}


def by_name(name: str) -> str:
    """The option that a free name means: a column's, else as it is."""
    column = _COLUMNS.get(name)
    return name if column is None else column.option


def _same(value: object, default: object) -> bool:
    if default is None:
        return False
    number = cells.real(value)
    if isinstance(default, (int, float)):
        return number is not None and abs(number - default) < 1e-6  # a REAL may have been a float32
    return str(value) == default


def _is_refused(option: str, value: object) -> bool:
    number = cells.real(value)
    if number is None:
        return False
    return number < _LEAST.get(option, number) or number == _NEVER.get(option)


def _value(column: Column, value: object, lost: list[tuple[str, str]]) -> object:
    if column.kind in {"switch", "not"}:
        flag = cells.whole(value)
        if flag is None:
            lost.append((column.column, f"{value!r} is neither 0 nor 1"))
            return None
        return bool(flag) == (column.kind == "switch")
    if column.option == "device" and re.fullmatch(r"[\d,\s]+", str(value)):
        lost.append((column.column, "a number names no device today; use 'resources: {gpus: [0, 1]}'"))
        return None
    if column.option == "logit-bias":
        return [part.strip() for part in str(value).split(",") if part.strip()]
    if column.option == "control-vector-layer-range":
        return re.split(r"[\s,:-]+", str(value).strip())
    if column.kind == "array":
        found = cells.parsed(value)
        return found if isinstance(found, list) else value
    return value


def _load_mode(row: Row) -> str | None:
    """`mmap` and `mlock` are one option today; 0 in either was the default, so it says nothing."""
    mapped, locked = bool(cells.whole(row.get("mmap"))), bool(cells.whole(row.get("mlock")))
    return {(1, 0): "mmap", (0, 1): "mmap+mlock", (1, 1): "mmap+mlock"}.get((int(mapped), int(locked)))


def _custom(value: object, lost: list[tuple[str, str]]) -> dict[str, object]:
    found = cells.parsed(value)
    if not isinstance(found, dict):
        lost.append(("custom_params", "it is no JSON object"))
        return {}
    return {by_name(str(key)): item for key, item in found.items()}
