"""Measurements and requests, written in the one transaction of a pass; metadata and the agent's own log."""

from __future__ import annotations

import json

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from apsw import Connection

    from llamaagent.domain.idle import Activity
    from llamaagent.domain.sample import GpuSample, InstanceSample, Request, SystemSample
    from llamaagent.domain.settings import Settings
    from llamaagent.store.claims import ClaimStore

_SQL = statements("samples")
_INSTANCES = statements("instances")
CUT_KEY = "log_cut"  # in `metadata`, from before a server's log is cut until its offset is 0

LIMITS_KEY = (
    "limits_of_settings"  # in `metadata`: the settings' limits of projects as the table `quotas` has them
)


def limits_text(projects: Iterable[tuple[object, ...]]) -> str | None:
    """Limits of projects as one text, by which a change of them is seen; None = there are none."""
    listed = [list(project) for project in projects]
    return json.dumps(listed) if listed else None


class LastSystem(NamedTuple):
    """The counters of the newest system sample."""

    ts: int
    boot_id: str | None
    cpu_cores: int
    cpu_busy_ticks_total: int | None
    cpu_ticks_total: int | None
    disk_read_bytes_total: int | None
    disk_write_bytes_total: int | None
    network_rx_bytes_total: int | None
    network_tx_bytes_total: int | None


class LastInstance(NamedTuple):
    """The counters of an instance's newest sample."""

    instance_id: int
    ts: int
    cpu_ticks_total: int | None
    read_bytes_total: int | None
    write_bytes_total: int | None
    prompt_tokens_total: int | None
    predicted_tokens_total: int | None
    prompt_ms_total: int | None
    predicted_ms_total: int | None
    decode_total: int | None


class PassFacts(NamedTuple):
    """What a system row holds beside the sample itself."""

    interval_s: int | None
    boot_id: str
    active_instances: int
    uptime_s: int
    requests: int
    clock_step_s: int | None = None


class Holder(NamedTuple):
    """A process on a card, named."""

    uuid: str
    pid: int
    memory_mib: int | None
    user: str | None
    command: str | None
    instance_id: int | None


class SampleStore:
    """The time series of one open database. Methods that write expect the caller's transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def last_system(self) -> LastSystem | None:
        """The newest system row's counters."""
        for row in self._db.execute(_SQL["select_last_system"]):
            return LastSystem(*row)
        return None

    def last_instances(self) -> dict[int, LastInstance]:
        """The counters of the newest samples, by instance."""
        return {row[0]: LastInstance(*row) for row in self._db.execute(_SQL["select_last_instances"])}

    def add_system(self, sample: SystemSample, facts: PassFacts, ts: int) -> None:
        """One row of the machine; the next differences are taken from this time's rows, wherever the clock goes."""
        self._db.execute(_SQL["insert_system"], {**sample._asdict(), **facts._asdict(), "ts": ts})
        self.set_metadata("last_sample_ts", str(ts), ts)

    def know_gpus(self, cards: Iterable[GpuSample], boot_id: str, ts: int) -> None:
        """The cards themselves: a reservation needs their rows, on the very first pass too."""
        for card in cards:
            given = {k: v for k, v in card._asdict().items() if k != "holders"}
            self._db.execute(_SQL["upsert_gpu"], {**given, "idx": card.index, "boot_id": boot_id, "ts": ts})

    def add_gpus(
        self,
        cards: Iterable[GpuSample],
        holders: Iterable[Holder],
        boot_id: str,
        ts: int,
        *,
        complete: bool = True,
    ) -> None:
        """The cards as they are now, a sample of each, and who holds memory there.

        complete: these are all that there are; else nothing is said of the others, which could not be read.
        """
        cards = tuple(cards)
        self.know_gpus(cards, boot_id, ts)
        for card in cards:
            given = {k: v for k, v in card._asdict().items() if k != "holders"}
            self._db.execute(_SQL["insert_gpu"], {**given, "ts": ts})
        if complete:
            self._db.execute(_SQL["doubt_gpu_holders"])
        for holder in holders:
            self._db.execute(_SQL["upsert_gpu_holder"], {**holder._asdict(), "ts": ts})
        if complete:
            seen = json.dumps([card.uuid for card in cards])
            self._db.execute(_SQL["mark_gpus_gone"], {"seen": seen, "boot_id": boot_id})
            self._db.execute(_SQL["delete_old_gpu_holders"])

    def has_failed_cards(self) -> bool:
        """Whether a card gives nothing until it was reset."""
        return any(True for _ in self._db.execute(_SQL["has_failed_cards"]))

    def add_instance(self, sample: InstanceSample, ts: int) -> None:
        """One row of an instance, and its averages, which outlive the row."""
        given = {**sample._asdict(), "ts": ts}
        self._db.execute(_SQL["insert_instance"], given)
        self._db.execute(_INSTANCES["add_to_averages"], given)

    def unobserved(self) -> tuple[int, ...]:
        """Live launches that took more memory than is kept of launches like them, or are not counted there yet."""
        return tuple(row[0] for row in self._db.execute(_SQL["select_unobserved"]))

    def add_request(self, instance_id: int, request: Request, started_ts: int | None, ts: int) -> bool:
        """A finished request. False: it was there already."""
        given = request._asdict()
        tokens = (request.prompt_tokens, request.cached_tokens, request.generated_tokens)
        given |= {"ts": ts, "started_ts": started_ts, "instance_id": instance_id}
        given["total_tokens"] = None if tokens[0] is None else sum(t or 0 for t in tokens)
        claimed, late = self._db.execute(_SQL["select_claimed"], {"instance_id": instance_id}).fetchone() or (
            0,
            0,
        )
        if late and self._claims().come_late(given):
            return False
        before = self._db.total_changes()
        self._db.execute(_SQL["insert_generation"], given)
        if self._db.total_changes() == before:
            return False
        if claimed:
            self._claims().meet(given)
        return True

    def settle_claims(self) -> dict[int, int]:
        """Join what llamaagent asked itself to the rows of this pass; how many rows that made, by instance."""
        waiting = self._db.execute(_SQL["has_claims"]).fetchone()
        return self._claims().end_pass() if waiting is not None else {}

    def _claims(self) -> ClaimStore:
        from llamaagent.store.claims import ClaimStore

        return ClaimStore(self._db)

    def count_requests(self, requests: int, ts: int) -> None:
        """Requests that were read after the sample of this time was stored."""
        if requests:
            self._db.execute(_SQL["count_requests"], {"requests": requests, "ts": ts})
            if self.is_behind(ts):
                from llamaagent.store.rollups import RollupStore

                RollupStore(self._db).add_requests(ts, requests)

    def is_behind(self, ts: int) -> bool:
        """Whether the roll-ups are past this time already, because the clock was set back."""
        return self._db.execute(_SQL["select_behind"], {"ts": ts}).fetchone() is not None

    def upkeep_due(self, settings: Settings, now: int) -> bool:
        """Whether there is anything to roll up, or enough to delete that it is worth its while."""
        late = now - 5 * settings.interval_s
        given = {
            "now": now,
            "instance_ts": _before(late, settings.retain_instance_samples_s),
            "system_ts": _before(late, settings.retain_system_samples_s),
            "generation_ts": _before(late, settings.retain_generations_s),
            "log_ts": _before(late, settings.retain_logs_s),
            "year_ts": late - 365 * 86400,
        }
        row = self._db.execute(_SQL["select_upkeep_due"], given).fetchone()
        return row is not None and bool(row[0])

    def move_log(self, instance_id: int, inode: int, offset_bytes: int, state: str) -> None:
        """How far the server's log has been read; in the transaction that adds the requests."""
        given = {"id": instance_id, "log_inode": inode, "log_offset_bytes": offset_bytes, "log_state": state}
        self._db.execute(_INSTANCES["update_log"], given)

    def activity(self) -> dict[int, Activity]:
        """When each running launch was last used."""
        from llamaagent.domain.idle import Activity

        return {row[0]: Activity(*row[1:]) for row in self._db.execute(_SQL["select_activity"])}

    def note_use(self, instance_id: int, tokens: int | None, used: bool, ts: int, boottime_s: int) -> None:
        """A sign of use, if there is a new one: tokens that moved, or used (requests in progress or finished)."""
        given = {"id": instance_id, "tokens": tokens, "used": used, "ts": ts, "boottime_s": boottime_s}
        self._db.execute(_SQL["note_activity"], given)

    def log(
        self, level: str, source: str, message: str, ts: int, category: str | None = None, **context: object
    ) -> None:
        """A line of the agent's own log, unless the connection stores none of that level."""
        if level in getattr(self._db, "unlogged", ()):
            return
        given = {"level": level, "source": source, "category": category, "message": message, "ts": ts}
        self._db.execute(
            _SQL["insert_log"], {**given, "context_json": json.dumps(context) if context else None}
        )

    def metadata(self, key: str) -> str | None:
        """A value of `metadata`, as stored (JSON)."""
        for row in self._db.execute(_SQL["get_metadata"], {"key": key}):
            return str(row[0])
        return None

    def set_metadata(self, key: str, value: str, ts: int) -> None:
        """Store a value of `metadata`."""
        self._db.execute(_SQL["set_metadata"], {"key": key, "value": value, "ts": ts})

    def delete_metadata(self, key: str) -> None:
        """Remove a key of `metadata`."""
        self._db.execute(_SQL["delete_metadata"], {"key": key})


def _before(ts: int, keep_s: int | None) -> int | None:
    return None if keep_s is None else ts - keep_s
