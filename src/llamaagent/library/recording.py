"""What a program measured or generated itself, into the tables that the agent writes too."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from llamaagent.base.errors import BadInputError
from llamaagent.sql import statements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.store.types import Connection

_SQL = statements("library")
_CARDS = statements("imports")
_CARD = {"uuid": "program:cards", "idx": 0, "name": "cards as programs told"}
_SHARES = ("memory", "swap", "disk")
_METRICS = (
    *("cpu_usage", "memory_usage", "disk_usage", "swap_usage", "active_models", "uptime"),
    *("gpu_usage", "gpu_memory_used", "gpu_memory_total", "gpu_temperature", "gpu_power_usage"),
)
_GENERATION = (
    *(
        "model_name",
        "prompt_tokens",
        "generated_tokens",
        "total_tokens",
        "prompt_time_ms",
        "generation_time_ms",
    ),
    *("total_time_ms", "tokens_per_second", "temperature", "max_tokens", "finish_reason", "session_id"),
)
_COUNTS = frozenset(("prompt_tokens", "generated_tokens", "total_tokens", "max_tokens"))
_MOST = 1e12  # no generation has as many tokens, or takes as long
_TEXTS = frozenset(("model_name", "finish_reason", "session_id"))


def store_metrics(db: Connection, values: Mapping[str, Any], folder: str, now: int) -> bool:
    """One row of the machine, and one of all its cards together; False when this second has one already.

    values: columns of the view `metrics`, percentages from 0 to 100, MiB, seconds. folder: on the disk that
    `disk_usage` is of. The caller holds the transaction. Raises BadInputError for an unknown key or no number.
    """
    from llamaagent.store.rollups import LateSample
    from llamaagent.store.samples import SampleStore

    given = _numbers(values)
    row: dict[str, Any] = {"ts": now, "cpu_permille": _times(given.get("cpu_usage"), 10)}
    row |= {
        "active_instances": _times(given.get("active_models"), 1),
        "uptime_s": _times(given.get("uptime"), 1),
    }
    totals = _totals(db, folder)
    row["cpu_cores"] = totals["cpu"]
    for word in _SHARES:
        total, share = totals[word], given.get(f"{word}_usage")
        row[f"{word}_total_mib"] = total
        row[f"{word}_used_mib"] = None if share is None or total is None else round(share * total / 100)
    with LateSample(db, now) if SampleStore(db).is_behind(now) else nullcontext():
        if not db.execute(_SQL["insert_metrics"], row).fetchall():
            return False
        if any(given.get(name) for name in _METRICS if name.startswith("gpu")):
            _store_cards(db, given, now)
    return True


def _store_cards(db: Connection, given: Mapping[str, float | None], now: int) -> None:
    total = _times(given.get("gpu_memory_total"), 1)
    db.execute(_CARDS["insert_gpu"], {**_CARD, "memory_total_mib": total, "ts": now})
    found = db.execute(_CARDS["select_gpu"], {"uuid": _CARD["uuid"]}).fetchone()
    card = {
        "ts": now,
        "gpu_id": None if found is None else found[0],
        "utilization_percent": _times(given.get("gpu_usage"), 1),
        "memory_total_mib": total,
        "memory_used_mib": _times(given.get("gpu_memory_used"), 1),
        "temperature_celsius": _times(given.get("gpu_temperature"), 1),
        "power_mw": _times(given.get("gpu_power_usage"), 1000),
    }
    db.execute(_CARDS["insert_gpu_sample"], card)


def _numbers(values: Mapping[str, Any]) -> dict[str, float | None]:
    given: dict[str, float | None] = {}
    for name, value in values.items():
        if name not in _METRICS:
            raise BadInputError(f"{name!r} is no metric: {', '.join(_METRICS)}")
        if value is not None and (isinstance(value, str) or not 0 <= float(value) < 1e12):
            raise BadInputError(f"{name} must be a number that is not negative, not {value!r}")
        given[name] = None if value is None else float(value)
    return given


def _totals(db: Connection, folder: str) -> dict[str, int | None]:
    """What percentages are of: as the agent measured it last, else as it is here."""
    row = db.execute(_SQL["select_totals"]).fetchone()
    if row is not None:
        return dict(zip(("cpu", "memory", "swap", "disk"), row, strict=True))
    from llamaagent.base.paths import HostPaths
    from llamaagent.collect.disk import measure_space
    from llamaagent.collect.memory import parse_meminfo, read_meminfo

    memory, disk = parse_meminfo(read_meminfo(HostPaths()) or b""), measure_space(folder)
    found = {"cpu": os.cpu_count(), "memory": memory.total_mib, "swap": memory.swap_total_mib}
    return {**found, "disk": None if disk is None else disk.total_mib}


def _times(value: float | None, factor: int) -> int | None:
    return None if value is None else round(value * factor)


def generation_row(
    model_path: str,
    response: object,
    config: object,
    figures: Mapping[str, Any],
    *,
    cache_hit: bool,
    now: int,
) -> dict[str, Any]:
    """The row of a generation. Raises BadInputError for a figure that is not known.

    response: what llama-server answered (its JSON), or an object or mapping with figures by our names, also below
    `stats`. config: likewise, for temperature and max_tokens. figures: go before both.
    """
    unknown = set(figures) - set(_GENERATION)
    if unknown:
        raise BadInputError(f"{min(unknown)!r} is no figure of a generation: {', '.join(_GENERATION)}")
    row: dict[str, Any] = dict.fromkeys(_GENERATION)
    for source in (config, _field(response, "stats"), response, _answer(response), figures):
        row |= {
            name: value for name in _GENERATION if (value := _plain(name, _field(source, name))) is not None
        }
    prompt, generated, took = row["prompt_tokens"], row["generated_tokens"], row["total_time_ms"]
    if row["total_tokens"] is None and prompt is not None and generated is not None:
        row["total_tokens"] = prompt + generated
    times = (row["prompt_time_ms"], row["generation_time_ms"])
    if took is None and None not in times:
        row["total_time_ms"] = took = sum(times)
    if row["tokens_per_second"] is None and generated and times[1]:
        row["tokens_per_second"] = generated * 1000 / times[1]
    row["prompt_tokens_per_second"] = prompt * 1000 / times[0] if prompt and times[0] else None
    row["started_ts"] = None if took is None else now - int(took // 1000)
    return {**row, "model_path": model_path, "cache_hit": int(cache_hit), "ts": now}


def _answer(response: object) -> dict[str, Any]:
    """Figures out of llama-server's JSON, of its own and of OpenAI's form."""
    usage, timings = _field(response, "usage"), _field(response, "timings")
    choices = _field(response, "choices")
    first = choices[0] if isinstance(choices, (list, tuple)) and choices else None
    return {
        "model_name": _field(response, "model"),
        "prompt_tokens": _field(usage, "prompt_tokens", _field(timings, "prompt_n")),
        "generated_tokens": _field(usage, "completion_tokens", _field(timings, "predicted_n")),
        "total_tokens": _field(usage, "total_tokens"),
        "prompt_time_ms": _field(timings, "prompt_ms"),
        "generation_time_ms": _field(timings, "predicted_ms"),
        "tokens_per_second": _field(timings, "predicted_per_second"),
        "finish_reason": _field(first, "finish_reason"),
    }


def _field(source: object, name: str, otherwise: Any = None) -> Any:
    found = source.get(name) if hasattr(source, "get") else getattr(source, name, None)
    return otherwise if found is None else found


def _plain(name: str, value: Any) -> Any:
    """What the figure's column takes, None for what it does not: a text, a whole number, one that can be."""
    if name in _TEXTS:
        return value if isinstance(value, str) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1 <= value < _MOST:
        return None
    return round(value) if name in _COUNTS else float(value)
