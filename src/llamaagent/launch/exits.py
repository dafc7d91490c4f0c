"""The exit record: one line that the wrapper leaves when its server is gone."""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple

_LARGEST_SIGNAL = 64


class ExitRecord(NamedTuple):
    """How a server ended. status is what the shell saw; exactly one of exit_code and exit_signal is set.

    A shell cannot tell "killed by signal n" from "exited with 128 + n"; no server we know does the latter, so
    the former is meant. ended_ts: Unix seconds, when the record was written.
    """

    status: int
    exit_code: int | None
    exit_signal: int | None
    ended_ts: int


def read_exit(path: str) -> ExitRecord | None:
    """Read what the wrapper left; None when there is nothing (yet), or nothing that makes sense."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        text = os.read(fd, 16)
        ended_ts = int(os.fstat(fd).st_mtime)
    except OSError:
        return None
    finally:
        os.close(fd)
    return parse_exit(text, ended_ts)


def parse_exit(text: bytes, ended_ts: int) -> ExitRecord | None:
    """Read a record's text: a shell's exit status in decimal and a line end."""
    word = text.strip()
    if not (word.isdigit() and len(word) <= 3 and int(word) <= 255):
        return None
    status = int(word)
    if 128 < status <= 128 + _LARGEST_SIGNAL:
        return ExitRecord(status, None, status - 128, ended_ts)
    return ExitRecord(status, status, None, ended_ts)
