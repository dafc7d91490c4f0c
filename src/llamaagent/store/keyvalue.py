"""The typed key-value store `config` of one open database."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.domain.typed import check_key, decode, encode
from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from apsw import Connection

_SQL = statements("keyvalue")


class ConfigEntry(NamedTuple):
    """One row: the value as Python has it, its type, and when it came and last changed (Unix seconds)."""

    key: str
    value: object
    value_type: str
    created_ts: int
    updated_ts: int


class ConfigStore:
    """`config` of one open database. Methods that write expect the caller's transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def get(self, key: str) -> ConfigEntry | None:
        """The row of a key, None when there is none."""
        rows = self._db.execute(_SQL["select_config"], {"key": key}).fetchall()
        return _entry(rows[0]) if rows else None

    def entries(self) -> tuple[ConfigEntry, ...]:
        """Every row, by key."""
        return tuple(_entry(row) for row in self._db.execute(_SQL["list_config"]).fetchall())

    def set(self, key: str, value: object, ts: int) -> bool:
        """Store a value; False when the same value of the same type is there. Raises BadInputError."""
        check_key(key, value)
        text, value_type = encode(value)
        before = self.get(key)
        if before is not None and (encode(before.value)[0], before.value_type) == (text, value_type):
            return False
        given = {"key": key, "value": text, "value_type": value_type, "ts": ts}
        self._db.execute(_SQL["upsert_config"], given)
        return True

    def unset(self, key: str) -> bool:
        """Remove a key; False when it is not there."""
        return bool(self._db.execute(_SQL["delete_config"], {"key": key}).fetchall())


def _entry(row: tuple[Any, ...]) -> ConfigEntry:
    key, value, value_type, created_ts, updated_ts = row
    return ConfigEntry(key, decode(value, value_type), value_type, created_ts, updated_ts)
