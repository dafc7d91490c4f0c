"""Any page of a damaged file as the root of a table that SQLite can read: an APSW VFS in front of `Pages`.

SQLite is shown the file as it is but for page 1: instead of the real one, which may be what is damaged, it gets one
whose schema has a single table, with the definition and the root that are asked for. So SQLite itself does the reading,
of a whole table, of a branch whose parent is gone, or of a single leaf.
"""

from __future__ import annotations

import itertools
import struct
from contextlib import contextmanager

import apsw

from llamaagent.base.errors import StoreCorruptError
from llamaagent.store.pages import TABLE_LEAF, local_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.store.pages import Pages

_numbers = itertools.count(1)


class _File:
    """What SQLite asks of a file that nobody writes."""

    def __init__(self, pages: Pages, ours: dict[int, bytes]) -> None:
        self._pages, self._ours = pages, ours
        self._count = max(pages.count, *ours)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        size, parts, left = self._pages.size, list[bytes](), amount
        while left > 0 and offset < self._count * size:
            number, start = offset // size + 1, offset % size
            page = self._ours.get(number) or self._pages.page(number)
            parts.append(page[start : start + left])
            left -= len(parts[-1])
            offset += len(parts[-1])
        return b"".join(parts)

    def xFileSize(self) -> int:  # noqa: N802
        return self._count * self._pages.size

    def xLock(self, _level: int) -> None:  # noqa: N802
        """Nobody else is here."""

    def xUnlock(self, _level: int) -> None:  # noqa: N802
        """Nobody else is here."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return 4096

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return 0

    def xFileControl(self, _op: int, _pointer: int) -> bool:  # noqa: N802
        return False

    def xClose(self) -> None:  # noqa: N802
        """The pages are closed by who opened them."""


class _Vfs(apsw.VFS):
    def __init__(self, name: str, file: _File) -> None:
        super().__init__(name, "")
        self.name = name
        self._file = file

    def xOpen(self, name: object, _flags: object) -> _File:  # type: ignore[override]  # noqa: N802
        if name is None:  # a scratch file of SQLite's own: reading in order needs none
            raise apsw.CantOpenError
        return self._file

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name

    def xAccess(self, _name: str, _flags: int) -> bool:  # noqa: N802
        return False


@contextmanager
def one_table(pages: Pages, name: str, definition: str, root: int) -> Iterator[apsw.Connection]:
    """A connection for reading on which the table `name`, as defined, has its root at that page."""
    ours = _first_pages(pages, name, definition, root)
    vfs = _Vfs(f"llamaagent-salvage-{next(_numbers)}", _File(pages, ours))
    try:
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        db = apsw.Connection("file:/damaged?immutable=1", flags=flags, vfs=vfs.name)
        try:
            db.pragma("cell_size_check", True)
            db.pragma("temp_store", "MEMORY")
            yield db
        finally:
            db.close()
    finally:
        vfs.unregister()


def _first_pages(pages: Pages, name: str, definition: str, root: int) -> dict[int, bytes]:
    """Page 1, and behind the end of the file what its one row overflows to."""
    payload = _record(("table", name, name, root, definition))
    size = pages.size
    # Page 1 has a hundred bytes less, which only matters to how much fits: the split is that of any leaf.
    local = local_size(len(payload), size)
    if local > size - 120:
        raise StoreCorruptError(f"the definition of {name} does not fit")
    following = pages.count + 1 if local < len(payload) else 0
    cell = (
        _varint(len(payload))
        + _varint(1)
        + payload[:local]
        + (struct.pack(">I", following) if following else b"")
    )
    ours: dict[int, bytes] = {}
    for at in range(local, len(payload), size - 4):
        more = following + 1 if at + size - 4 < len(payload) else 0
        ours[following] = (struct.pack(">I", more) + payload[at : at + size - 4]).ljust(size, b"\0")
        following = more
    start = size - len(cell)
    head = struct.pack(">BHHHB", TABLE_LEAF, 0, 1, start & 0xFFFF, 0) + struct.pack(">H", start)
    ours[1] = (_header(pages, pages.count + len(ours)) + head).ljust(start, b"\0") + cell
    return ours


def _header(pages: Pages, count: int) -> bytes:
    size = 1 if pages.size == 65536 else pages.size
    head = b"SQLite format 3\0" + struct.pack(">H", size) + bytes((1, 1, 0, 64, 32, 32))
    numbers = (
        1,
        count,
        0,
        0,
        1,
        4,
        0,
        0,
        1,
        0,
        0,
        0,
    )  # change counter, pages, free list, cookie, format, ..., UTF-8
    return head + struct.pack(">12I", *numbers) + bytes(20) + struct.pack(">II", 1, 3_050_000)


def _record(values: tuple[str | int, ...]) -> bytes:
    kinds, body = b"", b""
    for value in values:
        data = value.encode() if isinstance(value, str) else struct.pack(">i", value)
        kinds += _varint(13 + 2 * len(data)) if isinstance(value, str) else _varint(4)
        body += data
    length = len(kinds) + 1
    if length > 127:
        length += 1
    return _varint(length) + kinds + body


def _varint(value: int) -> bytes:
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(value & 0x7F | 0x80)
    return bytes(reversed(parts))
