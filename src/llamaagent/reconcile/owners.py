"""Whose memory it is: the launch behind each process on a card, its server's children included."""

from __future__ import annotations

from llamaagent.collect.process import read_process
from llamaagent.domain import instance as st

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.base.paths import HostPaths
    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.instance import Instance

_GENERATIONS = 16


def owners(host: HostPaths, rows: Iterable[Instance], gpus: GpuReading) -> dict[int, int]:
    """Pid of a process on a card -> the launch that it belongs to; those of nobody here are left out."""
    ours: dict[int, int] = {}
    for row in rows:
        if row.status in st.LIVE:
            ours |= {pid: row.id for pid in (row.wrapper_pid, row.pid) if pid is not None}
    found: dict[int, int] = {}
    for pid in {holder.pid for card in gpus.cards for holder in card.holders} if ours else ():
        owner = _owner(host, pid, ours)
        if owner is not None:
            found[pid] = owner
    return found


def _owner(host: HostPaths, pid: int, ours: dict[int, int]) -> int | None:
    """The launch whose server, or wrapper, is this process or an ancestor of it."""
    at = pid
    for _ in range(_GENERATIONS):
        if at in ours:
            return ours[at]
        found = read_process(host, at) if at > 1 else None
        if found is None:
            return None
        at = found.parent
    return None
