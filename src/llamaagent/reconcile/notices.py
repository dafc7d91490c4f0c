"""From what is news to rows of `notifications`: one for each change, in the transaction that remembers the change."""

from __future__ import annotations

import json

from llamaagent.store.notices import NoticeStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.problems import News, Problem

_LONGEST_TEXT = 2000
RECOVERED = "recovered"


def write(ctx: Context, told: News) -> None:
    """Note what is to be sent. The caller holds the transaction."""
    store = NoticeStore(ctx.db)
    made = [*told.passed, *told.appeared]
    made += [_recovered(ctx, f"profile:{one.profile}", one.text) for one in told.passed]
    made += [_recovered(ctx, key, text) for key, text in told.ended]
    now = ctx.clock.now()
    for problem in made:
        if problem.event in ctx.settings.notify_on:
            store.add(problem.event, problem.profile, json.dumps(payload(ctx, problem, now)), now)


def _recovered(ctx: Context, key: str, text: str) -> Problem:
    from llamaagent.reconcile.problems import Problem

    kind, _, name = key.partition(":")
    profile = name if kind in {"profile", "kept"} else None
    row = next((row for row in ctx.instances.newest() if row.profile == profile), None)
    return Problem(
        f"ended: {text}",
        "",
        RECOVERED,
        profile,
        state=row.status if row is not None else None,
        reason=row.reason if row is not None else None,
        detail=text,
    )


def payload(ctx: Context, problem: Problem, now: int) -> dict[str, object]:
    """The JSON object that the command reads; unknown values are null. No secrets: only what `status` shows too."""
    from datetime import UTC, datetime

    return {
        "event": problem.event,
        "profile": problem.profile,
        "state": problem.state,
        "reason": problem.reason,
        "detail": None if problem.detail is None else problem.detail[:_LONGEST_TEXT],
        "text": problem.text[:_LONGEST_TEXT],
        "time": datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z"),
        "ts": now,
        "host": ctx.settings.host,
        "site": ctx.settings.file or (ctx.settings.profiles[0] if ctx.settings.profiles else ""),
    }
