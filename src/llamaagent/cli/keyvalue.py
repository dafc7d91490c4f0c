"""`config get|set|unset|list`: typed values that people and programs keep in the database.

What steers the agent is in its YAML; a key of the settings is refused here, with the line to edit.
"""

from __future__ import annotations

import json
import os

from llamaagent.base.errors import NOT_FINE, UsageError
from llamaagent.cli.actor import actor
from llamaagent.cli.output import clean, emit, emit_object, say
from llamaagent.cli.rows import moment
from llamaagent.cli.run import refuse_broken_settings
from llamaagent.cli.site import claim, database, load, reading
from llamaagent.domain.typed import from_words
from llamaagent.store.audit import AuditStore
from llamaagent.store.keyvalue import ConfigStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values

_COLUMNS = ("key", "value", "value_type", "created_ts", "updated_ts")
_SHOWN = ("key", "value", "value_type", "updated")


def get(values: Values) -> int:
    """The value: text as it is, all else as JSON; 1 when there is none and no --default."""
    opened = load(values, need_settings=False)
    key, fallback = values.text("key") or "", values.text("default")
    with reading(opened) as db:
        entry = ConfigStore(db).get(key)
    if values.flag("json"):
        if entry is not None:
            emit_object(entry._asdict())
            return 0
        if fallback is not None:
            emit_object({"key": key, "value": from_words(fallback), "value_type": None})
            return 0
    elif entry is not None or fallback is not None:
        print(fallback if entry is None else _bare(entry.value))
        return 0
    if not values.flag("quiet"):
        known = _setting(opened, key)
        say(f"{key} is not set" + (f"; it is a setting: llamaagent settings {key}" if known else ""))
    return NOT_FINE


def put(values: Values) -> int:
    """Store a value of the type named or that it looks like; the old and new one go into the audit log."""
    opened = load(values, need_settings=False)
    refuse_broken_settings(opened)
    key = values.text("key") or ""
    _refuse_setting(opened, key)
    value = from_words(values.text("value") or "", values.text("type"))
    now = opened.clock.now()
    with database(opened, write=True) as db:
        if opened.site_path:
            claim(db, opened)
        store = ConfigStore(db)
        with db:
            before = store.get(key)
            changed = store.set(key, value, now)
            if changed:
                details = {"old": None if before is None else before.value, "new": value}
                AuditStore(db).note(actor(), "config set", ("config", key), now, details)
        entry = store.get(key)
    if values.flag("json") and entry is not None:
        emit_object({**entry._asdict(), "changed": changed})
    elif entry is not None and not values.flag("quiet"):
        say(f"{key}: {'' if changed else 'already_'}set to {_shown(entry.value)} ({entry.value_type})")
    return 0


def drop(values: Values) -> int:
    """Remove a key; one that is not there is no error."""
    opened = load(values, need_settings=False)
    refuse_broken_settings(opened)
    key, now = values.text("key") or "", opened.clock.now()
    gone = False
    if os.path.exists(opened.database):
        with database(opened, write=True, create=False) as db:
            if opened.site_path:
                claim(db, opened)
            store = ConfigStore(db)
            with db:
                before = store.get(key)
                gone = store.unset(key)
                if before is not None:
                    AuditStore(db).note(actor(), "config unset", ("config", key), now, {"old": before.value})
    if values.flag("json"):
        emit_object({"key": key, "changed": gone})
    elif not values.flag("quiet"):
        say(f"{key}: {'unset' if gone else 'already_unset'}")
    return 0


def listing(values: Values) -> int:
    """Every key with its value and type."""
    opened = load(values, need_settings=False)
    with reading(opened) as db:
        entries = ConfigStore(db).entries()
    rows: list[dict[str, object]] = [
        {**entry._asdict(), "updated": moment(entry.updated_ts)} for entry in entries
    ]
    if not (values.flag("json") or (values.text("format") or "").startswith("json")):
        rows = [{**row, "value": _bare(row["value"])} for row in rows]
    emit(values, rows, _COLUMNS, shown=_SHOWN, empty="nothing is set")
    return 0


def _bare(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(value: object) -> str:
    text = clean(_bare(value))
    return text if len(text) <= 80 else f"{text[:77]}..."


def _setting(opened: Opened, key: str) -> str | None:
    """The origin of a key of the settings (`FILE:LINE`, `environment NAME`, `default`); None for another key."""
    for name, origin in opened.site.settings.origins:
        if key in {name, name.partition(".")[0]} or key.startswith(f"{name}."):
            return origin
    return None


def _refuse_setting(opened: Opened, key: str) -> None:
    """Raise UsageError for a key of the settings, naming the file and line to edit."""
    origin = _setting(opened, key)
    if origin is None:
        return
    file = opened.site.settings.file
    if origin.startswith("environment "):
        where = f"it comes from the variable {origin.removeprefix('environment ')}"
    elif origin != "default":
        where = f"edit {origin}"
    elif file is None:
        where = "there is no settings file yet: llamaagent init"
    else:
        where = f"add it to {file}:{_next_line(opened, file, key)}"
    raise UsageError(f"{key} is a setting, kept in YAML: {where}", hint=f"llamaagent settings {key}")


def _next_line(opened: Opened, file: str, key: str) -> int:
    """Where a key that is not in the file yet belongs: at its section, else below the last line."""
    section = key.partition(".")[0]
    for name, origin in opened.site.settings.origins:
        place, _, line = origin.rpartition(":")
        if name.startswith(f"{section}.") and place == file:
            return int(line)
    try:
        with open(file, "rb") as text:
            return sum(1 for _ in text) + 1
    except OSError:
        return 1
