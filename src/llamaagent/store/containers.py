"""What is kept of containers from pass to pass: their ids, how far their logs are copied, what was heard of them."""

from __future__ import annotations

import json

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements
from llamaagent.store.samples import SampleStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llamaagent.store.types import Connection

_SQL = statements("containers")
_HEARD = "engine_events_ts."  # + the engine's address: up to when its events were replayed


class LogCursor(NamedTuple):
    """How far an engine's log has been copied. ns: Unix time of the last line; lines: how many of that time.

    marks: of the last lines, oldest first. unordered: the clock was set back, so times do not tell what is new.
    """

    ns: int = 0
    lines: int = 0
    size_bytes: int = 0  # of our copy with that line
    marks: Sequence[int] = ()
    unordered: bool = False


class RunningImage(NamedTuple):
    """The image of a live container. digest: what its name meant at the launch."""

    profile: str
    image: str
    digest: str | None
    engine: str


class ContainerStore:
    """Of one open database."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._samples = SampleStore(db)

    def made(self, instance_id: int, container_id: str) -> None:
        """The container of a launch is there."""
        with self._db:
            self._db.execute(_SQL["update_contained"], {"id": instance_id, "container_id": container_id})

    def log_cursor(self, instance_id: int) -> LogCursor:
        """Where copying goes on."""
        text = self._db.execute(_SQL["select_engine_log"], {"id": instance_id}).get
        if not text:
            return LogCursor()
        found = LogCursor(*json.loads(text))
        return found._replace(marks=tuple(found.marks))

    def keep_log_cursor(self, instance_id: int, cursor: LogCursor) -> None:
        """After the lines are in our copy; what stands there beyond size_bytes is copied again."""
        given = {"id": instance_id, "engine_log": json.dumps(list(cursor))}
        with self._db:
            self._db.execute(_SQL["update_engine_log"], given)

    def launches(self, launch_ids: Iterable[str]) -> dict[str, bool]:
        """Of these launches, those that have a row -> whether they are over and done with."""
        given = {"launches": json.dumps(list(launch_ids))}
        return {row[0]: bool(row[1]) for row in self._db.execute(_SQL["select_launches"], given)}

    def images(self) -> tuple[RunningImage, ...]:
        """What runs."""
        return tuple(RunningImage(*row) for row in self._db.execute(_SQL["select_images"]))

    def heard_ts(self, engine: str) -> int | None:
        """Up to when the events of an engine are known."""
        text = self._samples.metadata(f"{_HEARD}{engine}")
        return None if text is None else int(text)

    def keep_heard(self, engine: str, ts: int) -> None:
        """The caller holds the transaction."""
        self._samples.set_metadata(f"{_HEARD}{engine}", str(ts), ts)
