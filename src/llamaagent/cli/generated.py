"""`stats summary` and `stats history`: generations in figures and one by one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from llamaagent.base.errors import UsageError
from llamaagent.cli.history import since
from llamaagent.cli.output import emit, emit_object, say
from llamaagent.cli.rows import moment
from llamaagent.cli.site import known_names, load, matching, reading
from llamaagent.store.read import select

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.store.read import Table
    from llamaagent.store.types import Connection

_END = 1 << 62
_SHOWN = (
    "generations", "tokens", "tokens_per_second", "median_tokens_per_second", "p95_tokens_per_second",
    "prompt_tokens_per_second", "first_token_ms", "cache_hit_rate",
)  # fmt: skip
_LINE = (
    "at", "profile", "client", "session_id", "prompt_tokens", "cached_tokens", "generated_tokens", "tokens_per_second",
    "total_time_ms", "finish_reason", "cache_hit",
)  # fmt: skip
_WORDS = {"name": "group"}


def summary(values: Values) -> int:
    """Totals with typical speeds, for all together or by --by."""
    opened = load(values)
    with reading(opened) as db:
        given = _given(values, opened, db)
        by = values.text("by")
        if by is not None:
            table = select(db, "list_figures", {**given, "by": by}, "generations")
            _print_groups(values, table)
            return 0
        parts = {
            word: select(db, "list_figures", {**given, "by": word}, "generations").rows
            for word in ("all", "model", "day")
        }
    whole = summarized(parts)
    if values.flag("json") or values.text("format") in {"json", "jsonl"}:
        emit_object(whole)
    elif values.text("format") not in {None, "table"}:
        raise UsageError("without --by there is one object: --format csv needs --by model")
    else:
        _print_whole(values, whole)
    return 0


def summarized(parts: Mapping[str, tuple[dict[str, object], ...]]) -> dict[str, object]:
    """The keys that people know, and the typical speeds beside them."""
    row = dict(parts["all"][0]) if parts["all"] else {}
    made: dict[str, object] = {
        "total_generations": row.pop("generations", 0),
        "total_tokens": row.pop("tokens", 0),
        "avg_tokens_per_second": row.pop("tokens_per_second", None),
        "cache_hit_rate": row.pop("cache_hit_rate", None),
    }
    row.pop("name", None)
    row["avg_prompt_tokens_per_second"] = row.pop("prompt_tokens_per_second", None)
    row["avg_first_token_ms"] = row.pop("first_token_ms", None)
    by_model = {str(one["name"]): {k: v for k, v in one.items() if k != "name"} for one in parts["model"]}
    by_day = [{"day": one["name"], **{k: v for k, v in one.items() if k != "name"}} for one in parts["day"]]
    return {**made, **row, "by_model": by_model, "by_day": by_day}


def _print_groups(values: Values, table: Table) -> None:
    rows = [{_WORDS.get(name, name): value for name, value in row.items()} for row in table.rows]
    columns = tuple(_WORDS.get(name, name) for name in table.columns)
    emit(values, rows, columns, shown=("group", *_SHOWN), empty="no requests in that time")


def _print_whole(values: Values, whole: dict[str, object]) -> None:
    if not whole["total_generations"]:
        if not values.flag("quiet"):
            say("no requests in that time")
        return
    for name, value in whole.items():
        if name in {"by_model", "by_day"} or value is None:
            continue
        told = (
            moment(value) if name.endswith("_ts") else f"{value:.4g}" if isinstance(value, float) else value
        )
        print(f"{name.removesuffix('_ts').replace('_', ' '):32} {told}")


def history(values: Values) -> int:
    """Generations, newest first, page by page."""
    opened = load(values)
    limit = values.number("limit") or 50
    before = _place(values.text("before"))
    with reading(opened) as db:
        given = _given(values, opened, db) | {"session": values.text("session"), "limit": limit}
        given |= {"before_ts": before[0], "before_id": before[1]}
        table = select(db, "list_history", given, "generations")
    rows = [dict(row) for row in table.rows]
    for row in rows:
        row["at"] = moment(row["ts"])
        row["gpus"] = json.loads(str(row["gpus"])) if row["gpus"] else []
        row["cache_hit"] = bool(row["cache_hit"])
    emit(values, rows, table.columns, shown=_LINE, empty="no requests in that time")
    table_shown = not values.flag("json") and values.text("format") in {None, "table"}
    if len(rows) == limit and table_shown and not values.flag("quiet"):
        say(f"older ones: llamaagent stats history --before {rows[-1]['ts']}:{rows[-1]['id']}")
    return 0


def _given(values: Values, opened: Opened, db: Connection) -> dict[str, str | int | None]:
    now = opened.clock.now()
    profiles = None
    if values.many("name"):
        profiles = json.dumps(sorted(matching(values.many("name"), known_names(opened, db))))
    until = since(values, now, "until") if values.text("until") else _END
    return {"since": since(values, now), "until": until, "profiles": profiles}


def _place(text: str | None) -> tuple[int, int]:
    """The row before which a page begins: TS:ID, as the last page told."""
    if text is None:
        return _END, 0
    ts, _, row = text.partition(":")
    if not ts.isdigit() or not row.isdigit():
        raise UsageError("--before takes TIME:ID, as the page before told it")
    return int(ts), int(row)
