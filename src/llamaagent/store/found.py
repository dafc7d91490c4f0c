"""Rows of servers that we did not launch: those that are only watched, and those that were taken over alive."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements
from llamaagent.store.journal import Journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from apsw import Connection

    from llamaagent.domain.instance import Identity, Instance
    from llamaagent.domain.plan import Action
    from llamaagent.domain.profile import Profile
    from llamaagent.store.intent import Claim

_SQL = statements("instances")


class FoundServer(NamedTuple):
    """What /proc says of it; the columns of `instances` of the same names. Nothing secret may be in it."""

    host: str | None
    port: int | None
    launched_ts: int
    argv: str  # JSON array
    log_path: str | None = None
    log_inode: int | None = None
    log_offset_bytes: int = 0
    environment: str | None = None  # JSON object
    working_directory: str | None = None
    binary: str | None = None
    binary_identity: str | None = None
    model_path: str | None = None
    model_size_bytes: int | None = None
    model_mtime_ns: int | None = None
    gpus: str | None = None  # JSON array
    git_commit: str | None = None
    git_dirty: int | None = None
    api_prefix: str | None = None
    scheme: str = "http"


def take_in(
    db: Connection,
    profile: Profile,
    held: Instance | None,
    found: tuple[Identity, FoundServer],
    action: Action,
    claims: Iterable[Claim],
    ts: int,
) -> int:
    """Write the row of a live server; a held row of the profile becomes it. Gives its id. One transaction."""
    server, facts = found
    given: dict[str, object] = {
        **facts._asdict(),
        "profile": profile.name,
        "kind": profile.runtime.kind,
        "project": profile.project,
        "launch_hash": profile.launch_hash,
        "profile_hash": profile.profile_hash,
        "boot_id": server.boot_id,
        "pid": server.pid,
        "start_ticks": server.start_ticks,
        "reason": action.reason,
        "detail": action.detail,
        "restarts": 0,
        "ts": ts,
    }
    with db:
        names = ("profile", "kind", "project", "reason", "detail", "launch_hash", "profile_hash", "restarts")
        if held is not None and held.status == "created":
            instance_id = held.id
        else:
            plain = {name: given[name] for name in (*names, "model_path", "ts")}
            instance_id = int(db.execute(_SQL["insert_held"], plain).get)
        del given["profile"], given["restarts"]
        db.execute(_SQL["update_found"], {**given, "id": instance_id})
        for claim in claims:
            common = {"instance_id": instance_id, "holder": profile.name, "project": profile.project}
            more = {**claim._asdict(), **common, "reason": action.reason, "ts": ts}
            db.execute(_SQL["insert_reservation"], more)
        Journal(db).decide(action, instance_id, ts)
    return instance_id
