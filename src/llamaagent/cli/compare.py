"""`compare`: real requests of a profile before and after another build, another commit, or a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.base.errors import UsageError
from llamaagent.cli.history import since
from llamaagent.cli.output import emit, emit_object, say
from llamaagent.cli.site import known_names, load, one_name, reading
from llamaagent.domain.comparing import by_size, compare
from llamaagent.store.read import select

if TYPE_CHECKING:
    from llamaagent.cli.spec import Values
    from llamaagent.domain.comparing import Compared
    from llamaagent.store.types import Connection

_SPEEDS = ("tokens_per_second", "prompt_tokens_per_second")
_OF_LAUNCHES = ("memory_mib", "gpu_memory_mib", "load_s", "crashes", "launches")
_COLUMNS = ("figure", "before", "after", "change")


def run(values: Values) -> int:
    """Print both sides."""
    opened = load(values)
    given = _sides(values, opened.clock.now())
    with reading(opened) as db:
        name = one_name(values.text("name") or "", known_names(opened, db))
        if given is None:
            _tell_sides(db, name)
            raise UsageError("compare what?", hint=f"llamaagent compare {name} --since yesterday")
        whole = _compared(db, {**given, "profile": name, "since": 0})
    if values.flag("json") or values.text("format") == "json":
        emit_object(whole)
        return 0
    emit(values, _rows(whole), _COLUMNS)
    _tell(values, whole)
    return 0


def _sides(values: Values, now: int) -> dict[str, str | int] | None:
    """By what the sides are told apart; None when that was not said."""
    made: list[dict[str, str | int]] = []
    for by in ("build", "commit"):
        words = values.many(by)
        if words and len(words) != 2:
            raise UsageError(f"--{by} is given twice: before and after")
        if words and words[0] == words[1]:
            raise UsageError(f"both sides are {words[0]}")
        if words:
            made.append({"by": by, "first": words[0], "second": words[1]})
    if values.text("since"):
        made.append({"by": "time", "first": str(since(values, now)), "second": ""})
    if len(made) > 1:
        raise UsageError("--build, --commit and --since exclude each other")
    return made[0] if made else None


def _compared(db: Connection, given: dict[str, str | int]) -> dict[str, object]:
    requests = select(db, "list_compared", given, "bench").rows
    launches = {
        row["side"]: row
        for row in select(
            db, "list_compared_launches", {k: v for k, v in given.items() if k != "since"}, "bench"
        ).rows
    }
    made: dict[str, object] = {k: v for k, v in given.items() if k != "since"}
    for speed in _SPEEDS:
        sides = [
            by_size(
                ((int(str(r["prompt_size"])), int(str(r["generated_size"]))), _real(r[speed]))
                for r in requests
                if r["side"] == side
            )
            for side in (0, 1)
        ]
        made[speed] = _figures(compare(*sides))
    for figure in _OF_LAUNCHES:
        both = [launches[side][figure] if side in launches else None for side in (0, 1)]
        made[figure] = {"before": both[0], "after": both[1]}
    return made


def _figures(found: Compared) -> dict[str, object]:
    return {
        "before": found.before._asdict(),
        "after": found.after._asdict(),
        "change": found.change,
        "left_out": found.left_out,
        "mix_differs": found.mix_differs,
    }


def _rows(whole: dict[str, object]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for speed in _SPEEDS:
        found = whole[speed]
        assert isinstance(found, dict)  # noqa: S101 - made above
        for part in ("n", "median", "p95"):
            change = found["change"] if part == "median" else None
            told = None if change is None else f"{change:+.1%}"
            rows.append(
                {"figure": f"{speed} {part}", "before": found["before"][part], "after": found["after"][part],
                 "change": told}
            )  # fmt: skip
    for figure in _OF_LAUNCHES:
        found = whole[figure]
        assert isinstance(found, dict)  # noqa: S101 - made above
        rows.append({"figure": figure, **found, "change": None})
    return rows


def _tell(values: Values, whole: dict[str, object]) -> None:
    found = whole["tokens_per_second"]
    if values.flag("quiet") or not isinstance(found, dict):
        return
    if not found["before"]["n"]:
        say("there are no requests of like size on both sides")
    elif found["mix_differs"]:
        say(f"the mix of sizes differs: {found['left_out']} requests have no counterpart and are left out")


def _tell_sides(db: Connection, name: str) -> None:
    for by in ("build", "commit"):
        for row in select(db, "list_sides", {"by": by, "profile": name}, "bench").rows:
            say(f"--{by} {row['name']}: {row['requests']} requests")


def _real(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
