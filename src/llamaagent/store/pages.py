"""The pages of a damaged database file, without SQLite: what is a tree's, what is free, what nobody points to.

Reads the file as it lies on the disk with the committed pages of its WAL in front, and writes nothing. Whatever is in
a page may be nonsense: every function here gives up on that page alone. Source: sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import os
import struct

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    Value = int | float | str | bytes | None

TABLE_INTERIOR, TABLE_LEAF, INDEX_INTERIOR, INDEX_LEAF = 5, 13, 2, 10
_KINDS = {TABLE_INTERIOR: 12, TABLE_LEAF: 8, INDEX_INTERIOR: 12, INDEX_LEAF: 8}  # bytes of the page's header
_MAGIC = b"SQLite format 3\0"
_SIZES = frozenset(1 << power for power in range(9, 17))
_DEEPEST = 20
USUAL_SIZE = 4096


class Tree(NamedTuple):
    """What hangs below a root. bad: pages that a parent points to and that are no such pages."""

    pages: frozenset[int]
    bad: frozenset[int]


class Pages:
    """A file's pages, counted from 1."""

    def __init__(self, path: str, size: int | None = None) -> None:
        """Open it. size: of a page, when the header's is not to be believed."""
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._wal_fd = -1
        self._wal: dict[int, int] = {}
        head = os.pread(self._fd, 100, 0)
        self.has_header = len(head) == 100 and head.startswith(_MAGIC)
        given, size = size, struct.unpack(">H", head[16:18])[0] if len(head) == 100 else 0
        self.size = 65536 if size == 1 else size
        if not self.has_header or self.size not in _SIZES:
            self.has_header, self.size = False, USUAL_SIZE
        if given is not None:
            self.has_header, self.size = False, given
        if os.path.exists(f"{path}-wal"):
            self._wal_fd = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            self._read_wal()
        length = os.fstat(self._fd).st_size
        self.count = max(-(-length // self.size), *self._wal, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for handle in (self._fd, self._wal_fd):
            if handle >= 0:
                os.close(handle)

    def page(self, number: int) -> bytes:
        """The bytes of a page, filled up with zeros where the file ends or the disk does not give them."""
        handle, offset = self._fd, (number - 1) * self.size
        if number in self._wal:
            handle, offset = self._wal_fd, self._wal[number]
        try:
            data = os.pread(handle, self.size, offset)
        except OSError:  # a bad sector
            data = b""
        return data.ljust(self.size, b"\0")

    def kind(self, number: int) -> int | None:
        """What kind of tree page it says that it is, None for none."""
        kind = self.page(number)[self._start(number)]
        return kind if kind in _KINDS else None

    def children(self, number: int) -> tuple[int, ...]:
        """The pages below an interior page."""
        data, start = self.page(number), self._start(number)
        if data[start] not in {TABLE_INTERIOR, INDEX_INTERIOR}:
            return ()
        found = [
            struct.unpack_from(">I", data, at)[0] for at in self._cells(data, start) if at + 4 <= self.size
        ]
        return (*found, struct.unpack_from(">I", data, start + 8)[0])

    def cells(self, number: int) -> int:
        """How many cells it says that it has, as far as so many can be."""
        count = int(struct.unpack_from(">H", self.page(number), self._start(number) + 3)[0])
        return min(count, self.size // 4)

    def entries(self, tree: Tree) -> int:
        """How many rows the pages of a tree say that they have; of an index also those between its branches."""
        return sum(self.cells(number) for number in tree.pages if self.kind(number) != TABLE_INTERIOR)

    def walk(self, root: int) -> Tree:
        """Everything below a root, the root included. A page that is reached twice counts once."""
        seen: set[int] = set()
        bad: set[int] = set()
        first = self.kind(root) if 0 < root <= self.count else None
        wanted = (
            {TABLE_INTERIOR, TABLE_LEAF}
            if first in {TABLE_INTERIOR, TABLE_LEAF}
            else {INDEX_INTERIOR, INDEX_LEAF}
        )
        todo = [(root, 0)]
        while todo:
            number, depth = todo.pop()
            if number in seen or number in bad:
                continue
            if not 0 < number <= self.count or self.kind(number) not in wanted or depth > _DEEPEST:
                bad.add(number)
                continue
            seen.add(number)
            todo += [(child, depth + 1) for child in self.children(number)]
        return Tree(frozenset(seen), frozenset(bad))

    def free(self) -> frozenset[int]:
        """Pages of the free list, whose old rows are nobody's any more; none where the header is lost."""
        found: set[int] = set()
        if not self.page(1).startswith(_MAGIC):
            return frozenset()
        trunk = struct.unpack_from(">I", self.page(1), 32)[0]
        while 0 < trunk <= self.count and trunk not in found:
            found.add(trunk)
            data = self.page(trunk)
            trunk, leaves = struct.unpack_from(">II", data, 0)
            if leaves <= self.size // 4 - 2:
                found.update(struct.unpack_from(f">{leaves}I", data, 8))
        return frozenset(found)

    def rows(self, number: int) -> list[tuple[Value, ...]]:
        """The records of a leaf, without their rowids; those that make no sense are left out."""
        data, start = self.page(number), self._start(number)
        if data[start] not in {TABLE_LEAF, INDEX_LEAF}:
            return []
        keyed, found = data[start] == INDEX_LEAF, []
        for at in self._cells(data, start):
            try:
                length, place = varint(data, at)
                if not keyed:
                    _, place = varint(data, place)
                found.append(record(self._payload(data, place, length, keyed=keyed)))
            except (IndexError, struct.error, ValueError, OverflowError):
                continue
        return found

    def _payload(self, data: bytes, at: int, length: int, *, keyed: bool) -> bytes:
        """A cell's content, brought together from the pages that it overflows to; zeros for what is lost of it."""
        if length > 1 << 24:
            raise ValueError(length)
        local = local_size(length, self.size, keyed=keyed)
        parts = [data[at : at + local]]
        left = length - local
        following = struct.unpack_from(">I", data, at + local)[0] if left else 0
        while left > 0 and 0 < following <= self.count:
            page = self.page(following)
            following = struct.unpack_from(">I", page, 0)[0]
            parts.append(page[4 : 4 + left])
            left -= self.size - 4
        return b"".join(parts).ljust(length, b"\0")

    def _cells(self, data: bytes, start: int) -> list[int]:
        count = struct.unpack_from(">H", data, start + 3)[0]
        first = start + _KINDS[data[start]]
        count = min(count, (self.size - first) // 2)
        return [at for at in struct.unpack_from(f">{count}H", data, first) if at >= first]

    @staticmethod
    def _start(number: int) -> int:
        return 100 if number == 1 else 0

    def _read_wal(self) -> None:
        """Note where the newest committed image of each page lies. Frames count as long as their checksums agree."""
        head = os.pread(self._wal_fd, 32, 0)
        if len(head) < 32:
            return
        magic, _, size, _, *salt = struct.unpack(">6I", head[:24])
        if magic not in {0x377F0682, 0x377F0683} or size not in _SIZES:
            return
        order = ">" if magic & 1 else "<"
        sums = checksum(head[:24], (0, 0), order)
        if sums != struct.unpack(">II", head[24:32]):
            return
        if not self.has_header:
            self.size = size
        offset, pending = 32, dict[int, int]()
        while size == self.size:
            frame = os.pread(self._wal_fd, 24 + size, offset)
            if len(frame) < 24 + size or list(struct.unpack(">II", frame[8:16])) != salt:
                return
            sums = checksum(frame[24:], checksum(frame[:8], sums, order), order)
            if sums != struct.unpack(">II", frame[16:24]):
                return
            number, commit = struct.unpack(">II", frame[:8])
            pending[number] = offset + 24
            if commit:
                self._wal |= pending
                pending.clear()
            offset += 24 + size


def checksum(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    """The WAL's running checksum over a multiple of eight bytes. order: > or <."""
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for at in range(0, len(words), 2):
        first = (first + words[at] + second) & 0xFFFFFFFF
        second = (second + words[at + 1] + first) & 0xFFFFFFFF
    return first, second


def local_size(length: int, page_size: int, *, keyed: bool = False) -> int:
    """How much of a row of this length lies in the leaf itself. keyed: of an index, or a table without rowids."""
    most = (page_size - 12) * 64 // 255 - 23 if keyed else page_size - 35
    if length <= most:
        return length
    least = (page_size - 12) * 32 // 255 - 23
    fitting = least + (length - least) % (page_size - 4)
    return fitting if fitting <= most else least


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer and the place after it.

    >>> varint(bytes([0x81, 0x00]), 0)
    (128, 2)
    """
    value = 0
    for step in range(8):
        byte = data[at + step]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + step + 1
    return value << 8 | data[at + 8], at + 9


def record(payload: bytes) -> tuple[Value, ...]:
    """The values of a record. Raises IndexError, struct.error or ValueError for nonsense.

    >>> record(bytes([3, 1, 17]) + bytes([7]) + b"ab")
    (7, 'ab')
    """
    end, at = varint(payload, 0)
    body = end
    values: list[Value] = []
    while at < end:
        kind, at = varint(payload, at)
        value, width = _value(payload, kind, body)
        body += width
        values.append(value)
    if body > len(payload):
        raise ValueError(body)
    return tuple(values)


def _value(payload: bytes, kind: int, at: int) -> tuple[Value, int]:
    if kind >= 12:
        width = (kind - 12) // 2
        data = payload[at : at + width]
        return (data.decode("utf-8", "replace") if kind % 2 else data), width
    if kind in {0, 8, 9}:
        return (None, 0, 1)[(0, 8, 9).index(kind)], 0
    if kind == 7:
        return struct.unpack_from(">d", payload, at)[0], 8
    width = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}[kind] if kind < 7 else 0
    if not width:
        raise ValueError(kind)
    return int.from_bytes(payload[at : at + width], "big", signed=True), width
