"""The machine as a gate: its memory, its cores, and the disk that a download would fill.

Asked of profiles that claim something of it. A claim counts from the launch on, whether it is used yet or not.
"""

from __future__ import annotations

import os

from llamaagent.collect.disk import measure_shortage
from llamaagent.collect.memory import parse_meminfo, read_meminfo
from llamaagent.domain.hostroom import MachineMemory, cpu_refusal, memory_refusal
from llamaagent.domain.plan import Arithmetic
from llamaagent.reconcile.gates import HeldError
from llamaagent.store.memory import MemoryStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context
    from llamaagent.store.memory import HostClaim

_CACHES = ("LLAMA_CACHE", "HF_HUB_CACHE", "HF_HOME")


def admit(
    ctx: Context,
    profile: Profile,
    file: tuple[int | None, int | None],
    binary: str,
    *,
    leaving: int | None = None,
) -> None:
    """Ask for what the profile claims. leaving: an instance whose share counts as free. Raises HeldError."""
    claims = [one for one in MemoryStore(ctx.db).claims() if one.instance_id != leaving]
    if profile.resources.memory_mib is not None:
        _memory(ctx, profile, profile.resources.memory_mib, file, binary, claims, leaving)
    if profile.resources.cpus is not None:
        refusal = cpu_refusal(
            round(1000 * profile.resources.cpus),
            1000 * cores(),
            [(one.profile, one.cpu_milli) for one in claims if one.cpu_milli is not None],
        )
        if refusal is not None:
            raise HeldError(*refusal)
    if profile.model.path is None:
        _disk(ctx, profile)


def cores() -> int:
    """How many cores this process, and so a server, may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory(
    ctx: Context,
    profile: Profile,
    declared_mib: int,
    file: tuple[int | None, int | None],
    binary: str,
    claims: Sequence[HostClaim],
    leaving: int | None,
) -> None:
    from llamaagent.reconcile.memorykey import memory_key
    from llamaagent.reconcile.projecting import stored_fit

    text = read_meminfo(ctx.host)
    found = parse_meminfo(text) if text is not None else None
    if found is None or found.available_mib is None or found.total_mib is None:
        return  # a host that does not say: nothing to reckon with
    key = memory_key(profile, file, binary, stored_fit(ctx, profile) if _has_cards(ctx) else None)
    measured = MemoryStore(ctx.db).measured(key, host=True) if key is not None else None
    machine = MachineMemory(
        found.total_mib,
        found.available_mib + (_rss_mib(ctx, leaving) if leaving is not None else 0),
        ctx.settings.headroom.memory_mib,
    )
    held = [
        (one.profile, one.memory_mib, (one.rss_kib or 0) // 1024)
        for one in claims
        if one.memory_mib is not None
    ]
    refusal = memory_refusal(declared_mib, measured, machine, held)
    if refusal is not None:
        raise HeldError(*refusal)


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
