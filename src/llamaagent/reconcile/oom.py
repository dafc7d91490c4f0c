"""Memory of a card that ran out: what was not enough is kept for that model, parameters, build and card.

A launch that ran out is a fact about memory, not a crash: it is held until more than that is free, or until what it
asks for has changed.
"""

from __future__ import annotations

import json

from llamaagent.store.supervision import MemoryKey, SupervisionStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context

_LOG_BYTES = 1 << 18
_NO_CARD = "unknown"


def parameters_hash(profile: Profile) -> str:
    """Names everything that a profile says and that bears on how much memory a launch takes."""
    from hashlib import sha256

    said = [profile.argv, profile.resources.gpus, profile.runtime.env, profile.runtime.wrap]
    return sha256(json.dumps(said).encode()).hexdigest()


def remember_oom(ctx: Context, row: Instance, profile: Profile, now: int) -> None:
    """Keep how much was not enough. The caller holds the transaction."""
    store = SupervisionStore(ctx.db)
    launch = store.launch_memory(row.id)
    if launch is None or launch.model_path is None or launch.model_size_bytes is None:
        return
    enough = max(_demand_mib(row) or 0, launch.measured_mib or 0)
    if not enough:
        return
    cards = json.loads(launch.gpus) if launch.gpus else []
    key = MemoryKey(
        launch.model_path,
        launch.model_size_bytes,
        launch.model_mtime_ns or 0,
        parameters_hash(profile),
        launch.binary_identity or "",
        cards[0] if len(cards) == 1 else _NO_CARD,
    )
    store.ran_out(key, enough, row.id, launch.estimated_mib, now)


def oom_mib(
    ctx: Context, profile: Profile, size: int | None, mtime_ns: int | None, binary: str
) -> int | None:
    """MiB on one card with which such a launch ran out of memory; None when none ever did."""
    from llamaagent.launch.command import file_identity

    if profile.model.path is None or size is None:
        return None
    build = file_identity(binary) or ""
    key = MemoryKey(profile.model.path, size, mtime_ns or 0, parameters_hash(profile), build, _NO_CARD)
    return SupervisionStore(ctx.db).out_of(key)


def _demand_mib(row: Instance) -> int | None:
    from llamaagent.collect.log import read_tail
    from llamaagent.collect.oomlog import demand_mib

    return demand_mib(read_tail(row.log_path, _LOG_BYTES)) if row.log_path else None
