"""`bench`: a fixed load on one server, measured and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.base.errors import UsageError
from llamaagent.cli.asking import prepare
from llamaagent.cli.output import emit, say
from llamaagent.cli.rows import moment
from llamaagent.cli.site import known_names, load, one_name, reading
from llamaagent.store.read import select

if TYPE_CHECKING:
    from llamaagent.cli.spec import Values
    from llamaagent.generate.load import Level, Measured

_COLUMNS = (
    "tool", "prompt_tokens", "generated_tokens", "concurrency", "requests", "failed", "duration_ms",
    "prompt_tokens_per_second", "tokens_per_second", "total_tokens_per_second", "first_token_ms", "first_token_p95_ms",
)  # fmt: skip
_SHOWN = ("at", *_COLUMNS[:5], *_COLUMNS[7:10], "first_token_ms", "build", "git_commit")


def run(values: Values) -> int:
    """Measure, or show what was measured."""
    if values.flag("list"):
        return _listing(values)
    from llamaagent.library.benching import measure, measure_by_tool

    levels = _levels(values)
    requests = values.number("requests") or 8
    ready = prepare(values, values.text("name"))
    clock, patience = ready.opened.clock, ready.rules.timeout_s
    rows = []
    for found in measure(ready.asker, ready.name, levels, requests, clock, patience):
        rows.append(_row("server", found))
        if found.fault is not None:
            say(f"{found.failed} of {found.requests} requests failed: {found.fault}")
    if values.flag("tool"):
        by_tool = measure_by_tool(ready.asker, ready.name, levels, clock, patience)
        rows += [_row("llama-batched-bench", found) for found in by_tool]
    emit(values, rows, _COLUMNS)
    return 0


def _row(tool: str, found: Measured) -> dict[str, object]:
    made = {**found.level._asdict(), **found._asdict(), "tool": tool}
    return {name: made[name] for name in _COLUMNS}


def _levels(values: Values) -> list[Level]:
    from llamaagent.generate.load import Level

    prompts = _numbers(values, "prompt", "64,512", "--prompt-tokens")
    written = _numbers(values, "n_predict", "64", "--n-predict")
    at_once = _numbers(values, "at_once", "1,4", "--concurrency")
    return [Level(p, w, c) for p in prompts for w in written for c in at_once]


def _numbers(values: Values, name: str, default: str, option: str) -> list[int]:
    words = (values.text(name) or default).split(",")
    if not all(word.strip().isdigit() and int(word) > 0 for word in words):
        raise UsageError(f"{option} takes numbers with commas between, such as {default}")
    return [int(word) for word in words]


def _listing(values: Values) -> int:
    opened = load(values)
    with reading(opened) as db:
        name = one_name(values.text("name") or "", known_names(opened, db))
        given = {"profile": name, "limit": values.number("limit") or 50}
        table = select(db, "list_benchmarks", given, "bench")
    rows = [{**row, "at": moment(row["ts"])} for row in table.rows]
    emit(values, rows, table.columns, shown=_SHOWN, empty=f"nothing was measured: llamaagent bench {name}")
    return 0
