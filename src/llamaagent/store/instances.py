"""Rows of `instances` and `reservations`: read as records, changed one step of a launch at a time.

Each step is one short transaction with its decision in it, so that whatever ends the agent,
the database says how far it came.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.domain.instance import Instance
from llamaagent.sql import statements
from llamaagent.store.journal import Journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from apsw import Connection

    from llamaagent.domain.instance import Identity
    from llamaagent.domain.plan import Action
    from llamaagent.store.intent import Claim, Intent

_SQL = statements("instances")
_PROCESS = {
    "kind": "process",
    **dict.fromkeys(
        ("container_id", "container_name", "image", "image_digest", "port_mappings", "engine"),
    ),
    **dict.fromkeys(("memory_limit_mib", "cpu_limit_milli")),
}


class LogPosition(NamedTuple):
    """How far a server's log has been read."""

    id: int
    path: str
    inode: int | None
    offset_bytes: int
    state: str | None
    launched_ts: int | None


class Reservation(NamedTuple):
    """A live reservation, of an instance or a lease."""

    instance_id: int | None
    uuid: str
    memory_mib: int | None
    exclusive: bool
    holder: str | None
    lease_id: int | None = None

    @property
    def owner(self) -> int:
        """One number for whoever has it: the instance's, or the lease's below zero."""
        return self.instance_id if self.instance_id is not None else -(self.lease_id or 0)


class InstanceStore:
    """The instances of one open database."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._journal = Journal(db)

    def newest(self) -> tuple[Instance, ...]:
        """The newest row of each profile; a live row is always the newest of its profile."""
        return tuple(Instance(*row) for row in self._db.execute(_SQL["select_newest"]))

    def one(self, instance_id: int) -> Instance | None:
        """One row."""
        for row in self._db.execute(_SQL["select_one"], {"id": instance_id}):
            return Instance(*row)
        return None

    def of_profile(self, profile: str, limit: int = 50) -> tuple[Instance, ...]:
        """Every launch of a profile, newest first."""
        found = self._db.execute(_SQL["select_profile_history"], {"profile": profile, "limit": limit})
        return tuple(Instance(*row) for row in found)

    def ports(self) -> dict[str, int]:
        """The port each profile used last."""
        return dict(self._db.execute(_SQL["select_ports"]))

    def hold(
        self,
        row: Instance | None,
        profile: str,
        kind: str,
        hashes: tuple[str, str],
        action: Action,
        ts: int,
        **more: object,
    ) -> tuple[int, bool]:
        """Make or move the held row of a profile (status created, no launch id).

        Gives its id, and whether this is news (a hold for the same reason is only counted).
        """
        news = True
        given: dict[str, object] = {"profile": profile, "kind": kind, "ts": ts}
        given |= {"reason": action.reason, "detail": action.detail}
        given |= {"launch_hash": hashes[0], "profile_hash": hashes[1]}
        with self._db:
            if row is not None and row.status == "created":
                self._db.execute(_SQL["update_held"], {**given, "id": row.id})
                instance_id = row.id
            else:
                given |= {"project": more.get("project", "default"), "model_path": more.get("model_path")}
                given["restarts"] = more.get("restarts", 0)
                instance_id = int(self._db.execute(_SQL["insert_held"], given).get)
            if action.kind != "start":
                news = self._journal.decide(action, instance_id, ts)
        return instance_id, news

    def intend(
        self, instance_id: int, intent: Intent, claims: Iterable[Claim], action: Action, ts: int
    ) -> None:
        """Commit the intent: after this a process of ours may exist. Reservations are in the same transaction."""
        given = {**intent._asdict(), "id": instance_id, "ts": ts}
        given |= {"reason": action.reason, "detail": action.detail}
        with self._db:
            self._db.execute(_SQL["update_intent"], given)
            self._reserve(instance_id, claims, action, intent.project, ts)
            self._journal.decide(action, instance_id, ts)

    def _reserve(
        self, instance_id: int, claims: Iterable[Claim], action: Action, project: str, ts: int
    ) -> None:
        common = {"instance_id": instance_id, "holder": action.profile, "project": project, "ts": ts}
        for claim in claims:
            given = {**claim._asdict(), **common, "reason": action.reason}
            self._db.execute(_SQL["insert_reservation"], given)

    def spawned(self, instance_id: int, wrapper: Identity | None, server: Identity | None, ts: int) -> None:
        """Store who runs it."""
        known = server or wrapper
        given = {
            "id": instance_id,
            "ts": ts,
            "boot_id": known.boot_id if known else None,
            "wrapper_pid": wrapper.pid if wrapper else None,
            "wrapper_start_ticks": wrapper.start_ticks if wrapper else None,
            "pid": server.pid if server else None,
            "start_ticks": server.start_ticks if server else None,
        }
        with self._db:
            self._db.execute(_SQL["update_spawned"], given)

    def adopt(self, given: dict[str, object], claims: Iterable[Claim], action: Action, ts: int) -> int:
        """Write the row of a live launch that has none. given: the columns of the statement. Gives its id."""
        with self._db:
            instance_id = int(self._db.execute(_SQL["insert_adopted"], {**_PROCESS, **given, "ts": ts}).get)
            self._reserve(instance_id, claims, action, str(given["project"]), ts)
            self._journal.decide(action, instance_id, ts)
        return instance_id

    def ready(self, instance_id: int, action: Action, ts: int) -> None:
        """Loading -> running."""
        with self._db:
            given = {"id": instance_id, "reason": action.reason, "detail": action.detail, "ts": ts}
            self._db.execute(_SQL["update_ready"], given)
            self._journal.decide(action, instance_id, ts)

    def change(self, instance_id: int, status: str, failures: int, action: Action, ts: int) -> None:
        """Running <-> unhealthy."""
        with self._db:
            given = {"id": instance_id, "status": status, "ts": ts, "failures": failures}
            given |= {"reason": action.reason, "detail": action.detail}
            self._db.execute(_SQL["update_status"], given)
            self._journal.decide(action, instance_id, ts)

    def failures(self, instance_id: int, failures: int) -> None:
        """Count failed probes."""
        with self._db:
            self._db.execute(_SQL["update_failures"], {"id": instance_id, "failures": failures})

    def stopping(self, instance_id: int, next_ts: int | None, action: Action, ts: int) -> None:
        """-> stopping, no signal sent yet; next_ts: when the first is due."""
        with self._db:
            given = {"id": instance_id, "reason": action.reason, "detail": action.detail, "ts": ts}
            self._db.execute(_SQL["update_stopping"], {**given, "next_signal_ts": next_ts})
            self._journal.decide(action, instance_id, ts)

    def next_signal(self, instance_id: int, signal: str, due_ts: int | None, action: Action, ts: int) -> None:
        """A signal is about to be sent; note the next, and when. The one that begins a stop is not journalled."""
        with self._db:
            given = {"id": instance_id, "next_signal": signal, "next_signal_ts": due_ts}
            self._db.execute(_SQL["update_next_signal"], given)
            if action.kind == "signal":
                self._journal.decide(action, instance_id, ts)

    def ended(
        self,
        row: Instance,
        action: Action,
        exit_code: int | None,
        exit_signal: int | None,
        ended_ts: int,
        ts: int,
    ) -> None:
        """-> stopped or error; the reservations go in the same transaction."""
        given = {"id": row.id, "status": action.status or "stopped"}
        given |= {"reason": action.reason, "detail": action.detail}
        given |= {"exit_code": exit_code, "exit_signal": exit_signal}
        given |= {"retry_ts": action.due_ts, "restarts": action.restarts}
        with self._db:
            self._db.execute(_SQL["update_ended"], {**given, "ts": ts, "ended_ts": ended_ts})
            self._db.execute(_SQL["release_reservations"], {"instance_id": row.id, "ts": ts})
            self._journal.decide(action, row.id, ts)

    def detach(self, profile: str, action: Action, ts: int) -> None:
        """Forget a live launch: its row ends, its process does not."""
        with self._db:
            self._journal.decide(action, action.instance_id, ts)
            self._db.execute(_SQL["release_of_profile"], {"profile": profile, "ts": ts})
            self._db.execute(_SQL["update_detached"], {"profile": profile, "ts": ts})

    def launch_known(self, launch_id: str) -> bool:
        """Tell whether this launch has a row, live or ended."""
        return self._db.execute(_SQL["select_launch"], {"launch_id": launch_id}).get is not None

    def deleted(self, profile: str, action: Action, ts: int) -> None:
        """Mark the ended launches of a retired profile."""
        with self._db:
            self._journal.decide(action, action.instance_id, ts)
            self._db.execute(_SQL["update_deleted"], {"profile": profile})

    def effective(self, instance_id: int, context_size: int | None, gpu_layers: int | None) -> None:
        """What the server's log says it really uses."""
        given = {"id": instance_id, "context_size": context_size, "gpu_layers": gpu_layers}
        self._db.execute(_SQL["update_effective"], given)

    def build(self, instance_id: int, build: str) -> None:
        """The server's own build line."""
        self._db.execute(_SQL["update_build"], {"id": instance_id, "build": build})

    def reservations(self) -> tuple[Reservation, ...]:
        """All live reservations; a lease whose time is up is none."""
        return tuple(
            Reservation(row[0], row[1], row[2], bool(row[3]), row[4], row[5])
            for row in self._db.execute(_SQL["select_reservations"])
        )

    def any_lease(self) -> bool:
        """Whether a card is lent to somebody, or was and nobody has looked since."""
        return self._db.execute(_SQL["select_any_lease"]).get is not None

    def log_positions(self) -> tuple[LogPosition, ...]:
        """Where each live server's log stands."""
        return tuple(_position(row) for row in self._db.execute(_SQL["select_log_positions"]))

    def log_position(self, instance_id: int) -> LogPosition | None:
        """Where one server's log stands."""
        found = self._db.execute(_SQL["select_log_position"], {"id": instance_id})
        return next((_position(row) for row in found if row[1]), None)


def _position(row: tuple[Any, ...]) -> LogPosition:
    return LogPosition(row[0], row[1], row[2], row[3] or 0, row[4], row[5])
