"""Rows for people and scripts: profiles with their derived state."""

from __future__ import annotations

import json
import os

from llamaagent.domain import instance as st
from llamaagent.domain.shown import is_problem, state
from llamaagent.domain.wish import wish
from llamaagent.launch.command import file_identity
from llamaagent.launch.identity import alive, boot_id
from llamaagent.reconcile.declared import in_force, missing, rolled_back
from llamaagent.store.instances import InstanceStore
from llamaagent.store.read import select
from llamaagent.store.wishes import WishStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.wish import Wish
    from llamaagent.store.types import Connection

PROFILE_COLUMNS = (
    "profile", "kind", "status", "state", "wanted", "health", "reason", "detail", "since", "retry_at", "override",
    "pid", "container_id", "host", "port", "url", "gpus", "memory_mib", "gpu_memory_mib", "tokens_per_second",
    "requests_processing", "uptime_s", "restarts", "build", "git_commit", "project", "labels", "outdated",
    "instance_id", "source", "gpu_memory_declared_mib", "gpu_memory_estimated_mib", "gpu_memory_measured_mib",
)  # fmt: skip


def profile_rows(opened: Opened, db: Connection) -> list[dict[str, object]]:
    """One row a declared or live profile, with its shown state; the process is looked at, not believed."""
    now = opened.clock.now()
    wishes = WishStore(db)
    hashes = wishes.last_hashes()
    last_good = wishes.last_good() if missing(opened.site, hashes) else None
    # What a refused file declares is in force as it was when it was good.
    declared = rolled_back(wishes, in_force(opened.site, hashes, last_good))
    overrides = wishes.overrides()
    newest = {row.profile: row for row in InstanceStore(db).newest()}
    boot = boot_id()
    stored = {str(row["profile"]): row for row in select(db, "list_profiles").rows}
    rows = []
    for name in sorted(stored.keys() | declared.profiles.keys()):
        row: dict[str, object] = dict(stored.get(name) or {"profile": name})
        instance = newest.get(name)
        if instance is not None and instance.status in st.LIVE and instance.pid is not None:
            row["alive"] = alive(instance.server, boot=boot)
        row["rolled_back"] = declared.rolled_back.get(name)
        profile = declared.profiles.get(name)
        want = wish(profile, overrides.get(name), now, instance) if profile is not None else None
        rows.append(_row(row, profile, want, now))
    return rows


def _row(row: dict[str, object], profile: Profile | None, want: Wish | None, now: int) -> dict[str, object]:
    status = row.get("status") if row.get("instance_id") is not None else None
    known = str(status) if status is not None else None
    reason, retry = row.get("reason"), row.get("retry_ts")
    if known != st.ERROR or want is None or not want.wanted or _stays_down(profile, reason):
        retry = want.until_ts if want is not None and not want.wanted else None
    gave_up = row.get("gave_up_ts") is not None
    shown = state(
        known,
        str(reason) if reason else None,
        wish=want,
        restarts=_int(row.get("restarts")) or 0,
        retry_ts=_int(retry),
        gave_up=gave_up,
        detail=str(row["detail"]) if row.get("detail") else None,
        now=now,
    )
    gone, told = row.get("alive") is False, row.get("rolled_back")
    wrong = is_problem(known, want, str(reason) if reason else None, gave_up=gave_up)
    uptime = _uptime_s(row, known, now)
    made = {column: row.get(column) for column in PROFILE_COLUMNS} | {
        "status": known or "stopped",
        "state": f"{shown}, but its process is gone" if gone else shown,
        "wanted": want.wanted if want is not None else False,
        "since": row.get("since_ts"),
        "retry_at": retry,
        "gpus": json.loads(str(row["gpus"])) if row.get("gpus") else [],
        "health": row.get("health") if known in st.LIVE else None,
        "uptime_s": uptime,
        "uptime": None if uptime is None else age(uptime),
        "pid": row.get("pid") if known in st.LIVE else None,
        "problem": wrong or gone or told is not None,
        "rolled_back": told,
    }
    made |= _declared(row, profile)
    because = _outdated_by(row, profile) if known in st.LIVE and profile is not None else None
    made |= {"outdated": because is not None, "outdated_by": because, "binary": row.get("binary")}
    if made["tokens_per_second"] is not None:
        made["tokens_per_second"] = round(float(str(made["tokens_per_second"])), 2)
    return made


def _uptime_s(row: dict[str, object], status: str | None, now: int) -> int | None:
    """How long it is healthy, or, before it is, how long it lives."""
    since = _int(row.get("ready_ts" if status in {st.RUNNING, st.UNHEALTHY} else "launched_ts"))
    return max(0, now - since) if since and status in st.LIVE else None


def _declared(row: dict[str, object], profile: Profile | None) -> dict[str, object]:
    """What the profile says, also of one that no pass has seen yet."""
    if profile is None:
        return {"labels": json.loads(str(row.get("labels") or "{}"))}
    return {
        "labels": dict(profile.labels),
        "kind": row.get("kind") or profile.runtime.kind,
        "project": row.get("project") or profile.project,
        "source": row.get("source") or profile.source,
    }


def _stays_down(profile: Profile | None, reason: object) -> bool:
    """Whether the restart policy leaves it as it is."""
    policy = profile.restart.policy if profile is not None else "never"
    return policy == "never" or (policy == "on-failure" and reason == "exited")


def _outdated_by(row: dict[str, object], profile: Profile) -> str | None:
    """Why a launch now would be another one: changed profile, replaced binary or model file; None = it would not."""
    if row.get("launch_hash") != profile.launch_hash:
        return "profile"
    binary, identity = row.get("binary"), row.get("binary_identity")
    if (
        isinstance(binary, str)
        and isinstance(identity, str)
        and file_identity(binary) not in {identity, None}
    ):
        return "build"
    size, mtime, model = row.get("model_size_bytes"), row.get("model_mtime_ns"), profile.model.path
    if model is None or size is None:
        return None
    try:
        found = os.stat(model)
    except OSError:
        return None
    return "model file" if (found.st_size, found.st_mtime_ns) != (size, mtime) else None


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None


def age(seconds: int) -> str:
    """42s, 5m, 3h12m, 4d2h: two units at most."""
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m"
    if seconds < 86400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02}m"
    return f"{seconds // 86400}d{seconds % 86400 // 3600}h"


def moment(ts: object) -> str | None:
    """A time as people read it, in the host's zone."""
    if not isinstance(ts, int):
        return None
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ts))
