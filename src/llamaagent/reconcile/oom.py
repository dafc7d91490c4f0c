"""Memory of a card that ran out: what was not enough is kept for that model, parameters, build and card.

A launch that ran out is a fact about memory, not a crash: it is held until more than that is free, or until what it
asks for has changed.
"""

from __future__ import annotations

import json

from llamaagent.reconcile.memorykey import ANY_CARD
from llamaagent.store.supervision import MemoryKey, SupervisionStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.reconcile.context import Context

_LOG_BYTES = 1 << 18


def remember_oom(ctx: Context, row: Instance, now: int) -> None:
    """Keep how much was not enough, under the key of the launch. The caller holds the transaction."""
    store = SupervisionStore(ctx.db)
    launch = store.launch_memory(row.id)
    if launch is None or launch.model_path is None or launch.model_size_bytes is None:
        return
    enough = max(_demand_mib(row) or 0, launch.measured_mib or 0)
    if not enough or launch.parameters_hash is None:
        return
    cards = json.loads(launch.gpus) if launch.gpus else []
    key = MemoryKey(
        launch.model_path,
        launch.model_size_bytes,
        launch.model_mtime_ns or 0,
        launch.parameters_hash,
        launch.binary_identity or "",
        ",".join(sorted(cards)) or ANY_CARD,
    )
    store.ran_out(key, enough, row.id, launch.estimated_mib, now)


def _demand_mib(row: Instance) -> int | None:
    from llamaagent.collect.log import read_tail
    from llamaagent.collect.oomlog import demand_mib

    return demand_mib(read_tail(row.log_path, _LOG_BYTES)) if row.log_path else None
