"""`logs -f`: on with a log as it grows, over restarts, and over what becomes of a log that is kept small."""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple
from llamaagent.cli.logs import launch_of, write
from llamaagent.cli.output import say
from llamaagent.collect.files import CUT
from llamaagent.collect.tail import next_data, open_log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.domain.instance import Instance

_PIECE = 1 << 20
_POLL_S = 0.2
_LOOK_S = 2.0


class _Place(NamedTuple):
    """How far a log was printed. cut: what lies beside a log that was cut before."""

    path: str
    offset: int
    cut: int | None


def follow(values: Values, opened: Opened, row: Instance, at: int) -> None:
    """Print what is added, until somebody interrupts."""
    place = _Place(row.log_path or "", at, _beside(row.log_path or ""))
    looked = opened.clock.monotonic()
    while True:
        further = _print_more(place)
        if further != place:
            place = further
            continue
        if values.number("instance") is None and opened.clock.monotonic() - looked >= _LOOK_S:
            looked = opened.clock.monotonic()
            newest = launch_of(values, opened)
            if newest is not None and newest.id != row.id and newest.log_path:
                say(f"--- launch {newest.id} of {row.profile} ---")
                row, place = newest, _Place(newest.log_path, 0, _beside(newest.log_path))
                continue
        opened.clock.sleep(_POLL_S)


def _beside(path: str) -> int | None:
    try:
        return os.stat(path + CUT).st_ino
    except OSError:
        return None


def _print_more(place: _Place) -> _Place:
    """Print the next piece; gives the same place when there is none."""
    beside = _beside(place.path)
    try:
        fd = open_log(place.path)
    except OSError:
        return place
    try:
        size = os.fstat(fd).st_size
        if size < place.offset or (beside is not None and beside != place.cut):
            if place.offset:
                say("--- the log was cut to keep it small; some lines may be missing here ---")
            return place._replace(offset=0, cut=beside)
        if size == place.offset:
            return place
        begin = next_data(fd, place.offset, size)
        data = os.pread(fd, min(_PIECE, size - begin), begin)
    finally:
        os.close(fd)
    read = len(data)
    if begin > place.offset:
        say(
            f"--- {begin - place.offset} bytes were given back to the file system before they were printed ---"
        )
        data = data.partition(b"\n")[2]  # it begins within a line
    write(data.replace(b"\0", b""))
    return place._replace(offset=begin + read)
