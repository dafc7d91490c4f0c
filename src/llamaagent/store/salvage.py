"""Every readable row of a damaged database into a fresh one of today's schema, and a list of what was lost.

The damaged file is read and never written. Each table is read through SQLite by its key, around what is damaged; of a
tree whose pages hang on a damaged one, the pages are found by what they are and read one by one; the schema itself is
looked for in the whole file when its pages are damaged. What comes twice counts once. The new file has its name when
it is complete, and not before.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

import apsw

from llamaagent.base.errors import CannotCreateError, StorageError, StoreCorruptError
from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements
from llamaagent.store.connect import open_database
from llamaagent.store.copying import put, remove_part, sync
from llamaagent.store.lostpages import Lost, Root, count_entries, find_lost, find_roots, fits, open_pages
from llamaagent.store.onetable import one_table
from llamaagent.store.pages import TABLE_INTERIOR
from llamaagent.store.rowscan import Gap, reading_of, scan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.store.pages import Pages, Tree

    Told = Callable[[str], None]

_SQL = statements("salvage")
_TWICE = frozenset(
    {apsw.SQLITE_CONSTRAINT_PRIMARYKEY, apsw.SQLITE_CONSTRAINT_ROWID, apsw.SQLITE_CONSTRAINT_UNIQUE}
)
_SAMPLE = 50


class Saved(NamedTuple):
    """What came of one table.

    lost: rows that were there and are not now, None where nothing tells how many. refused: rows whose content the
    schema does not allow, so that it cannot be what was written. pages: damaged pages of its tree. gaps: between
    which keys rows are missing. missing: nothing in the file says where the table was.
    """

    table: str
    rows: int
    lost: int | None
    refused: int
    pages: int
    gaps: tuple[Gap, ...]
    missing: bool = False


class Salvage(NamedTuple):
    """The whole. stand_ins: rows put there because others point to them, by table. cleared: such pointers removed."""

    tables: tuple[Saved, ...]
    stand_ins: dict[str, int]
    cleared: int
    header_lost: bool


class _Table(NamedTuple):
    """A table of today: its definition, whether it has rowids, the types of what a row stores."""

    name: str
    definition: str
    without_rowid: bool
    types: tuple[str, ...]


def salvage(path: str, out: str, told: Told | None = None) -> Salvage:
    """Save what can be saved of the database at path into the new file out (0600). told: hears each table's name.

    Raises StorageError where there is nothing, ConfigError for a file of another program or of a newer version,
    CannotCreateError when out is there.
    """
    if os.path.lexists(out):
        raise CannotCreateError(f"{out} is there", hint="name a new file")
    part = f"{out}.part"
    try:
        with open_pages(path) as pages:
            remove_part(part)
            db = open_database(part)
            try:
                found = _Salvager(db, pages, told).run()
                db.pragma("journal_mode", "DELETE")
            finally:
                db.close()
        sync(part)
        put(part, out)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    finally:
        remove_part(part)
    return found


class _Salvager:
    def __init__(self, db: apsw.Connection, pages: Pages, told: Told | None) -> None:
        self._db, self._pages, self._told = db, pages, told
        self._roots = {root.name: root for root in find_roots(pages)}
        self._tables = [_typed(*row) for row in db.execute(_SQL.list_tables)]
        self._lost: Lost | None = None
        self._taken: set[int] = set()  # pages at the top of a branch that has found its table

    def run(self) -> Salvage:
        """Everything in one transaction; references are put right at its end."""
        db = self._db
        db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
        db.pragma("foreign_keys", "OFF")
        with db:
            (own,) = db.execute(statements("database").select_version_row).fetchall()
            db.execute(_SQL.forget_versions)
            saved = tuple(self._table(table) for table in self._tables)
            with suppress(apsw.ConstraintError):  # the damaged one had this version: its own row is there
                db.execute(statements("database").insert_version_row, own)
            stand_ins, cleared = _mend(db)
        return Salvage(saved, stand_ins, cleared, not self._pages.has_header)

    def _table(self, table: _Table) -> Saved:
        if self._told is not None:
            self._told(table.name)
        root = self._roots.get(table.name)
        page = root.page if root is not None else self._lost_root(table)
        if page is None:
            return Saved(table.name, 0, None, 0, 0, (), missing=not self._is_newer(table))
        definition = self._definition(root, table)
        sink = _Sink(self._db, table.name)
        tree = self._pages.walk(page)
        gaps = self._read(table.name, definition, page, sink)
        sound = not gaps and not tree.bad and sink.seen >= self._pages.entries(tree)
        # A parent that has forgotten children looks sound. Where what is free is not known, deleted rows look lost.
        strays = self._strays(table) if not sound or self._pages.has_header else []
        if sound and not strays:
            return Saved(table.name, sink.rows, 0 if not sink.refused else None, sink.refused, 0, ())
        own = [n for n in sorted(tree.pages) if self._pages.kind(n) != TABLE_INTERIOR]
        for page in (*own, *strays):
            self._read(table.name, definition, page, sink)
        return self._count(table, sink, tree, gaps, strayed=bool(strays))

    def _definition(self, root: Root | None, table: _Table) -> str:
        """The damaged database's own, when SQLite understands it; else today's."""
        if root is None or root.definition is None:
            return table.definition
        try:
            with one_table(self._pages, table.name, root.definition, root.page) as source:
                return root.definition if reading_of(source, table.name).columns else table.definition
        except (apsw.Error, StoreCorruptError, TypeError, ValueError):
            return table.definition

    def _count(
        self, table: _Table, sink: _Sink, tree: Tree, gaps: tuple[Gap, ...], *, strayed: bool
    ) -> Saved:
        """How many are missing: by an index that is whole, else by what the pages say when all of them are there."""
        had = None if table.without_rowid else count_entries(self._pages, self._roots, table.name)
        if had is None and not tree.bad and not strayed:
            had = self._pages.entries(tree)
        lost = None if had is None else max(0, had - sink.rows - sink.before)
        return Saved(table.name, sink.rows, lost, sink.refused, len(tree.bad), gaps if lost != 0 else ())

    def _read(self, name: str, definition: str, page: int, sink: _Sink) -> tuple[Gap, ...]:
        try:
            with one_table(self._pages, name, definition, page) as source:
                reading = reading_of(source, name)
                sink.begin(reading.columns)
                return scan(source, reading, sink.take)
        except (apsw.Error, StoreCorruptError):
            return (Gap(None, None),)

    def _strays(self, table: _Table) -> list[int]:
        """Pages with rows that are in no tree and may be this table's."""
        return [n for n in self._all_lost().leaves if n not in self._taken and self._accepts(table, n)]

    def _lost_root(self, table: _Table) -> int | None:
        """The page that must be the root of a table of which the schema says nothing any more."""
        if not self._schema_damaged() or self._is_newer(table):
            return None
        found = [n for n in self._all_lost().tops if n not in self._taken and self._accepts(table, n)]
        if not found:
            return None
        self._taken.add(found[0])
        return found[0]

    def _accepts(self, table: _Table, page: int) -> bool:
        """Whether the page's rows are such as the table allows: how many values, their types, what is checked."""
        if not fits(self._pages, page, without_rowid=table.without_rowid, types=table.types):
            return False
        trial = _Trial(self._db, table.name)
        with suppress(_EnoughError):
            self._read(table.name, table.definition, page, trial)
        return trial.rows > 0 and trial.refused == 0

    def _all_lost(self) -> Lost:
        if self._lost is None:
            reached = set(self._pages.walk(1).pages)
            for root in self._roots.values():
                reached |= self._pages.walk(root.page).pages
            self._lost = find_lost(self._pages, frozenset(reached))
        return self._lost

    def _schema_damaged(self) -> bool:
        return bool(self._pages.walk(1).bad)

    def _is_newer(self, table: _Table) -> bool:
        """Whether the damaged database is of a version that did not have this table."""
        return not self._schema_damaged() and table.name not in self._roots


def _typed(name: object, definition: object, without_rowid: object, types: object) -> _Table:
    return _Table(str(name), str(definition), bool(without_rowid), tuple(json.loads(str(types))))


class _EnoughError(Exception):
    """A trial has seen what it needs."""


class _Sink:
    """Rows into the fresh table; what is there already is passed over."""

    def __init__(self, db: apsw.Connection, name: str) -> None:
        self._db, self._name = db, name
        self.rows = self.refused = self.seen = 0
        counting = str(db.execute(_SQL.select_counting, {"name": name}).get)
        self.before = int(str(db.execute(counting).get))
        self._places: tuple[int, ...] = ()
        self._text = ""

    def begin(self, columns: tuple[str, ...]) -> None:
        given = {"name": self._name, "columns": json.dumps(columns)}
        places, text = self._db.execute(_SQL.select_insertion, given).fetchone() or ("[]", "")
        self._places, self._text = tuple(json.loads(str(places))), str(text)

    def take(self, row: tuple[object, ...]) -> None:
        self.seen += 1
        try:
            self._db.execute(self._text, tuple(row[place] for place in self._places))
        except apsw.ConstraintError as error:
            self.refused += getattr(error, "extendedresult", None) not in _TWICE
        else:
            self.rows += 1


class _Trial(_Sink):
    """The same without leaving anything."""

    def take(self, row: tuple[object, ...]) -> None:
        with suppress(_UndoError):
            self._try(row)
        if self.rows + self.refused >= _SAMPLE:
            raise _EnoughError

    def _try(self, row: tuple[object, ...]) -> None:
        with self._db:
            super().take(row)
            raise _UndoError


class _UndoError(Exception):
    """Takes a savepoint back."""


def _mend(db: apsw.Connection) -> tuple[dict[str, int], int]:
    """Make references right: those that may be empty are emptied, for the others the row they point to is put there."""
    broken = [
        (str(name), int(str(number)), str(parent)) for name, parent, number in db.execute(_SQL.list_broken)
    ]
    stand_ins: dict[str, int] = {}
    cleared = 0
    for name, number, parent in sorted(broken):
        row = db.execute(_SQL.select_reference, {"name": name, "id": number}).fetchone()
        _, needed, clearing, missing = row or ("", 0, "", "")
        if not needed:
            before = db.total_changes()
            db.execute(str(clearing))
            cleared += db.total_changes() - before
            continue
        for (key,) in db.execute(str(missing)).fetchall():
            db.execute(_SQL[f"stand_in_{parent}"], {"id": key})
            stand_ins[parent] = stand_ins.get(parent, 0) + 1
    return stand_ins, cleared
