"""Rows in every table of any version of the schema, with every column set where its checks allow it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import apsw

START = 1_700_000_000
SINGLE = {"model_server_config"}  # has one row
NONE = {"schema_version"}
# What a word of a CHECK does not tell by itself.
SPECIAL: dict[tuple[str, str], Any] = {
    ("reservations", "kind"): "instance",
    ("instances", "port"): lambda n: 1 + n % 65535,
    ("instances", "status"): lambda n: ("running", "stopped", "error", "deleted")[n % 4],
    ("metadata", "value"): lambda n: f'"{n}"',
    ("models", "hf_token"): "env:TOKEN",
    ("model_server_config", "api_key"): "env:KEY",
    ("config", "value"): str,
    ("config", "type"): "int",
}


def tables(db: apsw.Connection) -> dict[str, str]:
    """Definition by name, in the order in which they were made: parents before children."""
    found = db.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*'"
    )
    return {str(name): str(text) for name, text in found}


def columns(db: apsw.Connection, name: str) -> list[str]:
    """Those that are stored."""
    return [str(row[1]) for row in db.execute(f'PRAGMA table_xinfo("{name}")') if row[6] == 0]


def fill(db: apsw.Connection, rows: int, more: dict[str, int] | None = None) -> None:
    """Put that many rows into each table; `more` says other numbers for some."""
    with db:
        db.pragma("defer_foreign_keys", True)  # a line of `logs` points to an instance that comes later
        for name, text in tables(db).items():
            if name in NONE:
                continue
            count = 1 if name in SINGLE else (more or {}).get(name, rows)
            info = [row for row in db.execute(f'PRAGMA table_xinfo("{name}")') if row[6] == 0]
            parents = {row[3] for row in db.execute(f'PRAGMA foreign_key_list("{name}")')}
            names = [str(column[1]) for column in info]
            insertion = f'INSERT INTO "{name}" ({_quoted(names)}) VALUES ({", ".join("?" * len(names))})'
            db.executemany(
                insertion,
                (tuple(_value(name, text, c, parents, n, rows) for c in info) for n in range(count)),
            )


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _value(table: str, text: str, column: Any, parents: set[str], n: int, rows: int) -> Any:
    name, kind = str(column[1]), str(column[2])
    given = SPECIAL.get((table, name))
    if given is not None:
        return given(n) if callable(given) else given
    if name in parents:
        return 1 + n % rows
    if name == "id":
        return n + 1
    choice = re.search(rf"\b{name}\"?(?: COLLATE BINARY)? IN\s*\(([^)]*)\)", text)
    if choice:
        words = [word.strip().strip("'") for word in choice[1].split(",")]
        return int(words[n % len(words)]) if kind == "INTEGER" else words[n % len(words)]
    if re.search(rf"json_valid\({name}\)", text):
        return f'{{"n": {n}}}'
    if name == "ts":
        return START + 30 * n
    return {"INTEGER": n + 1, "REAL": n / 2, "BLOB": bytes([n % 256]) * 20}.get(kind, f"{name} {n}")


def content(db: apsw.Connection, only: dict[str, list[str]] | None = None) -> dict[str, set[tuple[Any, ...]]]:
    """Every row of every table, as a set. only: these columns of these tables."""
    found = {}
    for name in only or tables(db):
        wanted = (only or {}).get(name) or columns(db, name)
        found[name] = set(db.execute(f'SELECT {_quoted(wanted)} FROM "{name}"'))
    return found
