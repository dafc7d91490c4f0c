"""What is wrong after a pass, in words, and what of it is news: cron mails only when something changes."""

from __future__ import annotations

import json

from llamaagent.base.record import NamedTuple
from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.shown import state
from llamaagent.domain.wish import Wish, wish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.passes import PassResult

_KEY = "problems"


class News(NamedTuple):
    """appeared and changed: text to say; ended: what was wrong and is not any more."""

    appeared: tuple[str, ...]
    ended: tuple[str, ...]


def problems(ctx: Context, result: PassResult) -> dict[str, str]:
    """Everything wrong now: a stable key, and a sentence whose words change only when the matter does."""
    found: dict[str, str] = {}
    for fault in ctx.site.faults:
        if fault.severity == "error":
            found[f"file:{fault.file}:{fault.line}:{fault.message}"] = str(fault)
    for folder in ctx.site.folders:
        if folder.error is not None:
            found[f"folder:{folder.path}"] = f"{folder.path}: {folder.error}"
    for name, why in result.declared.kept.items():
        found[f"kept:{name}"] = f"{name}: {why}"
    guards = [a for a in result.actions if a.kind == act.GUARD]
    if guards:
        found["guard"] = f"{guards[0].detail}; approve with: llamaagent run --once --yes"
    overrides = ctx.wishes.overrides()
    rows = {row.profile: row for row in result.rows}
    for name, profile in sorted(result.declared.profiles.items()):
        row = rows.get(name)
        want = wish(profile, overrides.get(name), ctx.clock.now())
        if row is not None and want.wanted and row.status in {st.CREATED, st.ERROR, st.UNHEALTHY}:
            found[f"profile:{name}"] = _sentence(name, row, want, ctx.clock.now())
    return found


def _sentence(name: str, row: Instance, want: Wish, now: int) -> str:
    """Without the seconds to the next try, which would be news on every pass."""
    shown = state(row.status, row.reason, wish=want, restarts=row.restarts, retry_ts=row.retry_ts, now=now)
    shown = shown.split(", retry in", 1)[0]
    times = f", {row.restarts + 1} times in a row" if row.status == st.ERROR and row.restarts else ""
    detail = f" ({row.reason}: {row.detail})" if row.detail else f" ({row.reason})"
    return f"{name}: {shown}{times}{detail}"


def news(ctx: Context, found: dict[str, str]) -> News:
    """Compare with what was said last, and remember what is said now."""
    stored = ctx.samples.metadata(_KEY)
    before: dict[str, str] = json.loads(stored) if stored else {}
    if before == found:
        return News((), ())
    with ctx.db:
        ctx.samples.set_metadata(_KEY, json.dumps(found), ctx.clock.now())
    appeared = tuple(text for key, text in found.items() if before.get(key) != text)
    ended = tuple(text for key, text in before.items() if key not in found)
    return News(appeared, ended)
