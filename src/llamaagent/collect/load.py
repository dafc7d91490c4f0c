"""Load averages from /proc/loadavg, in hundredths. Source: proc_loadavg(5)."""

from __future__ import annotations

from llamaagent.base.errors import ParseError
from llamaagent.base.record import NamedTuple
from llamaagent.collect.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.base.paths import HostPaths


class Load(NamedTuple):
    """Runnable and uninterruptible tasks, averaged over 1, 5 and 15 minutes, times 100."""

    one_centi: int
    five_centi: int
    fifteen_centi: int


def read_loadavg(paths: HostPaths) -> bytes | None:
    """Text of /proc/loadavg, None where there is none."""
    return read_file(paths.proc + "/loadavg")


def parse_loadavg(text: bytes) -> Load:
    """Read the three averages. The kernel prints exactly two decimals, so dropping the point is exact."""
    try:
        one, five, fifteen = (int(word.replace(b".", b"")) for word in text.split()[:3])
    except ValueError as error:
        raise ParseError(f"/proc/loadavg: not three averages: {text[:80]!r}") from error
    return Load(one, five, fifteen)
