"""Key-value tables of the dashboards and of cyllama: metadata, and settings of a kind.

No key of the agent's own is ever written by an import, and nothing that looks like a secret is carried.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from llamaagent.config.special import looks_secret
from llamaagent.neighbours import cells

if TYPE_CHECKING:
    from llamaagent.neighbours.bringing import Bringing

# Keys that the dashboards define; every other one gets a word in front.
_THEIRS = frozenset(
    (
        *("server_start_time", "last_metrics_save", "theme_preference"),
        *("lastScanTime", "modelCacheVersion", "userPreferences", "recentModels"),
    )
)
_TYPES = {bool: "bool", int: "int", float: "float", str: "str"}


def bring_metadata(bringing: Bringing) -> None:
    """`metadata`: keys of theirs as they are, unknown ones under `imported.`."""
    for row in bringing.rows("metadata"):
        key = cells.text(row.get("key"))
        if key is None or row.get("value") is None:
            bringing.tally.drop("metadata", "it has no key or no value")
        elif key == "db_version":
            bringing.tally.drop("metadata", "it is about their file", key)
        elif is_secret(bringing, key, row.get("value")):
            bringing.tally.drop("metadata", "it looks like a secret", key)
        else:
            value = bringing.clean(row.get("value")) or ""
            ts = cells.moment(row.get("updated_at")) or bringing.store.now
            given = {"key": key if key in _THEIRS else f"imported.{key}", "value": value, "ts": ts}
            bringing.tally.put("metadata", "metadata", new=bringing.store.put("insert_metadata", given))


def bring_setting(
    bringing: Bringing, table: str, key: str, value: object, times: tuple[object, object] = (None, None)
) -> None:
    """One value of `config`: here already under that key, it stays. value: what its JSON meant."""
    if is_secret(bringing, key, value):
        bringing.tally.drop(table, "it looks like a secret; put it into the environment", key)
        return
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        bringing.tally.drop(table, "its value cannot be kept as JSON", key)
        return
    created = cells.moment(times[0]) or bringing.store.now
    given = {"key": key, "value": bringing.clean(text), "value_type": _TYPES.get(type(value), "json")}
    stamps = {"created_ts": created, "updated_ts": cells.moment(times[1]) or created}
    bringing.tally.put(table, "config", new=bringing.store.put("insert_config", {**given, **stamps}))


def is_secret(bringing: Bringing, key: str, value: object) -> bool:
    """True for a name or a value that must not be carried; numbers are none, whatever they are called."""
    if isinstance(value, bool) or cells.real(value) is not None:
        return False
    if looks_secret(key) and cells.text(value) is not None:
        bringing.hide(value)
        return True
    return isinstance(value, dict) and any(
        is_secret(bringing, str(inner), item) for inner, item in value.items()
    )
