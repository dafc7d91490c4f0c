"""Roll-ups of samples that another program measured: reckoned row by row, added to the buckets, memory bounded.

A row counts in the day, the hour and the five minutes that it lies in, as far back as each of them is kept.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from apsw import Connection, SQLiteValue

    Row = dict[str, SQLiteValue]
    Key = tuple[str, int, int, int]  # series, resolution, start, which card or instance

_DAY_S = 86400
KEPT_S = {300: 90 * _DAY_S, 3600: 730 * _DAY_S, _DAY_S: None}  # resolution -> how long its buckets are kept
_MOST_OPEN = 20_000


class Series(NamedTuple):
    """One kind of samples. key: the column that tells them apart, None when there is one of it at a time."""

    name: str
    key: str | None
    gauges: tuple[str, ...]
    greatest: tuple[str, ...] = ()
    sums: tuple[str, ...] = ()


SYSTEM = Series(
    "system",
    None,
    (
        "cpu_permille",
        "memory_used_mib",
        "memory_available_mib",
        "swap_used_mib",
        "load_1min_centi",
        "disk_used_mib",
        "active_instances",
    ),
    ("memory_total_mib", "disk_total_mib"),
    ("requests",),
)
GPU = Series(
    "gpu",
    "gpu_id",
    ("utilization_percent", "memory_used_mib", "temperature_celsius", "power_mw"),
    ("memory_total_mib",),
)
INSTANCE = Series(
    "instance",
    "instance_id",
    ("cpu_permille", "rss_kib", "gpu_memory_mib", "gpu_utilization_percent"),
    (),
    ("read_bytes", "write_bytes"),
)


class Rolls:
    """Buckets that are being filled; `flush` adds them to the database, in the caller's transaction."""

    def __init__(self, db: Connection, now: int) -> None:
        self._db = db
        self._now = now
        self._open: dict[Key, Row] = {}
        self._last: dict[
            tuple[str, int], int
        ] = {}  # the time of what was counted last, by what tells series apart
        self.used = False
        self._series = {series.name: series for series in (SYSTEM, GPU, INSTANCE)}
        self._sql = statements("import_rollups")

    def add(self, series: Series, row: Row) -> None:
        """Count one sample. row: its columns, `ts` and what tells its series apart; `interval_s` if it is known."""
        ts, which = _whole(row["ts"]), _which(series, row)
        self.used, self._last[series.name, which] = True, ts
        for resolution, kept in KEPT_S.items():
            start = ts // resolution * resolution
            if kept is not None and start < self._now - kept:  # no bucket of which only a part is there
                continue
            bucket = self._open.get((series.name, resolution, start, which))
            if bucket is None:
                bucket = _empty(series, resolution, start, which)
                self._open[series.name, resolution, start, which] = bucket
            _count(series, bucket, row)
        if len(self._open) > _MOST_OPEN:
            self.flush()

    def is_last(self, series: Series, row: Row) -> bool:
        """Whether the sample counted last was of the same second; other programs write such rows one after another."""
        return self._last.get((series.name, _which(series, row))) == row["ts"]

    def flush(self) -> None:
        """Write what is open."""
        for (name, _, _, _), bucket in self._open.items():
            self._db.execute(self._sql[f"merge_{name}"], bucket)
        self._open.clear()


def _empty(series: Series, resolution: int, start: int, which: int) -> Row:
    bucket: Row = {"resolution_s": resolution, "ts": start, "n": 0, "covered_s": None}
    if series.key:
        bucket[series.key] = which
    for gauge in series.gauges:
        bucket |= {f"{gauge}_n": 0, f"{gauge}_sum": None, f"{gauge}_min": None, f"{gauge}_max": None}
    return bucket | dict.fromkeys((*series.greatest, *series.sums))


def _count(series: Series, bucket: Row, row: Row) -> None:
    bucket["n"] = _whole(bucket["n"]) + 1
    _plus(bucket, "covered_s", row.get("interval_s"))
    for gauge in series.gauges:
        value = row.get(gauge)
        if isinstance(value, int):
            least, most = bucket[f"{gauge}_min"], bucket[f"{gauge}_max"]
            bucket[f"{gauge}_n"] = _whole(bucket[f"{gauge}_n"]) + 1
            _plus(bucket, f"{gauge}_sum", value)
            bucket[f"{gauge}_min"] = value if least is None else min(_whole(least), value)
            bucket[f"{gauge}_max"] = value if most is None else max(_whole(most), value)
    for name in series.greatest:
        value = row.get(name)
        if isinstance(value, int):
            bucket[name] = max(_whole(bucket[name]), value)
    for name in series.sums:
        _plus(bucket, name, row.get(name))


def _plus(bucket: Row, name: str, value: SQLiteValue) -> None:
    if isinstance(value, int):
        bucket[name] = _whole(bucket[name]) + value


def _which(series: Series, row: Row) -> int:
    return _whole(row[series.key]) if series.key else 0


def _whole(value: SQLiteValue) -> int:
    return value if isinstance(value, int) else 0
