"""An engine's log, line by line: each begins with the time at which it was written. Pure.

Docker ends a time's fraction where its zeros begin, so times are compared by number and not as text.
"""

from __future__ import annotations

import calendar
import re
import zlib

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_TIME = re.compile(
    rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d) ?", re.ASCII
)
_LONGEST_TIME = 64
LONGEST_LINE = 1 << 20  # bytes; a longer one comes in pieces


class Line(NamedTuple):
    """text: with its line end, as far as it has one."""

    ns: int
    text: bytes

    def mark(self) -> int:
        """A number that hardly any other line has."""
        return zlib.crc32(self.text, self.ns & 0xFFFFFFFF)


def joined(frames: Iterable[bytes]) -> Iterator[bytes]:
    """An engine's frames without the times inside of lines: it cuts a long line and writes the time before each part.

    Docker cuts after 16 KiB, Podman after 8 KiB. A frame that follows one without a line end goes on with its line.
    """
    open_line = False
    for frame in frames:
        match = _TIME.match(frame) if open_line else None
        yield frame if match is None else frame[match.end() :]
        open_line = not frame.endswith(b"\n") if frame else open_line


def split_lines(pieces: Iterable[bytes]) -> Iterator[Line]:
    """Whole lines of a stream that comes in pieces; a line without a time belongs to the one before it."""
    rest, last = b"", 0
    for piece in pieces:
        rest += piece
        *whole, rest = rest.split(b"\n")
        for text in whole:
            last, line = _read(text + b"\n", last)
            yield Line(last, line)
        if len(rest) >= LONGEST_LINE + _LONGEST_TIME:
            last, line = _read(rest, last)
            yield Line(last, line)
            rest = b""
    if rest:
        last, line = _read(rest, last)
        yield Line(last, line)


def _read(text: bytes, last: int) -> tuple[int, bytes]:
    match = _TIME.match(text)
    return (last, text) if match is None else (_ns(match), text[match.end() :])


def where_news_begin(told: Sequence[int], lines: int, marks: Sequence[int]) -> int:
    """The index in `told` of the first line that was not copied; told: marks of lines, in the order of the log.

    lines: so many were copied of those that `told` begins with; marks: of the last ones copied. An engine that has
    thrown away the beginning of its log tells fewer of them, and then it is the marks that say where copying ended.
    Where equal lines leave that open, no line is copied twice.
    """
    index: int
    for index in (lines, *range(len(told), 0, -1)):
        last = marks[max(0, len(marks) - index) :]
        if last and 0 < index <= len(told) and list(told[max(0, index - len(last)) : index]) == list(last):
            return index
    return 0


def unix_ns(text: str | None) -> int | None:
    """Unix nanoseconds of an engine's time (RFC 3339); None for no time."""
    match = _TIME.match((text or "").encode("ascii", "replace"))
    return None if match is None else _ns(match)


def _ns(match: re.Match[bytes]) -> int:
    fields = [int(match[number]) for number in range(1, 7)]
    seconds = calendar.timegm((*fields, 0, 0, 0))
    zone = match[8]
    if zone != b"Z":
        shift = 3600 * int(zone[1:3]) + 60 * int(zone[4:6])
        seconds -= shift if zone[:1] == b"+" else -shift
    return 1_000_000_000 * seconds + int((match[7] or b"0").ljust(9, b"0"))


def without_times(pieces: Iterable[bytes]) -> bytes:
    """The plain output."""
    return b"".join(line.text for line in split_lines(pieces))
