"""The applied configuration of each profile in `models` and its config tables, and back, without loss.

What fits its column exactly stands there; every other option stands in `custom_params`, so that the command line
that is read back is the one that was written. Imported only when something new is declared, never by an idle pass.
"""

from __future__ import annotations

import json

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements
from llamaagent.store.columns import LOAD_MODES, SECTIONS, SERVER
from llamaagent.store.read import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from apsw import Connection, SQLiteValue

    from llamaagent.config.argv import ArgValue
    from llamaagent.domain.profile import Profile
    from llamaagent.store.columns import Section
    from llamaagent.store.read import Table

    Args = tuple[tuple[str, ArgValue], ...]

_SQL = statements("config_tables")
_MODELS = statements("revisions")
_SECRET = frozenset({"api-key", "hf-token"})  # no value of these is ever stored
_MODES: dict[tuple[SQLiteValue, SQLiteValue], str] = {columns: mode for mode, columns in LOAD_MODES.items()}
_MODES |= {(1, None): "mmap", (0, None): "none", (None, 1): "mmap+mlock"}  # an import may know one of the two


class Source(NamedTuple):
    """A row of `models`: which it is, and where the weights come from."""

    model_id: int
    origin: str
    path: str | None
    url: str | None
    hf: str | None
    docker: str | None
    hf_token: str | None  # a reference


class Stored(NamedTuple):
    """One option as it stands in the database; column is `custom_params` for what has none."""

    section: str
    column: str
    option: str
    value: ArgValue


class AppliedStore:
    """Applied configuration in one open database. Methods that write expect the caller's transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def source(self, name: str) -> Source | None:
        """The row of `models` with this name."""
        row = self._db.execute(_SQL["select_source"], {"name": name}).fetchone()
        return None if row is None else Source(*row)

    def section(self, section: Section, model_id: int | None = None) -> tuple[Stored, ...]:
        """What one table says of a model (of nothing in particular: the server's defaults)."""
        given: dict[str, SQLiteValue] = {} if section is SERVER else {"model_id": model_id}
        row = self._db.execute(_SQL[f"select_{section.name}"], given).fetchone()
        if row is None:
            return ()
        columns = [column.column for column in section.columns]
        columns += ["mmap", "mlock"] if section.name == "memory" else []
        columns += ["custom_params"] if section.custom else []
        return tuple(_stored(section, dict(zip(columns, row, strict=True))))

    def args(self, model_id: int) -> Args:
        """The options of a model as `Profile.args` holds them: by long names, sorted."""
        found = [stored for section in SECTIONS for stored in self.section(section, model_id)]
        return tuple(sorted({stored.option: stored.value for stored in found}.items()))

    def leftovers(self, model_id: int) -> dict[str, SQLiteValue]:
        """Columns of an imported model that are set and that no profile can say, with what stands there."""
        (row,) = select(self._db, "select_leftovers", {"model_id": model_id}, area="config_tables").rows
        return {column: value for column, value in row.items() if value is not None}

    def documents(self) -> dict[str, str]:
        """Profile -> its last good document, for every row of `models` that was declared once."""
        return {row[0]: row[1] for row in self._db.execute(_SQL["select_documents"])}

    def apply(self, profile: Profile, ts: int) -> None:
        """Write the configuration of a declared profile, and what changed into the audit log."""
        before = self._state(profile.name)
        model: dict[str, SQLiteValue] = {
            "name": profile.name,
            "model_path": profile.model.path,
            "model_url": profile.model.url,
        }
        model |= {"docker_repo": profile.model.docker, "hf_repo": profile.model.hf, "ts": ts}
        self._db.execute(_MODELS["insert_model" if before is None else "update_model"], model)
        source = self.source(profile.name)
        assert source is not None  # noqa: S101 - it was written above
        token = dict(profile.secrets).get("hf-token")
        given = {"model_id": source.model_id, "ts": ts, "hf_token": None if token is None else str(token)}
        given |= {"profile": profile.name, "profile_hash": profile.profile_hash}
        for name, row in rows_of(profile.args, SECTIONS).items():
            self._db.execute(_SQL[f"write_{name}"], {**row, **given})
        if before is not None:
            self._note(profile.name, before, self._state(profile.name) or {}, ts)

    def apply_defaults(self, defaults: str, ts: int) -> None:
        """Write `defaults.args` of the settings. defaults: canonical JSON of `defaults`."""
        args = {name: _back(value) for name, value in json.loads(defaults).get("args", {}).items()}
        if args != {stored.option: stored.value for stored in self.section(SERVER)}:
            row = rows_of(args.items(), (SERVER,))["server"]
            self._db.execute(_SQL["write_server"], {**row, "ts": ts})

    def _state(self, name: str) -> dict[str, object] | None:
        """Everything that a change is told of by; None when there is no such model."""
        source = self.source(name)
        if source is None:
            return None
        told = {"model": source.path, "model-url": source.url, "hf-repo": source.hf}
        told |= {"docker-repo": source.docker, "hf-token": source.hf_token}
        return {**{key: value for key, value in told.items() if value}, **dict(self.args(source.model_id))}

    def _note(self, name: str, old: Mapping[str, object], new: Mapping[str, object], ts: int) -> None:
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        if changed:
            details = {"old": {key: old.get(key) for key in changed}}
            details["new"] = {key: new.get(key) for key in changed}
            text = json.dumps(details, ensure_ascii=False)
            self._db.execute(_SQL["insert_change"], {"profile": name, "details": text, "ts": ts})


def model_list(db: Connection) -> Table:
    """Every row of `models`, without its configuration."""
    return select(db, "list_models", area="config_tables")


def rows_of(
    args: Iterable[tuple[str, ArgValue]], sections: tuple[Section, ...]
) -> dict[str, dict[str, SQLiteValue]]:
    """Section -> column -> value, with every column of each table."""
    left = {name: value for name, value in args if name not in _SECRET}
    rows: dict[str, dict[str, SQLiteValue]] = {}
    for section in sections:
        row = rows[section.name] = {}
        for column in section.columns:
            row[column.column] = _fitting(column.kind, left, column.option)
        if section.name == "memory":
            mode = left.get("load-mode")
            known = LOAD_MODES.get(mode) if isinstance(mode, str) else None
            row["mmap"], row["mlock"] = known or (None, None)
            if known:
                del left["load-mode"]
    for section in sections:
        if section.custom:
            text = json.dumps(left, sort_keys=True, ensure_ascii=False, allow_nan=False) if left else None
            rows[section.name]["custom_params"] = text
    return rows


def _fitting(kind: str, left: dict[str, ArgValue], option: str) -> SQLiteValue:
    """Take the option out and give what its column holds; leave it where that would not be the same again."""
    value = left.get(option)
    if value is None:
        return None
    cell = _cell(kind, value)
    if cell is None or repr(_value(kind, cell)) != repr(value):
        return None
    del left[option]
    return cell


def _cell(kind: str, value: ArgValue) -> SQLiteValue:
    """What the column would hold; None = the value is not of its kind."""
    if isinstance(value, bool):
        return {"switch": int(value), "not": int(not value)}.get(kind)
    if isinstance(value, int):
        if kind == "whole":
            return value if -(2**63) <= value < 2**63 else None
        return str(value) if kind == "number" else None
    if isinstance(value, float):
        return value if kind == "real" and repr(value) != "-0.0" else None  # SQLite knows no negative zero
    if isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False) if kind == "array" else None
    if kind == "array" and value.startswith("["):
        return json.dumps([value], ensure_ascii=False)
    return value if kind in {"text", "number", "array"} else None


def _value(kind: str, cell: SQLiteValue) -> ArgValue:
    """What a column means. An import may have put anything there that its type allows."""
    if kind in {"switch", "not"}:
        return bool(cell) == (kind == "switch")
    if isinstance(cell, (int, float)):
        return cell
    text = str(cell)
    if kind == "number" and text.removeprefix("-").isdecimal() and str(int(text)) == text:
        return int(text)
    if kind == "array" and text.startswith("["):
        try:
            items = tuple(str(item) for item in json.loads(text))
        except ValueError:
            return text
        return items[0] if len(items) == 1 else items
    return text


def _back(value: object) -> ArgValue:
    """A value out of JSON."""
    return tuple(value) if isinstance(value, list) else value  # type: ignore[return-value]


def _stored(section: Section, row: dict[str, SQLiteValue]) -> Iterable[Stored]:
    for column in section.columns:
        cell = row[column.column]
        if cell is not None:
            yield Stored(section.name, column.column, column.option, _value(column.kind, cell))
    mode = _MODES.get((row.get("mmap"), row.get("mlock")))
    if mode is not None:
        yield Stored(section.name, "mmap, mlock", "load-mode", mode)
    custom = row.get("custom_params")
    entries = json.loads(str(custom)) if custom else {}
    for option, value in entries.items() if isinstance(entries, dict) else ():
        yield Stored(section.name, "custom_params", option, _back(value))
