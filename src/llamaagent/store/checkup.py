"""What is wrong with a database file, asked of the file itself and of what lies beside it. Changes nothing."""

from __future__ import annotations

import os
import re

import apsw

from llamaagent.base.errors import StorageError
from llamaagent.base.record import NamedTuple
from llamaagent.sql import ddl, statements
from llamaagent.store.upgrade import APPLICATION_ID, VERSION, version_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SQL = statements("check")
_TRACES = ("-wal", ".pass.lock", ".agent.lock", ".backup.lock")
_SHOWN = 20


class Damage(NamedTuple):
    """One thing that is wrong.

    check: missing | empty | header | foreign | version | pages | references | schema | views.
    remedy: what to type.
    """

    check: str
    detail: str
    remedy: str


class Remedies(NamedTuple):
    """Commands, as far as they depend on what there is."""

    lost: str  # nothing is left to be saved
    damaged: str  # much may be left


def traces(path: str) -> tuple[str, ...]:
    """What says that a database was at path once: locks, its WAL, copies from before a migration."""
    folder, name = os.path.split(os.path.abspath(path))
    found = [f"{name}{suffix}" for suffix in _TRACES if os.path.lexists(path + suffix)]
    if os.path.isdir(folder):
        found += sorted(n for n in os.listdir(folder) if n.startswith((f"{name}.pre-v", f"{name}.replaced-")))
    return tuple(found)


def examine(
    path: str, remedies: Remedies, known: tuple[str, ...] = (), *, quick: bool = False
) -> tuple[Damage, ...]:
    """Everything wrong with the database at path; nothing = it is sound.

    known: what says that it has been there. quick: leave out whether indexes and tables agree.
    Raises StorageError where nothing says that there ever was one, and for a file that may not be read.
    """
    seen = ", ".join(known)
    if not os.path.exists(path):
        if not known:
            raise StorageError(f"no database at {path}", hint="llamaagent db init")
        return (Damage("missing", f"there was a database ({seen})", remedies.lost),)
    if os.path.getsize(path) == 0 and not _size(f"{path}-wal"):
        detail = f"no byte is left of what was there ({seen})" if known else "the file has no byte"
        return (Damage("empty", detail, remedies.lost if known else "llamaagent db init"),)
    try:
        db = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
        try:
            db.set_busy_timeout(5000)
            return tuple(_examine(db, remedies, quick=quick))
        finally:
            db.close()
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from error


def _examine(db: apsw.Connection, remedies: Remedies, *, quick: bool) -> Iterator[Damage]:
    try:
        application, version = db.pragma("application_id"), version_of(db)
    except (apsw.NotADBError, apsw.CorruptError) as error:
        yield Damage("header", str(error), remedies.damaged)
        return
    if application != APPLICATION_ID:
        yield Damage(
            "foreign", f"application id {application:#x} is another program's", "name another with --db"
        )
        return
    if version > VERSION:
        detail = f"schema version {version} is newer than {VERSION}, which this program knows"
        yield Damage("version", detail, "use the newer llamaagent")
    elif version < VERSION:
        yield Damage(
            "version", f"schema version {version}, this program needs {VERSION}", "llamaagent db migrate"
        )
    for text in _answers(db, "check_pages" if quick else "check_integrity"):
        yield Damage("pages", text, remedies.damaged)
    for text in _broken_references(db):
        yield Damage("references", text, remedies.damaged)
    if version == VERSION:
        yield from _definitions(db, remedies)


def _answers(db: apsw.Connection, question: str) -> list[str]:
    """What SQLite finds; it may also raise it."""
    found: list[str] = []
    try:
        for (text,) in db.execute(_SQL[question]):
            found += [line for line in str(text).splitlines() if line and not line.startswith("***")]
    except apsw.CorruptError as error:
        found.append(str(error))
    return [text for text in found if text != "ok"][:_SHOWN]


def _broken_references(db: apsw.Connection) -> list[str]:
    counts: dict[tuple[str, str], int] = {}
    try:
        for table, _, parent, _ in db.execute(_SQL.check_references):
            key = (str(table), str(parent))
            counts[key] = counts.get(key, 0) + 1
    except apsw.Error as error:  # a damaged schema has no tables to ask
        return [] if isinstance(error, apsw.CorruptError) else [str(error)]
    return [
        f"{count} rows of {table} point to no row of {parent}" for (table, parent), count in counts.items()
    ]


def _definitions(db: apsw.Connection, remedies: Remedies) -> Iterator[Damage]:
    """Compare with the definitions that this program would make."""
    fresh = apsw.Connection(":memory:")
    fresh.execute(ddl("schema.sql"))
    fresh.execute(ddl("views.sql"))
    try:
        here = _defined(db)
    except apsw.Error:
        return  # told already
    finally:
        wanted = _defined(fresh)
        fresh.close()
    tables = _differences({k: v for k, v in wanted.items() if k[0] != "view"}, here)
    if tables:
        yield Damage("schema", tables, remedies.damaged)
    views = _differences({k: v for k, v in wanted.items() if k[0] == "view"}, here)
    if views:
        yield Damage("views", views, "llamaagent db migrate")


def _defined(db: apsw.Connection) -> dict[tuple[str, str], str]:
    """Definitions without white space and comments."""
    return {
        (str(kind), str(name)): re.sub(r"\s+", "", re.sub(r"--[^\n]*", "", str(text)))
        for kind, name, text in db.execute(_SQL.list_definitions)
    }


def _differences(wanted: dict[tuple[str, str], str], here: dict[tuple[str, str], str]) -> str:
    missing = sorted(name for _, name in wanted.keys() - here.keys())
    other = sorted(key[1] for key, text in wanted.items() if key in here and here[key] != text)
    told = [f"missing: {', '.join(missing)}"] if missing else []
    told += [f"other than this program's: {', '.join(other)}"] if other else []
    return "; ".join(told)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
