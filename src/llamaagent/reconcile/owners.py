"""Whose memory it is: the launch behind each process on a card, its server's children included.

What was brought into a container by its engine is no child of it; it is known by the control group that they share.
"""

from __future__ import annotations

from llamaagent.collect.files import read_file
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
    rows = tuple(rows)
    ours: dict[int, int] = {}
    for row in rows:
        if row.status in st.LIVE:
            ours |= {pid: row.id for pid in (row.wrapper_pid, row.pid) if pid is not None}
    boxes = {
        group: row.id
        for row in rows
        if row.kind == "container" and row.status in st.LIVE and (group := _group(host, row.pid)) is not None
    }
    found: dict[int, int] = {}
    for pid in {holder.pid for card in gpus.cards for holder in card.holders} if ours else ():
        owner = _owner(host, pid, ours)
        if owner is None and boxes:
            owner = boxes.get(_group(host, pid) or b"")
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


def _group(host: HostPaths, pid: int | None) -> bytes | None:
    """The control groups of a process, unless they are our own: then it is in no container."""
    text = read_file(f"{host.proc}/{pid}/cgroup", 65536) if pid is not None else None
    return text if text and text != read_file(f"{host.proc}/self/cgroup", 65536) else None
