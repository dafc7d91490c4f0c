"""The header of one GGUF file: scalars, counts of arrays, tensor shapes; the arrays themselves are stepped over.

Reads through a small window with pread, never through a memory map: a file that shrinks meanwhile would end the
process there. Everything a header can claim is bounded before it is believed, so that no file makes the reader
hold more than a few MiB or run on without end. Source of the format: docs/gguf.md of ggml; versions 2 and 3 in
either byte order.
"""

from __future__ import annotations

import os
import struct

from llamaagent.base.errors import BadInputError
from llamaagent.base.record import NamedTuple
from llamaagent.gguf.types import ARRAY, BOOL, LETTERS, STRING, UINT32, WORDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[int, int], bytes]  # (size, offset) -> at most so many bytes

_WINDOW_BYTES = 1 << 18
_MOST_PAIRS = 1 << 16
_MOST_TENSORS = 1 << 16
_MOST_STRINGS = 1 << 24  # in all arrays together: some seconds of stepping
_LONGEST_NAME = 1 << 16
_LONGEST_STRING = 1 << 21
_MOST_TEXT = 1 << 23  # names and strings that are kept, in all
_MOST_DIMENSIONS = 4
_PER_LAYER = (
    1 << 12
)  # short lists of whole numbers are read: some models have a number of heads for each layer
_MOST_ITEMS = 1 << 16  # of such lists that are kept, in all
_DEFAULT_ALIGNMENT = 32


class HeaderError(BadInputError):
    """The file is no GGUF file, or its header is damaged or beyond all measure."""


class Array(NamedTuple):
    """An array. type: of its items; largest: of a short list of whole numbers; items: of one, or of truths, if kept."""

    type: str
    length: int
    largest: int | None = None
    items: tuple[int, ...] = ()


class Tensor(NamedTuple):
    """shape as the file has it, fastest dimension first; type: see types.TENSORS; offset: from data_start."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int


class Header(NamedTuple):
    """What a header says. data_start: where tensor data begins, in bytes."""

    version: int
    values: dict[str, str | int | float | bool | Array]
    tensors: tuple[Tensor, ...]
    data_start: int


class _Window:
    """Sequential reading; `feed` is given every byte that was looked at, array items excepted."""

    def __init__(self, read: Read, size: int, feed: Callable[[bytes], object]) -> None:
        self._read, self._size, self._feed = read, size, feed
        self._data, self._start, self._at = b"", 0, 0
        self._text_left, self._strings_left, self._items_left = _MOST_TEXT, _MOST_STRINGS, _MOST_ITEMS
        self.order = "<"

    def tell(self) -> int:
        return self._start + self._at

    def _need(self, size: int) -> None:
        """Have so many bytes from here on in the window."""
        if len(self._data) - self._at >= size:
            return
        start = self.tell()
        if start + size > self._size:
            raise HeaderError(f"truncated: the header goes on beyond the {self._size} bytes of the file")
        self._data, self._start, self._at = self._read(max(size, _WINDOW_BYTES), start), start, 0
        if len(self._data) < size:
            raise HeaderError("truncated while it was read")

    def take(self, size: int) -> bytes:
        self._need(size)
        taken = self._data[self._at : self._at + size]
        self._at += size
        self._feed(taken)
        return taken

    def number(self, letter: str) -> int | float:
        found: int | float
        (found,) = struct.unpack(self.order + letter, self.take(struct.calcsize(self.order + letter)))
        return found

    def whole(self, letter: str) -> int:
        return int(self.number(letter))

    def text(self, longest: int, what: str) -> str:
        length = self.whole("Q")
        self._text_left -= length
        if length > longest or self._text_left < 0:
            raise HeaderError(f"{what} of {length} bytes")
        return self.take(length).decode("utf-8", "replace")

    def may_keep(self, count: int) -> bool:
        """Whether so many items may be kept; they are counted when they may."""
        if count > self._items_left:
            return False
        self._items_left -= count
        return True

    def skip(self, size: int) -> None:
        target = self.tell() + size
        if target > self._size:
            raise HeaderError(f"truncated: an array goes on beyond the {self._size} bytes of the file")
        if target <= self._start + len(self._data):
            self._at += size
        else:
            self._data, self._start, self._at = b"", target, 0

    def skip_strings(self, count: int) -> None:
        """The one loop that costs time: a vocabulary has 150,000 items and no table of where they begin."""
        self._strings_left -= count
        if self._strings_left < 0:
            raise HeaderError("more than 16 million strings in arrays")
        length_at = struct.Struct(f"{self.order}Q").unpack_from
        while count:
            self._need(8)
            data, at, last = self._data, self._at, len(self._data) - 8
            while count and at <= last:
                at += 8 + length_at(data, at)[0]
                count -= 1
            step, self._at = at - self._at, self._at
            self.skip(step)


def read_header(read: Read, size: int, feed: Callable[[bytes], object] = len) -> Header:
    """Read a header.

    read: as os.pread of an open file. size: of the file, in bytes. feed: is given the bytes of the header without
    the contents of arrays, for a digest. Raises HeaderError; an OSError of `read` goes through.
    """
    window = _Window(read, size, feed)
    version = _version(window)
    tensor_count, pair_count = window.whole("Q"), window.whole("Q")
    if pair_count > _MOST_PAIRS or tensor_count > _MOST_TENSORS:
        raise HeaderError(f"claims {pair_count} values and {tensor_count} tensors")
    values: dict[str, str | int | float | bool | Array] = {}
    for _ in range(pair_count):
        key = window.text(_LONGEST_NAME, "a key")
        if key in values:
            raise HeaderError(f"key {key[:80]!r} stands twice")
        values[key] = _value(window, key)
    tensors = tuple(_tensor(window) for _ in range(tensor_count))
    alignment = values.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1) or alignment > 1 << 20:
        raise HeaderError("general.alignment is no power of two")
    return Header(version, values, tensors, -(-window.tell() // alignment) * alignment)


def open_header(path: str, feed: Callable[[bytes], object] = len) -> tuple[Header, int]:
    """Open a file, read its header; with the file's size. Raises HeaderError and OSError; never waits for a pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        info = os.fstat(descriptor)
        if info.st_mode & 0o170000 != 0o100000:
            raise HeaderError("not a regular file")
        size = info.st_size
        return read_header(lambda length, offset: os.pread(descriptor, length, offset), size, feed), size
    finally:
        os.close(descriptor)


def _version(window: _Window) -> int:
    if window.take(4) != b"GGUF":
        raise HeaderError("not a GGUF file")
    raw = window.take(4)
    version = int.from_bytes(raw, "little")
    if version & 0xFFFF == 0:  # written by a machine with the other byte order
        window.order, version = ">", int.from_bytes(raw, "big")
    if version not in {2, 3}:
        raise HeaderError(f"GGUF version {version}; versions 2 and 3 are read")
    return version


def _value(window: _Window, key: str) -> str | int | float | bool | Array:
    kind = window.whole("I")
    if kind == STRING:
        return window.text(_LONGEST_STRING, f"{key[:80]!r}: a string")
    if kind == ARRAY:
        return _array(window, key)
    if kind == BOOL:
        return window.whole("B") != 0
    if kind not in LETTERS:
        raise HeaderError(f"{key[:80]!r} has the unknown type {kind}")
    return window.number(LETTERS[kind])


def _array(window: _Window, key: str) -> Array:
    kind, count = window.whole("I"), window.whole("Q")
    if kind == STRING:
        window.skip_strings(count)
        return Array(WORDS[kind], count)
    if kind not in LETTERS:
        raise HeaderError(f"{key[:80]!r} is an array of the unknown type {kind}")
    letter = LETTERS[kind]
    truths = kind == BOOL
    if not 0 < count <= _PER_LAYER or (not truths and (kind < UINT32 or letter not in "IiQq")):
        window.skip(count * struct.calcsize(f"={letter}"))
        return Array(WORDS[kind], count)
    form = f"{window.order}{count}{'B' if truths else letter}"
    items = struct.unpack(form, window.take(struct.calcsize(form)))
    return Array(WORDS[kind], count, None if truths else max(items), items if window.may_keep(count) else ())


def _tensor(window: _Window) -> Tensor:
    name = window.text(_LONGEST_NAME, "a tensor's name")
    dimensions = window.whole("I")
    if dimensions > _MOST_DIMENSIONS:
        raise HeaderError(f"tensor {name[:80]!r} has {dimensions} dimensions")
    shape = tuple(window.whole("Q") for _ in range(dimensions))
    return Tensor(name, shape, window.whole("I"), window.whole("Q"))
