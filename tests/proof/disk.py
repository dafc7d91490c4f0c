"""A disk below SQLite that can be told to fail, and that remembers what was written: an APSW VFS.

This is the lowest border there is: everything above it, SQLite and the whole agent, is the real thing. While one of
these is in force it is the default, so that whoever opens a database gets it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator


class Op(NamedTuple):
    """One call that changes the disk. offset: of a write; the new size of a truncation."""

    file: str
    kind: str  # write | sync | truncate | delete
    offset: int = 0
    data: bytes = b""


class Disk(apsw.VFS):
    """Counts every changing call. From the `fails_at`-th on (once: that one alone) each raises `error`."""

    def __init__(self) -> None:
        super().__init__("told", "unix")
        self.ops: list[Op] = []
        self.count = 0
        self.fails_at: int | None = None
        self.once = False
        self.error: type[apsw.Error] = apsw.IOError
        self.remembers = False

    def change(self, op: Op) -> None:
        """Called before each change."""
        self.count += 1
        if self.failed and (not self.once or self.count == self.fails_at):
            raise self.error("the test says no")
        if self.remembers:
            self.ops.append(op)

    @property
    def failed(self) -> bool:
        """Whether it came to the failure."""
        return self.fails_at is not None and self.count >= self.fails_at

    def xOpen(self, name: Any, flags: Any) -> DiskFile:  # noqa: N802
        return DiskFile(name, flags, self)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        if not os.path.exists(filename):  # no fault to SQLite; apsw would raise it at the next occasion
            return
        self.change(Op(filename, "delete"))
        super().xDelete(filename, syncdir)


class DiskFile(apsw.VFSFile):
    """A file that asks its disk first."""

    def __init__(self, name: Any, flags: Any, disk: Disk) -> None:
        super().__init__("unix", name, flags)
        self.path = name if isinstance(name, str) or name is None else name.filename()
        self.disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self.disk.change(Op(str(self.path), "write", offset, bytes(data)))
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self.disk.change(Op(str(self.path), "sync"))
        super().xSync(flags)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self.disk.change(Op(str(self.path), "truncate", size))
        super().xTruncate(size)


@contextmanager
def told_disk(disk: Disk | None = None) -> Iterator[Disk]:
    """A Disk under every database opened in the block; one that is handed in goes on where it was."""
    disk = disk or Disk()
    apsw.set_default_vfs("told")
    try:
        yield disk
    finally:
        apsw.set_default_vfs("unix")


def after_power_cut(
    before: dict[str, bytes], ops: list[Op], cut: int, rng: random.Random
) -> dict[str, bytes]:
    """What the disk holds when the power went after `cut` calls.

    Of each file everything up to its last sync is there; of what came later each call is there or not, by lot.
    """
    synced = {op.file: at for at, op in enumerate(ops[:cut]) if op.kind == "sync"}
    files = {name: bytearray(data) for name, data in before.items()}
    for at, op in enumerate(ops[:cut]):
        if op.kind == "sync" or (at > synced.get(op.file, -1) and rng.random() < 0.5):
            continue
        if op.kind == "delete":
            files.pop(op.file, None)
            continue
        data = files.setdefault(op.file, bytearray())
        if op.kind == "truncate":
            del data[op.offset :]
            continue
        if len(data) < op.offset:
            data.extend(bytes(op.offset - len(data)))
        data[op.offset : op.offset + len(op.data)] = op.data
    return {name: bytes(data) for name, data in files.items()}
