"""What one live launch uses: a process and its children, a container and all that is in it, the cards of either."""

from __future__ import annotations

from llamaagent.collect.process import collect_process, list_descendants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llamaagent.collect.gpu import GpuReading
    from llamaagent.collect.process import ProcessUsage
    from llamaagent.domain.instance import Instance
    from llamaagent.reconcile.context import Context


def copy_engine_logs(ctx: Context, live: Iterable[Instance]) -> None:
    """What containers wrote lies with their engines; it comes to where the logs of all others are."""
    boxed = [row for row in live if row.kind == "container"]
    if boxed:
        from llamaagent.reconcile.containerevents import hear_engines
        from llamaagent.reconcile.containerlogs import copy_log

        hear_engines(ctx, boxed)
        for row in boxed:
            copy_log(ctx, row, over=False)


def usage_of(ctx: Context, row: Instance, pid: int) -> ProcessUsage | None:
    """Of a container all that is in its control group; of a process, it and its children."""
    if row.kind == "container":
        from llamaagent.collect.cgroup import collect_container

        found = collect_container(ctx.host, pid)
        if found is not None:
            return found
    return collect_process(ctx.host, list_descendants(ctx.host, pid))


def gpu_use(row: Instance, gpus: GpuReading, ours: Mapping[int, int]) -> tuple[int | None, int | None]:
    """MiB that it holds over all cards, its children too, and the mean use of the cards it holds memory on."""
    held = [(c, h) for c in gpus.cards for h in c.holders if ours.get(h.pid) == row.id]
    if not held:
        return None, None
    memory = [h.memory_mib for _, h in held if h.memory_mib is not None]
    use = [c.utilization_percent for c, _ in held if c.utilization_percent is not None]
    return (sum(memory) if memory else None), (sum(use) // len(use) if use else None)
