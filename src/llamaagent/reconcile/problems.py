"""What is wrong after a pass, in words, and what of it is news: cron mails only when something changes."""

from __future__ import annotations

import json

from llamaagent.base.record import NamedTuple
from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.shown import is_stuck, state
from llamaagent.domain.wish import Wish, wish
from llamaagent.reconcile.declared import AWAITING

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
    waiting = {name for name, why in result.declared.kept.items() if why == AWAITING}
    if any(action.kind == act.GUARD for action in result.actions):
        waiting |= {name for name, why in result.declared.gone.items() if why == "retired"}
    if waiting:
        names = ", ".join(sorted(waiting))
        found["guard"] = (
            f"no file declares {names} any more, too many at once: they run on; "
            "if that is meant: llamaagent run --once --yes"
        )
    for name, why in result.declared.kept.items():
        if name not in waiting:
            found[f"kept:{name}"] = f"{name}: {why}"
    for name, why in result.declared.rolled_back.items():
        found[f"rollback:{name}"] = f"{name}: {why}"
    return found | _of_profiles(ctx, result) | _refused(result)


def _of_profiles(ctx: Context, result: PassResult) -> dict[str, str]:
    """Profiles that are wanted and do not run as they should."""
    found: dict[str, str] = {}
    overrides = ctx.wishes.overrides()
    rows = {row.profile: row for row in result.rows}
    stuck = [row for row in result.rows if is_stuck(row.status, row.reason)]  # wanted or not
    found |= {f"profile:{one.profile}": f"{one.profile}: stuck ({one.reason}: {one.detail})" for one in stuck}
    for name, profile in sorted(result.declared.profiles.items()):
        row = rows.get(name)
        want = wish(profile, overrides.get(name), ctx.clock.now(), row)
        key = f"profile:{name}"
        if row is None or not want.wanted or key in found:
            continue
        if row.status in {st.CREATED, st.ERROR, st.UNHEALTHY}:
            found[key] = _sentence(name, row, want, ctx.clock.now())
        elif row.status == st.LOADING and row.restarts and (told := _told(ctx).get(key)):
            found[key] = told  # launched again, and not proven yet: no end, and no news
    return found


def _refused(result: PassResult) -> dict[str, str]:
    """Changes that cannot be launched, of profiles whose old launch runs on."""
    rows = {row.profile: row for row in result.rows}
    return {
        f"profile:{a.profile}": f"{a.profile}: its change is refused, the old launch runs on ({a.reason}: {a.detail})"
        for a in result.actions
        if a.kind == act.HOLD and a.profile in rows and rows[a.profile].status in st.LIVE
    }


def _told(ctx: Context) -> dict[str, str]:
    """What was wrong after the pass before."""
    stored = ctx.samples.metadata(_KEY)
    told: dict[str, str] = json.loads(stored) if stored else {}
    return told


def _sentence(name: str, row: Instance, want: Wish, now: int) -> str:
    """Without the seconds to the next try and the number of tries, which would be news again and again."""
    shown = state(
        row.status,
        row.reason,
        wish=want,
        restarts=row.restarts,
        retry_ts=row.retry_ts,
        gave_up=row.gave_up_ts is not None,
        now=now,
    )
    shown = shown.split(", retry in", 1)[0]
    again = row.status == st.ERROR and row.restarts and row.retry_ts is not None
    times = " again and again" if again else ""
    detail = f" ({row.reason}: {row.detail})" if row.detail else f" ({row.reason})"
    return f"{name}: {shown}{times}{detail}"


def news(ctx: Context, found: dict[str, str]) -> News:
    """Compare with what was said last, and remember what is said now."""
    before = _told(ctx)
    if ctx.only is not None:  # a pass for some has nothing new to say about the others
        found = {key: text for key, text in before.items() if not _about(ctx, key, others=False)} | {
            key: text for key, text in found.items() if not _about(ctx, key, others=True)
        }
    if before == found:
        return News((), ())
    with ctx.db:
        ctx.samples.set_metadata(_KEY, json.dumps(found), ctx.clock.now())
    appeared = tuple(text for key, text in found.items() if _matter(before.get(key, "")) != _matter(text))
    ended = tuple(text for key, text in before.items() if key not in found)
    return News(appeared, ended)


def _about(ctx: Context, key: str, *, others: bool) -> bool:
    """Whether a problem is about a profile that this pass acts for, or about one of the others."""
    kind, _, name = key.partition(":")
    return kind in {"kept", "profile", "rollback"} and ctx.chosen(name) != others


def _matter(text: str) -> str:
    """A problem without figures that differ from pass to pass: how much memory is free just now."""
    return "".join(c for c in text if not c.isdigit()) if "(gpu-memory: " in text else text
