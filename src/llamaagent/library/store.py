"""The store that `open_store` gives: repositories over one database, and care of the file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

from llamaagent.library.byname import ByName
from llamaagent.library.cache import CacheRepository
from llamaagent.library.keyvalues import ConfigRepository, MetadataRepository
from llamaagent.library.logs import LogsRepository
from llamaagent.library.models import ModelsRepository
from llamaagent.library.readers import (
    GpusRepository,
    InstancesRepository,
    MetricsRepository,
    QuotasRepository,
    StatsRepository,
)
from llamaagent.library.together import Together
from llamaagent.sql import statements

if TYPE_CHECKING:
    from types import TracebackType

    from llamaagent.base.clock import Clock
    from llamaagent.library.handler import DatabaseHandler
    from llamaagent.library.link import Link
    from llamaagent.store.types import Connection

_MIB = 1 << 20


class Store(ByName):
    """Repositories over one database. Every method may be called from any thread; `with` closes it."""

    def __init__(self, path: str, link: Link, clock: Clock, *, log_level: str, log_to_db: bool) -> None:
        self.path = path
        self._link = link
        self._together = Together(link)
        self.cache = CacheRepository(link, clock)
        self.config = ConfigRepository(link, clock)
        self.metadata = MetadataRepository(link, clock)
        self.logs = LogsRepository(link, clock, level=log_level, enabled=log_to_db)
        self.models = ModelsRepository(link, clock)
        self.instances = InstancesRepository(link)
        self.metrics = MetricsRepository(link, clock, path)
        self.stats = StatsRepository(link, clock)
        self.gpus = GpusRepository(link)
        self.quotas = QuotasRepository(link)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<llamaagent store {self.path} ({self.kind})>"

    @property
    def together(self) -> Together:
        """The way for small writes of many threads, for the parts of this package."""
        return self._together

    @property
    def link(self) -> Link:
        """The way to the database, for the parts of this package."""
        return self._link

    @property
    def kind(self) -> str:
        """`file`; `read-only` when it may not be written; `memory` when it cannot be had; `disabled`."""
        return self._link.kind

    @property
    def problem(self) -> str | None:
        """Why it is not what was asked for, or what went wrong last; None when nothing did."""
        return self._link.problem

    def handler(self, level: int | str | None = None) -> DatabaseHandler:
        """A logging handler that writes to `logs`."""
        from llamaagent.library.handler import DatabaseHandler

        return DatabaseHandler(self, level)

    def get_db_stats(self) -> dict[str, Any]:
        """file_size_mb (WAL included), cache_entries, cache_size_mb, stats_entries, log_entries; MB are MiB."""
        counted = self._link.read(_count, (0, 0, 0, 0))
        return {
            "file_size_mb": _size(self.path) / _MIB if self.kind in {"file", "read-only"} else 0.0,
            "cache_entries": counted[0],
            "cache_size_mb": counted[1] / _MIB,
            "stats_entries": counted[2],
            "log_entries": counted[3],
        }

    def vacuum(self) -> bool:
        """Give free pages back and renew the planner's statistics; False when that could not be done."""
        if self.kind != "file":
            return False
        return self._link.work(self._vacuum, False)

    def _vacuum(self, db: Connection) -> bool:
        from llamaagent.store.vacuum import vacuum

        vacuum(db, self.path)
        return True

    def close(self) -> None:
        """Close it; what is asked afterwards gets default answers."""
        self._link.close()


def _count(db: Connection) -> tuple[int, int, int, int]:
    row = db.execute(statements("library").count_entries).fetchone()
    return (0, 0, 0, 0) if row is None else (int(row[0]), int(row[1]), int(row[2]), int(row[3]))


def _size(path: str) -> int:
    return sum(os.stat(name).st_size for name in (path, f"{path}-wal") if os.path.exists(name))
