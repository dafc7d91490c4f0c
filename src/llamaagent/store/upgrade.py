"""Bringing a database to the version of this program: a fresh one, an older one, or one with other views.

Each change is one IMMEDIATE transaction that looks again at what it found before, so that any number of
programs may do this at once and a kill at any point leaves a whole database of some version. Nothing is
defined in this file: the texts are schema.sql, views.sql and migrations/.
"""

from __future__ import annotations

import os

from llamaagent.base.errors import InstallError, StoreCorruptError
from llamaagent.base.record import NamedTuple
from llamaagent.sql import ddl, fingerprint, statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

VERSION = 2
APPLICATION_ID = 0x4C4C4147  # "LLAG"; file(1) and we know our own by it
MIGRATIONS: tuple[str, ...] = ("0002_supervision.sql",)  # the files in migrations/, in order

_SQL = statements("database")
_VIEWS = "views_fingerprint"
_MIN_READER = "min_reader_version"
_OLDEST_READER = 1  # the oldest program that reads today's schema rightly


class Step(NamedTuple):
    """A migration: the version it leads to, its name, its text."""

    version: int
    name: str
    text: str


def version_of(db: apsw.Connection) -> int:
    """PRAGMA user_version: 0 for a file without our schema."""
    version: int = db.pragma("user_version")
    return version


def is_current(db: apsw.Connection) -> bool:
    """Whether nothing is to be done: our version, our views."""
    return version_of(db) == VERSION and metadata(db, _VIEWS) == _todays_views()


def min_reader_version(db: apsw.Connection) -> int:
    """The oldest program version that may read this database; its own version when it does not say."""
    found = metadata(db, _MIN_READER)
    return int(found) if found is not None and found.isdigit() else version_of(db)


def metadata(db: apsw.Connection, key: str) -> str | None:
    """The JSON text kept in `metadata` under key, None when there is none."""
    row = db.execute(_SQL.select_metadata, {"key": key}).fetchone()
    return None if row is None else str(row[0])


def upgrade(db: apsw.Connection, path: str) -> None:
    """Create the schema in an empty database, else run the migrations that are missing, then renew the views.

    db: a writing connection outside of a transaction. path: the file, beside which the copy made before a
    migration is put (`PATH.pre-vN.bak`).
    """
    if version_of(db) == 0:
        _create(db)
    if version_of(db) < VERSION:
        migrate(db, path, [_step(name) for name in MIGRATIONS])
    if not is_current(db):
        _renew_views(db)


def migrate(db: apsw.Connection, path: str, steps: Sequence[Step]) -> None:
    """Run the steps above the database's version, in order, each in a transaction of its own.

    A copy of the file is made before the first. Raises StoreCorruptError when a step would leave a row that
    points to nothing; the database then has the version before that step.
    """
    todo = [step for step in steps if step.version > version_of(db)]
    if todo:
        back_up(db, path)
    db.pragma("foreign_keys", "OFF")  # a no-op inside of a transaction; rebuilding a table needs it
    try:
        for step in todo:
            with db:
                if version_of(db) == step.version - 1:
                    _run(db, step)
    finally:
        db.pragma("foreign_keys", "ON")


def back_up(db: apsw.Connection, path: str) -> None:
    """Copy the database to `PATH.pre-vN.bak`, N being its version; a copy that is not sound replaces nothing."""
    from llamaagent.store.copying import checked_copy, put

    version = version_of(db)
    found: list[int] = []
    part = f"{path}.pre-v{version}.{os.getpid()}.part"  # several programs may be here at once
    with checked_copy(db, part, check=lambda copy: found.append(version_of(copy))):
        if found == [version]:  # else somebody else has migrated meanwhile, and copied before
            put(part, f"{path}.pre-v{version}.bak")


def _create(db: apsw.Connection) -> None:
    with db:
        if version_of(db) != 0:  # another program was faster
            return
        db.pragma("application_id", APPLICATION_ID)
        db.execute(ddl("schema.sql"))
        db.execute(ddl("views.sql"))
        _note(db, Step(VERSION, "schema", ddl("schema.sql")))


def _run(db: apsw.Connection, step: Step) -> None:
    _remove_views(db)
    db.execute(step.text)
    db.execute(ddl("views.sql"))
    broken = db.pragma("foreign_key_check")
    if broken is not None:
        raise StoreCorruptError(f"migration {step.name} would leave rows that point to nothing: {broken}")
    _note(db, step)


def _note(db: apsw.Connection, step: Step) -> None:
    from hashlib import sha256

    from llamaagent import __version__

    digest = sha256(step.text.encode()).hexdigest()
    row = {"version": step.version, "name": step.name, "sha256": digest, "program_version": __version__}
    db.execute(_SQL.insert_version, row)
    db.execute(_SQL.upsert_metadata, {"key": _VIEWS, "value": _todays_views()})
    db.execute(_SQL.upsert_metadata, {"key": _MIN_READER, "value": str(_OLDEST_READER)})
    db.pragma("user_version", step.version)


def _renew_views(db: apsw.Connection) -> None:
    with db:
        if is_current(db):
            return
        _remove_views(db)
        db.execute(ddl("views.sql"))
        db.execute(_SQL.upsert_metadata, {"key": _VIEWS, "value": _todays_views()})


def _todays_views() -> str:
    return f'"{fingerprint("views.sql")}"'


def _remove_views(db: apsw.Connection) -> None:
    for (statement,) in db.execute(_SQL.select_view_removals).fetchall():
        db.execute(str(statement))


def _step(name: str) -> Step:
    number = name.partition("_")[0]
    if not number.isdigit():
        raise InstallError(f"migrations/{name} has no number")
    return Step(int(number), name, ddl(f"migrations/{name}"))
