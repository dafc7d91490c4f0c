"""`store.config` and `store.metadata`: two key-value stores, one with types and one for JSON."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from llamaagent.base.errors import BadInputError
from llamaagent.domain.typed import check_key, encode
from llamaagent.sql import statements
from llamaagent.store.keyvalue import ConfigStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.base.clock import Clock
    from llamaagent.library.link import Link
    from llamaagent.store.keyvalue import ConfigEntry

_SQL = statements("keyvalue")
_OWN = re.compile(r"[a-z0-9_]+")
_YOURS = frozenset({"theme_preference"})  # a user's, though it is named as the agent names its own


class ConfigRepository:
    """Typed values: str, int, float, bool, and lists, objects and None as json. What steers the agent is in YAML."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link, self._clock = link, clock

    def get(self, key: str, default: Any = None) -> Any:
        """The value, of the type that it was stored with; default when there is none."""
        found = self._link.read(lambda db: ConfigStore(db).get(key), None)
        return default if found is None else found.value

    def set(self, key: str, value: Any) -> bool:
        """Store a value; True when that changed anything.

        Raises BadInputError for a key of the settings, a secret that is no reference (`env:NAME`, `file:/path`), and
        a value that would not come back as it is.
        """
        _refuse_setting(key)
        check_key(key, value)
        encode(value)
        return self._link.write(lambda db: ConfigStore(db).set(key, value, self._clock.now()), False)

    def save(self, values: Mapping[str, Any]) -> bool:
        """Store several values, all or none; True when that changed anything. Raises BadInputError as `set`."""
        for key, value in values.items():
            _refuse_setting(key)
            check_key(key, value)
            encode(value)
        now = self._clock.now()
        return self._link.write(
            lambda db: sum(ConfigStore(db).set(key, value, now) for key, value in values.items()) > 0, False
        )

    def unset(self, key: str) -> bool:
        """Remove a key; True when it was there."""
        return self._link.write(lambda db: ConfigStore(db).unset(key), False)

    def all(self, defaults: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Every value by key, over these defaults."""
        return {**(defaults or {}), **{entry.key: entry.value for entry in self.entries()}}

    def entries(self) -> tuple[ConfigEntry, ...]:
        """Every row: key, value, value_type, created_ts, updated_ts."""
        return self._link.read(lambda db: ConfigStore(db).entries(), ())


class MetadataRepository:
    """Small facts as JSON. Keys of small letters, digits and _ alone are the agent's, to be read; yours: `app.key`."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link, self._clock = link, clock

    def get(self, key: str, default: Any = None) -> Any:
        """The value; default when there is none. What an older tool stored as plain text comes as text."""
        known = self._predefined().get(key) if _OWN.fullmatch(key) else None
        if known is not None:
            return known
        rows = self._rows("select_metadata", {"key": key})
        return _value(str(rows[0][0])) if rows else default

    def set(self, key: str, value: Any) -> None:
        """Store a value. Raises BadInputError for a key of the agent's and for what JSON does not bring back."""
        _refuse_own(key)
        check_key(key, value)
        given = {"key": key, "value": encode(value)[0], "ts": self._clock.now()}
        self._change("upsert_metadata", given)

    def delete(self, key: str) -> bool:
        """Remove a key; True when it was there. Raises BadInputError for a key of the agent's."""
        _refuse_own(key)
        return bool(self._change("delete_metadata", {"key": key}))

    def all(self) -> dict[str, Any]:
        """Every value by key, the agent's too."""
        stored = {str(row[0]): _value(str(row[1])) for row in self._rows("list_metadata", {})}
        return {**stored, **self._predefined()}

    def _predefined(self) -> dict[str, Any]:
        """What the dashboards kept under keys of their own, as it is here: from the tables, never stored."""
        rows = self._rows("select_predefined", {})
        keys = ("db_version", "server_start_time", "last_metrics_save")
        return (
            {key: value for key, value in zip(keys, rows[0], strict=True) if value is not None}
            if rows
            else {}
        )

    def _rows(self, name: str, given: dict[str, Any]) -> list[tuple[Any, ...]]:
        nothing: list[tuple[Any, ...]] = []
        return self._link.read(lambda db: db.execute(_SQL[name], given).fetchall(), nothing)

    def _change(self, name: str, given: dict[str, Any]) -> list[tuple[Any, ...]]:
        nothing: list[tuple[Any, ...]] = []
        return self._link.write(lambda db: db.execute(_SQL[name], given).fetchall(), nothing)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _refuse_own(key: str) -> None:
    if _OWN.fullmatch(key) and key not in _YOURS:
        raise BadInputError(f"metadata {key!r} is named as the agent names its own", hint=f"app.{key}")


def _refuse_setting(key: str) -> None:
    from llamaagent.config.schema import SETTINGS

    section = key.partition(".")[0]
    if section in SETTINGS:
        raise BadInputError(
            f"{key} is a setting, kept in YAML: edit llamaagent.yaml", hint=f"llamaagent settings {key}"
        )
