"""What supervision remembers of launches from pass to pass: failures, files, progress, memory that ran out."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements
from llamaagent.store.journal import Journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from apsw import Connection

    from llamaagent.domain.instance import Instance
    from llamaagent.domain.plan import Action

_SQL = statements("supervision")


class MemoryKey(NamedTuple):
    """What makes launches need the same memory on a card; the columns of `memory_observations`."""

    model_path: str
    model_size_bytes: int
    model_mtime_ns: int
    parameters_hash: str
    build: str
    gpu: str


class LaunchMemory(NamedTuple):
    """What a launch was, as far as memory goes. gpus: JSON array of uuids; measured_mib: its peak, if it was seen."""

    model_path: str | None
    model_size_bytes: int | None
    model_mtime_ns: int | None
    binary_identity: str | None
    gpus: str | None
    estimated_mib: int | None
    measured_mib: int | None
    parameters_hash: str | None


class SupervisionStore:
    """Of one open database."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._journal = Journal(db)

    def give_up(self, instance_id: int, action: Action, ts: int) -> None:
        """Error stays error, and nothing is tried until something changes."""
        with self._db:
            self._db.execute(_SQL["update_gave_up"], {"id": instance_id, "ts": ts})
            self._journal.decide(action, instance_id, ts)

    def recent_failures(self, row: Instance, within_s: int, now: int) -> int:
        """How often launches like this one failed within so many seconds, since an operator's last start."""
        given = {"profile": row.profile, "launch_hash": row.launch_hash, "within_s": within_s, "now": now}
        return int(self._db.execute(_SQL["select_recent_failures"], given).get)

    def inputs(self, instance_id: int) -> tuple[str | None, str] | None:
        """(binary, JSON of the files it depended on and what they were) of a launch; None when not stored."""
        for row in self._db.execute(_SQL["select_inputs"], {"id": instance_id}):
            return row[0], row[1]
        return None

    def oom_kills(self, instance_id: int) -> str | None:
        """Where the kernel counts its kills for memory, and the count at the launch."""
        for row in self._db.execute(_SQL["select_oom_kills"], {"id": instance_id}):
            return None if row[0] is None else str(row[0])
        return None

    def progress(self, instance_id: int, progress_bytes: int, boottime_s: int) -> None:
        """A loading server has moved on."""
        given = {"id": instance_id, "progress_bytes": progress_bytes, "progress_boottime_s": boottime_s}
        with self._db:
            self._db.execute(_SQL["update_progress"], given)

    def launch_memory(self, instance_id: int) -> LaunchMemory | None:
        """What is stored of a launch that bears on memory."""
        for row in self._db.execute(_SQL["select_launch_memory"], {"id": instance_id}):
            return LaunchMemory(*row)
        return None

    def ran_out(
        self, key: MemoryKey, oom_mib: int, instance_id: int, estimated_mib: int | None, ts: int
    ) -> None:
        """A launch ran out of a card's memory holding, or asking for, so much. The caller holds the transaction."""
        given = {**key._asdict(), "oom_mib": oom_mib, "instance_id": instance_id}
        self._db.execute(_SQL["upsert_oom"], {**given, "estimated_mib": estimated_mib, "ts": ts})

    def out_of(self, key: MemoryKey) -> int | None:
        """MiB that were not enough, on whichever card; None when it never ran out."""
        given = {name: value for name, value in key._asdict().items() if name != "gpu"}
        found = self._db.execute(_SQL["select_oom"], given).get
        return None if found is None else int(found)
