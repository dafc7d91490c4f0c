"""The kernel's log, and what NVIDIA's driver reports there.

Source: the kernel's documentation of /dev/kmsg. A record begins `priority,sequence,microseconds since boot,...;`; the
priority of the kernel's own records is below 8, so that a program that writes there cannot pass for the driver. The
sequence number is the cursor: it begins anew with each boot.
"""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple
from llamaagent.domain.xid import RELOAD, Xid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

KMSG = "/dev/kmsg"
_MOST = 64 << 20  # bytes; the buffer of the kernel is a few MiB, of large servers some dozens
_RECORD = 8192
_KERNEL = 8  # facilities of others begin here
_MARK = "NVRM: Xid ("
_LOADED = "NVRM: loading NVIDIA"


class KernelLog(NamedTuple):
    """What is new. last: the sequence number of the newest record, None for an empty log."""

    last: int | None
    reports: tuple[Xid, ...]


def read_xids(path: str, after: int, now: int, since_boot_s: float) -> KernelLog | None:
    """Reports of records with a higher sequence number than `after` (-1 = all), oldest first.

    now and since_boot_s: the wall clock and the time since boot at one moment, which turn a record's time into
    seconds of the wall clock. None: we may not read the log, which is not the same as no reports.
    """
    data = read_kernel_log(path)
    if data is None:
        return None
    last: int | None = None
    reports: list[Xid] = []
    for sequence, micros, text in _records(data):
        last = sequence
        if sequence > after:
            found = parse_xid(text)
            if found is not None:
                reports.append(found._replace(ts=min(now, int(now - since_boot_s + micros / 1e6))))
    return KernelLog(last, tuple(reports))


def _records(data: bytes) -> Iterator[tuple[int, int, str]]:
    """Sequence number, microseconds and text of each record of the kernel itself."""
    for line in data.split(b"\n"):
        head, _, text = line.partition(b";")
        fields = head.split(b",")
        if len(fields) > 2 and all(field.isdigit() for field in fields[:3]) and int(fields[0]) < _KERNEL:
            yield int(fields[1]), int(fields[2]), text.decode("utf-8", "replace") if b"NVRM" in text else ""


def parse_xid(text: str) -> Xid | None:
    """A report in a line of the log, None when it is none. Its ts is 0.

    >>> parse_xid("NVRM: Xid (PCI:0000:01:00): 79, pid=1234, name=llama-server, GPU has fallen off the bus.")[:5]
    (79, 0, '0000:01:00', None, 1234)
    >>> parse_xid("NVRM: loading NVIDIA UNIX x86_64 Kernel Module  570.86.15").xid
    0
    """
    if text.startswith(_LOADED):
        return Xid(RELOAD, 0, message=text[len("NVRM: ") :])
    _, found, rest = text.partition(_MARK)
    place, closed, rest = rest.partition("): ")
    code, _, message = rest.partition(",")
    if not found or not closed or not code.strip().isdigit():
        return None
    pid = message.partition("pid=")[2].lstrip("'").partition(",")[0].rstrip("'")
    return Xid(
        int(code),
        0,
        place.removeprefix("PCI:").partition(" ")[0],  # "0000:01:00 GPU-I:05" names a part of a card
        pid=int(pid) if pid.isdigit() else None,
        message=message.strip()[:500],
    )


def read_kernel_log(path: str = KMSG) -> bytes | None:
    """Everything in the kernel's log, a record a line; None when we may not read it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    parts: list[bytes] = []
    size = 0
    try:
        while size < _MOST and (part := _next(fd)):
            parts.append(part)
            size += len(part)
    finally:
        os.close(fd)
    return b"".join(parts)


def _next(fd: int) -> bytes:
    """One record; nothing at the end. A record that was overwritten meanwhile is passed over."""
    try:
        return os.read(fd, _RECORD)
    except BrokenPipeError:
        return b"\n"
    except OSError:
        return b""
