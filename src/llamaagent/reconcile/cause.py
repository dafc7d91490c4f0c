"""Why a server ended by itself, from its exit status, the end of its log, and what the kernel says."""

from __future__ import annotations

import os

from llamaagent.collect.log import classify_exit, read_tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.launch.exits import ExitRecord
    from llamaagent.reconcile.context import Context

_TAIL_BYTES = 16384
_SIGKILL = 9


def cause_of(ctx: Context, row: Instance, record: ExitRecord) -> tuple[str, str]:
    """The reason word and prose."""
    tail = read_tail(row.log_path, _TAIL_BYTES) if row.log_path else b""
    reason, detail = classify_exit(record.exit_code, record.exit_signal, tail)
    if reason == "crash" and record.exit_signal == _SIGKILL:
        return _killed(ctx, row, detail)
    return reason, detail


def _killed(ctx: Context, row: Instance, detail: str) -> tuple[str, str]:
    """A SIGKILL that we did not send: the kernel's for want of memory, somebody's, or not known."""
    from llamaagent.collect.oomkill import kernel_named, kills_since
    from llamaagent.store.supervision import SupervisionStore

    started_s = (row.start_ticks or 0) / os.sysconf("SC_CLK_TCK")
    if row.pid is not None and kernel_named(row.pid, started_s):
        return "oom-host", f"{detail} by the kernel for want of memory: its log names pid {row.pid}"
    baseline = SupervisionStore(ctx.db).oom_kills(row.id)
    kills = kills_since(baseline)
    if kills is None:
        return "crash", f"{detail}, perhaps for want of memory"
    if kills > 0:
        where = (baseline or "").rpartition(" ")[0]
        return (
            "oom-host",
            f"{detail}; the kernel killed {kills} for want of memory since the launch ({where})",
        )
    return "crash", detail
