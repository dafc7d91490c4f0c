"""Bytes read and written by whole disks, and how full a file system is.

Sources: /proc/diskstats (Documentation/admin-guide/iostats.rst), /sys/block, statvfs(3).
"""

from __future__ import annotations

import os

from llamaagent.base.errors import ParseError
from llamaagent.base.record import NamedTuple
from llamaagent.collect.files import list_folder, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from llamaagent.base.paths import HostPaths

SECTOR_BYTES = 512  # diskstats counts these whatever the disk's own sector size is

# Their transfers appear again in the disks beneath them, or never reach a disk at all.
_STACKED = ("loop", "ram", "zram", "dm-", "md", "bcache", "drbd", "sr", "fd")


class DiskBytes(NamedTuple):
    """Counters since boot."""

    read_bytes_total: int
    write_bytes_total: int


class DiskSpace(NamedTuple):
    """Size of a file system in MiB; used counts what only root may still fill as free."""

    total_mib: int
    used_mib: int


def read_diskstats(paths: HostPaths) -> bytes | None:
    """Text of /proc/diskstats, None where there is none."""
    return read_file(paths.proc + "/diskstats")


def list_disks(paths: HostPaths) -> tuple[str, ...] | None:
    """Names of whole disks, partitions and stacked devices left out; None without /sys/block."""
    names = list_folder(paths.sys + "/block")
    return None if names is None else tuple(name for name in names if not name.startswith(_STACKED))


def parse_diskstats(text: bytes, disks: Collection[str]) -> DiskBytes:
    """Add up the sectors of `disks`. Raises ParseError naming a line that is too short or not numeric."""
    wanted = {name.encode() for name in disks}
    read = written = 0
    for line in text.split(b"\n"):
        fields = line.split()
        if len(fields) < 3 or fields[2] not in wanted:
            continue
        try:
            read += int(fields[5])
            written += int(fields[9])
        except (ValueError, IndexError) as error:
            raise ParseError(f"/proc/diskstats: {line[:120]!r}") from error
    return DiskBytes(read * SECTOR_BYTES, written * SECTOR_BYTES)


def measure_space(folder: str) -> DiskSpace | None:
    """Size and use of the file system that holds `folder`; None when the folder cannot be reached."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    return DiskSpace(found.f_blocks * found.f_frsize >> 20, used >> 20)


class Shortage(NamedTuple):
    """The disk with the least room among those that we write to, against `headroom.disk`."""

    folder: str
    free_mib: int
    headroom_mib: int

    def is_short(self, percent: int = 100) -> bool:
        """Whether less than the headroom is free; percent: of the headroom."""
        return self.free_mib * 100 < self.headroom_mib * percent

    @property
    def samples_stop(self) -> bool:
        """Whether so little is left that samples, too, are given up for the decisions."""
        return self.free_mib * 4 < self.headroom_mib

    def __str__(self) -> str:
        """For a first line: what is short, and what is given up for it."""
        left_out = "no reports and no samples" if self.samples_stop else "no reports"
        return (
            f"disk short: {self.free_mib} MiB free below {self.folder}, "
            f"headroom.disk asks for {self.headroom_mib} MiB; {left_out} until there is more"
        )


def measure_shortage(folders: Iterable[str], headroom_mib: int) -> Shortage | None:
    """The folder with the least free space for us; None when none of them can be reached. Missing ones are skipped."""
    least: Shortage | None = None
    for folder in folders:
        try:
            found = os.statvfs(folder)
        except OSError:
            continue
        if (
            not found.f_blocks
        ):  # it does not count its space (ramfs, some network ones): not known is not short
            continue
        free_mib = found.f_bavail * found.f_frsize >> 20
        if least is None or free_mib < least.free_mib:
            least = Shortage(folder, free_mib, headroom_mib)
    return least
