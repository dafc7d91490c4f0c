"""A database that is sampled as a pass samples it, and a plain account of everything that was ever measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llamaagent.domain.sample import GpuSample, InstanceSample, SystemSample
from llamaagent.store.connect import open_database
from llamaagent.store.rollups import LateSample
from llamaagent.store.samples import PassFacts, SampleStore

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from apsw import Connection

BOOT = "boot-1"
GAUGES = {
    "system": ("cpu_permille", "memory_used_mib", "load_1min_centi"),
    "gpu": ("utilization_percent", "power_mw"),
    "instance": ("cpu_permille", "rss_kib", "requests_processing"),
}
COUNTERS = {
    "system": ("disk_read_bytes", "network_tx_bytes", "requests"),
    "gpu": (),
    "instance": ("read_bytes", "predicted_tokens"),
}
KEYS = {"system": None, "gpu": "gpu_id", "instance": "instance_id"}
RESOLUTIONS = (300, 3600, 86400)


class Moment(NamedTuple):
    """What one pass measures. instances: id -> its figures; cards: number -> its figures."""

    ts: int
    interval_s: int | None
    system: dict[str, int | None]
    instances: dict[int, dict[str, int | None]]
    cards: dict[int, dict[str, int | None]]
    step_s: int | None = None
    late_requests: int = 0


def _grow(row: dict[str, Any], given: dict[str, int | None], counters: tuple[str, ...]) -> None:
    """A second measurement of the same second adds its growth."""
    for name in counters:
        if given.get(name) is not None:
            row[name] = (row.get(name) or 0) + (given.get(name) or 0)


class Sampled:
    """The database, and by its side every row that was ever written, by table and (time, subject)."""

    def __init__(self, path: Path | str, instances: int = 3) -> None:
        self.db: Connection = open_database(str(path))
        self.samples = SampleStore(self.db)
        self.written: dict[str, dict[tuple[int, int], list[dict[str, Any]]]] = {name: {} for name in KEYS}
        self.replaced: set[tuple[int, int]] = set()  # time and card of a reading that a later one replaced
        with self.db:
            for number in range(1, instances + 1):
                self.db.execute(
                    "INSERT OR IGNORE INTO instances (id, profile, kind, status, since_ts, created_ts)"
                    " VALUES (?, ?, 'process', 'stopped', 1, 1)",
                    (number, f"p{number}"),
                )

    def take(self, moment: Moment) -> None:
        """Store a pass's samples as reconcile/record.py does, and remember them."""
        there = self._there(moment.ts)
        with self.db, self.in_time(moment.ts):
            facts = PassFacts(
                moment.interval_s,
                BOOT,
                len(moment.instances),
                0,
                moment.system.get("requests") or 0,
                moment.step_s,
            )
            figures = {key: value for key, value in moment.system.items() if key != "requests"}
            self.samples.add_system(SystemSample(cpu_cores=4, **figures), facts, moment.ts)
            cards = [GpuSample(f"GPU-{n}", n, "card", **given) for n, given in moment.cards.items()]
            self.samples.add_gpus(cards, (), BOOT, moment.ts)
            for number, given in moment.instances.items():
                self.samples.add_instance(InstanceSample(number, **given), moment.ts)
        with self.db:
            self.samples.count_requests(moment.late_requests, moment.ts)
        self._remember(moment, there)

    def in_time(self, ts: int) -> AbstractContextManager[None]:
        from contextlib import nullcontext

        return LateSample(self.db, ts) if self.samples.is_behind(ts) else nullcontext()

    def _remember(self, moment: Moment, there: dict[str, set[int]]) -> None:
        """there: whose rows of this very second were in the tables before. A deleted one may be measured again."""
        ts = moment.ts
        requests = (moment.system.get("requests") or 0) + moment.late_requests
        elapsed = None if moment.interval_s is None else max(0, moment.interval_s - (moment.step_s or 0))
        if there["system"]:
            first = self.written["system"][ts, 0][-1]
            first["requests"] += requests
            _grow(first, moment.system, COUNTERS["system"][:2])
            elapsed = first["elapsed"]
        else:
            self._add("system", ts, 0, {**moment.system, "requests": requests}, elapsed)
        ids = dict(self.db.execute("SELECT idx, id FROM gpus").fetchall())
        for number, given in moment.cards.items():
            card = int(str(ids[number]))
            if card in there["gpu"]:  # the later reading of a second is kept
                self.replaced.add((ts, card))
                self.written["gpu"][ts, card][-1] = {**given, "elapsed": elapsed}
            else:
                self._add("gpu", ts, card, given, elapsed)
        for number, given in moment.instances.items():
            if number not in there["instance"]:
                self._add("instance", ts, number, given, elapsed)
            else:
                _grow(self.written["instance"][ts, number][-1], given, COUNTERS["instance"])

    def _add(self, table: str, ts: int, subject: int, given: dict[str, Any], elapsed: int | None) -> None:
        self.written[table].setdefault((ts, subject), []).append({**given, "elapsed": elapsed})

    def _there(self, ts: int) -> dict[str, set[int]]:
        return {
            table: {
                int(str(row[0]))
                for row in self.db.execute(f"SELECT {key or 0} FROM {table}_samples WHERE ts = ?", (ts,))
            }
            for table, key in KEYS.items()
        }

    def rolled(self) -> dict[int, int]:
        """The watermarks by resolution."""
        found = dict(
            self.db.execute("SELECT key, CAST(value AS INTEGER) FROM metadata WHERE key LIKE 'rollup_%_ts'")
        )
        return {size: int(found.get(f"rollup_{size}_ts", 0)) for size in RESOLUTIONS}

    def line(self, key: str) -> int:
        """One of the lines of store/rollups.py, 0 when it is not there."""
        row = self.db.execute("SELECT value FROM metadata WHERE key = ?", (key,)).fetchone()
        return 0 if row is None else int(str(row[0]))

    def expected(self, table: str, size: int, upto: int) -> dict[tuple[int, int], dict[str, Any]]:
        """The roll-ups of everything written, reckoned by hand."""
        buckets: dict[tuple[int, int], list[dict[str, Any]]] = {}
        for (ts, subject), rows in self.written[table].items():
            if ts // size * size + size <= upto:
                buckets.setdefault((ts // size * size, subject), []).extend(rows)
        return {key: self._sum(table, rows) for key, rows in buckets.items()}

    @staticmethod
    def _sum(table: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {"n": len(rows)}
        spans = [row["elapsed"] for row in rows if row["elapsed"] is not None]
        made["covered_s"] = sum(spans) if spans else None
        for gauge in GAUGES[table]:
            values = [row[gauge] for row in rows if row.get(gauge) is not None]
            made[f"{gauge}_n"] = len(values)
            made[f"{gauge}_sum"] = sum(values) if values else None
            made[f"{gauge}_min"] = min(values, default=None)
            made[f"{gauge}_max"] = max(values, default=None)
        for counter in COUNTERS[table]:
            values = [row[counter] for row in rows if row.get(counter) is not None]
            made[counter] = sum(values) if values else None
        return made

    def stored(self, table: str, size: int, upto: int) -> dict[tuple[int, int], dict[str, Any]]:
        """The roll-ups as they are in the database."""
        names = list(self._sum(table, []))
        subject = KEYS[table] or "0"
        rows = self.db.execute(
            f"SELECT ts, {subject}, {', '.join(names)} FROM {table}_rollups WHERE resolution_s = ? AND ts + ? <= ?",
            (size, size, upto),
        )
        return {(row[0], row[1]): dict(zip(names, row[2:], strict=True)) for row in rows}

    def check(self) -> None:
        """Every resolution holds exactly what was measured up to its watermark, from where it is kept on."""
        for size, upto in self.rolled().items():
            kept = self.line(f"rollup_{size}_from_ts")
            for table in KEYS:
                wanted = {k: v for k, v in self.expected(table, size, upto).items() if k[0] >= kept}
                found = {k: v for k, v in self.stored(table, size, upto).items() if k[0] >= kept}
                if table == "gpu":
                    wanted, found = self._but_for_replaced(wanted, size), self._but_for_replaced(found, size)
                assert found == wanted, (table, size)

    def _but_for_replaced(
        self, made: dict[tuple[int, int], dict[str, Any]], size: int
    ) -> dict[tuple[int, int], dict[str, Any]]:
        """Where a later reading replaced one, least and greatest may still be the first one's, and no sum be 0."""
        buckets = {(ts // size * size, card) for ts, card in self.replaced}
        return {
            key: {k: v or 0 for k, v in row.items() if not k.endswith(("_min", "_max"))}
            if key in buckets
            else row
            for key, row in made.items()
        }
