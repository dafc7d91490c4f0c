"""Processor time from /proc/stat. Source: proc_stat(5)."""

from __future__ import annotations

from llamaagent.base.errors import ParseError
from llamaagent.base.record import NamedTuple
from llamaagent.collect.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.base.paths import HostPaths


class CpuTicks(NamedTuple):
    """Clock ticks since boot, summed over the cores that are on line."""

    cores: int
    busy_total: int  # everything but idle and iowait
    total: int


def read_stat(paths: HostPaths) -> bytes | None:
    """Text of /proc/stat, None where there is none."""
    return read_file(paths.proc + "/stat")


def parse_stat(text: bytes) -> CpuTicks:
    """Sum up the processor lines of /proc/stat.

    Guest time is already part of user and nice and is not added again; stolen time counts as busy, as in
    top(1). Raises ParseError when the first line is not the sum line of Linux 2.6.11 or newer.
    """
    lines = text.split(b"\n")
    fields = lines[0].split()
    if len(fields) < 9 or fields[0] != b"cpu":
        raise ParseError(f"/proc/stat: not a processor line: {lines[0][:80]!r}")
    try:
        user, nice, system, idle, iowait, irq, softirq, steal = map(int, fields[1:9])
    except ValueError as error:
        raise ParseError(f"/proc/stat: not numbers: {lines[0][:80]!r}") from error
    cores = 0
    for line in lines[1:]:
        if not line.startswith(b"cpu"):
            break
        cores += 1
    busy = user + nice + system + irq + softirq + steal
    return CpuTicks(cores=max(cores, 1), busy_total=busy, total=busy + idle + iowait)
