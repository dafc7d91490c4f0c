"""Memory and swap from /proc/meminfo. Source: proc_meminfo(5)."""

from __future__ import annotations

from llamaagent.base.errors import ParseError
from llamaagent.base.record import NamedTuple
from llamaagent.collect.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.base.paths import HostPaths

_WANTED = {b"MemTotal", b"MemAvailable", b"SwapTotal", b"SwapFree"}


class Memory(NamedTuple):
    """Sizes in MiB, rounded down. Used is total less available: what a new program could not get."""

    total_mib: int | None = None
    used_mib: int | None = None
    available_mib: int | None = None
    swap_total_mib: int | None = None
    swap_used_mib: int | None = None


def read_meminfo(paths: HostPaths) -> bytes | None:
    """Text of /proc/meminfo, None where there is none."""
    return read_file(paths.proc + "/meminfo")


def parse_meminfo(text: bytes) -> Memory:
    """Read /proc/meminfo; its kB are 1024 bytes.

    Used and available are None without a MemAvailable line (before Linux 3.14). Raises ParseError naming
    a line whose value is no number.
    """
    kib: dict[bytes, int] = {}
    for line in text.split(b"\n"):
        name, _, value = line.partition(b":")
        if name in _WANTED:
            try:
                kib[name] = int(value.split()[0])
            except (ValueError, IndexError) as error:
                raise ParseError(f"/proc/meminfo: no number in {line[:80]!r}") from error
    total, available = kib.get(b"MemTotal"), kib.get(b"MemAvailable")
    swap, swap_free = kib.get(b"SwapTotal"), kib.get(b"SwapFree")
    return Memory(
        total_mib=_mib(total),
        used_mib=_mib(_less(total, available)),
        available_mib=_mib(available),
        swap_total_mib=_mib(swap),
        swap_used_mib=_mib(_less(swap, swap_free)),
    )


def _mib(kib: int | None) -> int | None:
    return None if kib is None else kib >> 10


def _less(whole: int | None, part: int | None) -> int | None:
    return None if whole is None or part is None else max(0, whole - part)
