"""The machine as a gate: its memory, its cores, and the disk that a download would fill.

Asked of profiles that claim something of it. A claim counts from the launch on, whether it is used yet or not.
"""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple
from llamaagent.collect.disk import measure_shortage
from llamaagent.collect.memory import parse_meminfo, read_meminfo
from llamaagent.domain import instance as st
from llamaagent.domain.hostroom import Claim, Machine, MachineMemory, cpu_refusal, memory_refusal
from llamaagent.domain.plan import Arithmetic
from llamaagent.reconcile.gates import HeldError
from llamaagent.store.memory import MemoryStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context
    from llamaagent.store.memory import HostClaim

_CACHES = ("LLAMA_CACHE", "HF_HUB_CACHE", "HF_HOME")


class Demand(NamedTuple):
    """What a launch wants of the machine. measured_mib: the most that launches like it took. None: says nothing."""

    memory_mib: int | None = None
    measured_mib: int | None = None
    cpu_milli: int | None = None

    @property
    def claim(self) -> Claim:
        """What counts: the larger of declared and measured."""
        memory = 0 if self.memory_mib is None else max(self.memory_mib, self.measured_mib or 0)
        return Claim(memory, self.cpu_milli or 0)


class Host:
    """The machine as it is now, and what is claimed of it. leaving: an instance whose share counts as free."""

    def __init__(self, ctx: Context, leaving: int | None = None) -> None:
        self._claims = [one for one in MemoryStore(ctx.db).claims() if one.instance_id != leaving]
        self._memory = _memory(ctx, leaving)

    @property
    def machine(self) -> Machine:
        """What may still be promised."""
        memory = None
        if self._memory is not None:
            promised = sum(max(0, claimed - has) for _, claimed, has in self._of_memory())
            memory = self._memory.available_mib - promised - self._memory.headroom_mib
        return Machine(memory, 1000 * cores() - sum(milli for _, milli in self._of_cores()))

    def refusal(self, demand: Demand) -> HeldError | None:
        """Why there is no room for it, with the arithmetic; None when there is."""
        found = None
        if demand.memory_mib is not None and self._memory is not None:
            found = memory_refusal(demand.memory_mib, demand.measured_mib, self._memory, self._of_memory())
        if found is None and demand.cpu_milli is not None:
            found = cpu_refusal(demand.cpu_milli, 1000 * cores(), self._of_cores())
        return None if found is None else HeldError(*found)

    def claimed(self, instance_id: int) -> Claim:
        """What a live launch claims."""
        for one in self._claims:
            if one.instance_id == instance_id:
                return Claim(one.memory_mib or 0, one.cpu_milli or 0)
        return Claim()

    def frees(self, ctx: Context, rows: Iterable[Instance]) -> Mapping[int, Claim]:
        """What comes back when each of these ends: what only it keeps from the machine, and its claim beyond that."""
        claims = {one.instance_id: one for one in self._claims}
        return {row.id: _frees(ctx, row, claims.get(row.id)) for row in rows if row.status in st.LIVE}

    def _of_memory(self) -> list[tuple[str, int, int]]:
        return [
            (one.profile, one.memory_mib, (one.rss_kib or 0) // 1024)
            for one in self._claims
            if one.memory_mib is not None
        ]

    def _of_cores(self) -> list[tuple[str, int]]:
        return [(one.profile, one.cpu_milli) for one in self._claims if one.cpu_milli is not None]


def _frees(ctx: Context, row: Instance, claim: HostClaim | None) -> Claim:
    from llamaagent.collect.process import collect_anonymous_kib, list_descendants

    own = (
        0 if row.pid is None else collect_anonymous_kib(ctx.host, list_descendants(ctx.host, row.pid)) // 1024
    )
    if claim is None:
        return Claim(own, 0)
    unused = max(0, (claim.memory_mib or 0) - (claim.rss_kib or 0) // 1024)
    return Claim(own + unused, claim.cpu_milli or 0)


def demand_of(ctx: Context, profile: Profile, file: tuple[int | None, int | None], binary: str) -> Demand:
    """What the profile claims. Raises HeldError for a download that would fill the disk, which nobody makes room on."""
    if profile.model.path is None and profile.is_server:
        _disk(ctx, profile)
    asked = profile.resources
    measured = _measured(ctx, profile, file, binary) if asked.memory_mib is not None else None
    return Demand(asked.memory_mib, measured, None if asked.cpus is None else round(1000 * asked.cpus))


def admit(
    ctx: Context,
    profile: Profile,
    file: tuple[int | None, int | None],
    binary: str,
    *,
    leaving: int | None = None,
) -> None:
    """Ask for what the profile claims. leaving: an instance whose share counts as free. Raises HeldError."""
    demand = demand_of(ctx, profile, file, binary)
    if not any(demand.claim):
        return
    refusal = Host(ctx, leaving).refusal(demand)
    if refusal is not None:
        raise refusal


def cores() -> int:
    """How many cores this process, and so a server, may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory(ctx: Context, leaving: int | None) -> MachineMemory | None:
    """None on a host that does not say: nothing to reckon with."""
    text = read_meminfo(ctx.host)
    found = parse_meminfo(text) if text is not None else None
    if found is None or found.available_mib is None or found.total_mib is None:
        return None
    back = _rss_mib(ctx, leaving) if leaving is not None else 0
    return MachineMemory(found.total_mib, found.available_mib + back, ctx.settings.headroom.memory_mib)


def _measured(ctx: Context, profile: Profile, file: tuple[int | None, int | None], binary: str) -> int | None:
    from llamaagent.reconcile.memorykey import memory_key
    from llamaagent.reconcile.projecting import stored_fit

    key = memory_key(profile, file, binary, stored_fit(ctx, profile) if _has_cards(ctx) else None)
    return MemoryStore(ctx.db).measured(key) if key is not None else None


def _has_cards(ctx: Context) -> bool:
    return bool(MemoryStore(ctx.db).known_cards())


def _rss_mib(ctx: Context, instance_id: int) -> int:
    """What an instance that is about to go has of the machine's memory now."""
    from llamaagent.collect.process import collect_process, list_descendants

    row = ctx.instances.one(instance_id)
    if row is None or row.pid is None:
        return 0
    usage = collect_process(ctx.host, list_descendants(ctx.host, row.pid))
    return 0 if usage is None else usage.rss_kib // 1024


def _disk(ctx: Context, profile: Profile) -> None:
    """A server that downloads its model must not fill the disk: how large the model is nobody knows before."""
    environment = dict(profile.runtime.env)
    home = ctx.environ.get("HOME", "/")
    folder = next((environment[name] for name in _CACHES if environment.get(name)), f"{home}/.cache")
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    room = measure_shortage((folder,), ctx.settings.headroom.disk_mib)
    if room is None or not room.is_short():
        return
    figures = (
        Arithmetic("disk_free_mib", room.free_mib),
        Arithmetic("headroom_mib", room.headroom_mib),
        Arithmetic("disk_room_mib", room.free_mib - room.headroom_mib),
    )
    where = profile.model.url or profile.model.hf or profile.model.docker
    raise HeldError(
        "disk",
        f"it would download {where} to {folder}, where {room.free_mib} MiB are free and headroom.disk "
        f"keeps {room.headroom_mib} MiB",
        figures,
    )
