"""Which page is whose in a damaged file: the roots of the tables, and the pages that nobody points to any more."""

from __future__ import annotations

from llamaagent.base.errors import ConfigError, StorageError
from llamaagent.base.record import NamedTuple
from llamaagent.store.pages import INDEX_INTERIOR, INDEX_LEAF, TABLE_INTERIOR, TABLE_LEAF, USUAL_SIZE, Pages
from llamaagent.store.upgrade import APPLICATION_ID, VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llamaagent.store.pages import Value

_OURS = frozenset(
    {"schema_version", "instances", "generations", "decisions", "system_samples", "logs", "metadata"}
)
_MANY_VERSIONS = 10_000  # a number beyond this is no version but damage
_ROWID = frozenset({TABLE_INTERIOR, TABLE_LEAF})
_KEYED = frozenset({INDEX_INTERIOR, INDEX_LEAF})
_TYPES: dict[str, tuple[type, ...]] = {
    "INTEGER": (int,),
    "REAL": (int, float),
    "TEXT": (str,),
    "BLOB": (bytes,),
}
_KINDS = frozenset({"table", "index", "view", "trigger"})


class Root(NamedTuple):
    """A row of the schema that has pages. definition: None for the index behind a UNIQUE."""

    kind: str
    name: str
    table: str
    page: int
    definition: str | None


def open_pages(path: str) -> Pages:
    """The pages of a database of ours. Its header is believed as far as the tables that are found agree with it.

    Raises StorageError for an empty file, ConfigError for one of another program or of a newer version.
    """
    pages = Pages(path)
    if pages.count == 0:
        raise StorageError(f"{path} is empty: nothing is left to be saved", hint="llamaagent db restore")
    if not pages.has_header:
        return pages
    head = pages.page(1)
    version, application = (int.from_bytes(head[at : at + 4], "big") for at in (60, 68))
    if application == APPLICATION_ID and VERSION < version < _MANY_VERSIONS:
        raise ConfigError(f"{path} has schema version {version}, this program knows {VERSION}")
    found = _OURS & {root.name for root in find_roots(pages)}
    if pages.size != USUAL_SIZE:
        other = Pages(path, USUAL_SIZE)
        if len(_OURS & {root.name for root in find_roots(other)}) > len(found):
            return other
    if not found and application not in {APPLICATION_ID, 0}:
        raise ConfigError(f"{path} is a database of another program")
    return pages


def find_roots(pages: Pages) -> tuple[Root, ...]:
    """What the schema says. When its own pages are damaged, what of it lies in the file at all."""
    schema = pages.walk(1)
    found = _roots(pages, schema.pages)
    if schema.bad:
        known = {page for root in found.values() for page in pages.walk(root.page).pages}
        others = [n for n in range(2, pages.count + 1) if n not in known and pages.kind(n) == TABLE_LEAF]
        found = {**_roots(pages, others), **found}
    return tuple(found.values())


def _roots(pages: Pages, numbers: Iterable[int]) -> dict[str, Root]:
    rows = (row for number in numbers for row in pages.rows(number))
    made = (_root(pages, row) for row in rows)
    return {root.name: root for root in made if root is not None}


def _root(pages: Pages, row: tuple[Value, ...]) -> Root | None:
    if len(row) != 5 or row[0] not in _KINDS:
        return None
    kind, name, table, page, definition = row
    if not isinstance(name, str) or not isinstance(table, str) or not isinstance(page, int):
        return None
    if definition is not None and not isinstance(definition, str):
        return None
    if not 1 < page <= pages.count:
        return None
    return Root(str(kind), name, table, page, definition)


class Lost(NamedTuple):
    """Branches whose parent is gone, by the page at their top."""

    tops: tuple[int, ...]
    leaves: tuple[int, ...]  # all pages in them that may hold rows


def find_lost(pages: Pages, reached: frozenset[int]) -> Lost:
    """Pages of trees that are in no tree. reached: those that are; what is free is not lost."""
    rest = set(range(2, pages.count + 1)) - reached - pages.free()
    trees = sorted(n for n in rest if pages.kind(n) is not None)
    below = {child for n in trees for child in pages.children(n)}
    holding = tuple(n for n in trees if pages.kind(n) != TABLE_INTERIOR and pages.cells(n))
    return Lost(tuple(n for n in trees if n not in below), holding)


def fits(pages: Pages, number: int, *, without_rowid: bool, types: tuple[str, ...]) -> bool:
    """Whether a page may be one of a table's, by its kind and by what its rows hold. types: in the order stored."""
    if pages.kind(number) not in (_KEYED if without_rowid else _ROWID):
        return False
    rows = pages.rows(_first_leaf(pages, number))
    return bool(rows) and all(
        len(row) == len(types) and all(_is_of(value, kind) for value, kind in zip(row, types, strict=True))
        for row in rows
    )


def _is_of(value: Value, kind: str) -> bool:
    return value is None or kind not in _TYPES or isinstance(value, _TYPES[kind])


def count_entries(pages: Pages, roots: Mapping[str, Root], table: str) -> int | None:
    """How many rows a table had, by an index of it that is whole and has an entry for each row; None without one."""
    for root in roots.values():
        if root.kind != "index" or root.table != table:
            continue
        if root.definition is not None and " where " in root.definition.lower().replace("\n", " "):
            continue
        tree = pages.walk(root.page)
        if not tree.bad and all(pages.kind(n) in _KEYED for n in tree.pages):
            return pages.entries(tree)
    return None


def _first_leaf(pages: Pages, number: int) -> int:
    for _ in range(20):
        children = pages.children(number)
        if not children or not 0 < children[0] <= pages.count:
            return number
        number = children[0]
    return number
