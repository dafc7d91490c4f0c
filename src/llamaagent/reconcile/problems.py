"""What is wrong after a pass, in words, and what of it is news: cron mails only when something changes.

A problem of a profile begins when it is seen and ends when its server is proven: it runs, and where it had ended
more than once it has run for `restart.reset_after`. So a server that crashes again and again is one problem, told
once. What is told is stored after it was said: an agent that is killed between the two says it twice, not never.
"""

from __future__ import annotations

import json

from llamaagent.base.record import NamedTuple
from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.shown import is_problem, is_stuck, state, wants
from llamaagent.domain.wish import Wish, wish
from llamaagent.reconcile.declared import AWAITING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.collect.disk import Shortage
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.passes import PassResult

_KEY = "problems"
_CURSOR = (
    "problems_decision"  # the last decision that was looked at for what came and went between two passes
)
_FIGURES = act.ROOM | {"disk"}  # reasons whose details differ from pass to pass
_DISK_RELIEF_PERCENT = 110  # of the headroom must be free before a short disk is short no more


class Problem(NamedTuple):
    """One thing that is wrong. matter: what makes it another problem when it changes; text may differ freely."""

    text: str
    matter: str
    event: str  # the word of `notify.on`
    profile: str | None = None
    state: str | None = None
    reason: str | None = None
    detail: str | None = None


class News(NamedTuple):
    """What is to be said, and what to remember once it was said.

    passed: came and went since the pass before. after: what is wrong now, None = the same as before.
    """

    appeared: tuple[Problem, ...]
    ended: tuple[tuple[str, str], ...]  # key and text of what was wrong and is not any more
    passed: tuple[Problem, ...] = ()
    after: dict[str, Problem] | None = None
    cursor: int | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """The same as text."""
        return (
            *(problem.text for problem in (*self.passed, *self.appeared)),
            *(f"ended: {text}" for _, text in self.ended),
        )


def problems(ctx: Context, result: PassResult) -> dict[str, Problem]:
    """Everything wrong now: a stable key, and what is wrong."""
    found: dict[str, Problem] = {}
    for fault in ctx.site.faults:
        if fault.severity == "error":
            found[f"file:{fault.file}:{fault.line}:{fault.message}"] = declaration(str(fault), fault.profile)
    for folder in ctx.site.folders:
        if folder.error is not None:
            found[f"folder:{folder.path}"] = declaration(f"{folder.path}: {folder.error}")
    waiting = {name for name, why in result.declared.kept.items() if why == AWAITING}
    if any(action.kind == act.GUARD for action in result.actions):
        waiting |= {name for name, why in result.declared.gone.items() if why == "retired"}
    if waiting:
        names = ", ".join(sorted(waiting))
        found["guard"] = declaration(
            f"no file declares {names} any more, too many at once: they run on; "
            "if that is meant: llamaagent run --once --yes"
        )
    for name, why in result.declared.kept.items():
        if name not in waiting:
            found[f"kept:{name}"] = declaration(f"{name}: {why}", name)
    for name, why in result.declared.rolled_back.items():
        found[f"rollback:{name}"] = declaration(f"{name}: {why}", name)
    told = _told(ctx)
    return (
        found
        | _of_backup(ctx)
        | _of_cards(ctx)
        | _of_disk(result.shortage, told)
        | _of_profiles(ctx, result, told)
        | _refused(result)
    )


def declaration(text: str, profile: str | None = None) -> Problem:
    """Something wrong with what is declared, or with how it gets here."""
    return Problem(text, text, "config_broken", profile, reason="config", detail=text)


def _of_backup(ctx: Context) -> dict[str, Problem]:
    """Why the last backup that was due was not made."""
    stored = ctx.samples.metadata("backup_trouble")
    if stored is None:
        return {}
    failed = json.loads(stored)
    return {"backup": declaration(f"no backup was made: {failed['text']}")._replace(event=failed["event"])}


def _of_cards(ctx: Context) -> dict[str, Problem]:
    """Cards that failed."""
    if not ctx.samples.has_failed_cards():
        return {}
    from llamaagent.reconcile.cardtrouble import of_cards

    return of_cards(ctx.db)


def _of_disk(shortage: Shortage | None, told: dict[str, Problem]) -> dict[str, Problem]:
    """A short disk; one that was told stays one until there is a little more than the least."""
    if shortage is None:
        return {}
    if not shortage.is_short(100 if "disk" not in told else _DISK_RELIEF_PERCENT):
        return {}
    if not shortage.is_short():
        return {"disk": told["disk"]}
    matter = "disk: no reports, no samples" if shortage.samples_stop else "disk: no reports"
    return {"disk": Problem(str(shortage), matter, "disk_low", reason="disk", detail=str(shortage))}


def _of_profiles(ctx: Context, result: PassResult, told: dict[str, Problem]) -> dict[str, Problem]:
    """Profiles that are wanted and do not run as they should."""
    found: dict[str, Problem] = {}
    overrides = ctx.wishes.overrides()
    rows = {row.profile: row for row in result.rows}
    now = ctx.clock.now()
    for one in result.rows:  # wanted or not
        if is_stuck(one.status, one.reason):
            text = f"{one.profile}: stuck ({one.reason}: {one.detail})"
            found[f"profile:{one.profile}"] = Problem(
                text, f"crash:{one.reason}", "crash", one.profile, "stuck", one.reason, one.detail
            )
    for name, profile in sorted(result.declared.profiles.items()):
        row = rows.get(name)
        want = wish(profile, overrides.get(name), now, row)
        key = f"profile:{name}"
        if row is None or key in found or not (wants(want) if row.gave_up_ts is not None else want.wanted):
            continue
        if row.status in {st.CREATED, st.ERROR, st.UNHEALTHY} and is_problem(row.status, want, row.reason):
            found[key] = problem_of(row, want, now)
        elif key in told and not is_proven(row, profile, now):
            found[key] = told[key]  # launched again, and not proven yet: no end, and no news
    return found


def is_proven(row: Instance, profile: Profile, now: int) -> bool:
    """Whether what was wrong is over: at once after one bad end, after a long healthy life when there were more."""
    if row.status != st.RUNNING:
        return False
    return row.restarts <= 1 or now - (row.ready_ts or now) >= profile.restart.reset_after_s


def _refused(result: PassResult) -> dict[str, Problem]:
    """Changes that cannot be launched, of profiles whose old launch runs on."""
    rows = {row.profile: row for row in result.rows}
    found: dict[str, Problem] = {}
    for a in result.actions:
        if a.kind == act.HOLD and a.profile in rows and rows[a.profile].status in st.LIVE:
            text = f"{a.profile}: its change is refused, the old launch runs on ({a.reason}: {a.detail})"
            matter = f"held:change:{a.reason}:{_without_figures(text, a.reason)}"
            found[f"profile:{a.profile}"] = Problem(
                text, matter, "held", a.profile, rows[a.profile].status, a.reason, a.detail
            )
    return found


def problem_of(row: Instance, want: Wish, now: int) -> Problem:
    """The problem of one row. Its text is without the seconds to the next try and the number of tries."""
    shown = state(
        row.status,
        row.reason,
        wish=want,
        restarts=row.restarts,
        retry_ts=row.retry_ts,
        gave_up=row.gave_up_ts is not None,
        detail=row.detail,
        now=now,
    )
    event = event_of(row.status, shown)
    plain = shown.split(", retry in", 1)[0]
    again = event == "crash" and row.status == st.ERROR and row.restarts and row.retry_ts is not None
    times = " again and again" if again else ""
    detail = f" ({row.reason}: {row.detail})" if row.detail else f" ({row.reason})"
    text = f"{row.profile}: {plain}{times}{detail}"
    matter = f"{event}:{row.reason}{times}"  # of crashes the cause matters, of a refusal all but the figures
    if event == "held":
        matter = f"{matter}:{_without_figures(text, row.reason)}"
    return Problem(text, matter, event, row.profile, shown, row.reason, row.detail)


def event_of(status: str, shown: str) -> str:
    """The word of `notify.on` for a row that is wrong, by its status and the state that people are shown."""
    if shown.startswith("gave up"):
        return "gave_up"
    if shown.startswith("on CPU"):
        return "on_cpu"
    return "held" if status == st.CREATED else "crash"


def _without_figures(text: str, reason: str | None) -> str:
    """Without what differs from pass to pass: how much memory is free just now."""
    return "".join(c for c in text if not c.isdigit()) if reason in _FIGURES else text


def _told(ctx: Context) -> dict[str, Problem]:
    """What was wrong after the pass before: text and matter."""
    stored = ctx.samples.metadata(_KEY)
    told: dict[str, object] = json.loads(stored) if stored else {}
    return {key: _read(value) for key, value in told.items()}


def _read(value: object) -> Problem:
    text, matter = value if isinstance(value, list) else (value, value)  # schema 1 kept the text alone
    return Problem(str(text), str(matter), "")


def news(ctx: Context, result: PassResult, found: dict[str, Problem]) -> News:
    """Compare with what was said last. Stores nothing: `remember` does, when it has been said."""
    before = _told(ctx)
    passed, cursor = _came_and_went(ctx, result, found.keys() | before.keys())
    for row in result.rows:
        problem = passed.get(f"profile:{row.profile}")
        profile = result.declared.profiles.get(row.profile)
        if problem is not None and profile is not None and not is_proven(row, profile, ctx.clock.now()):
            del passed[f"profile:{row.profile}"]  # not over yet: it becomes a problem like any other
            found = {**found, f"profile:{row.profile}": problem}
    if ctx.only is not None:  # a pass for some has nothing new to say about the others
        found = {key: value for key, value in before.items() if not _about(ctx, key, others=False)} | {
            key: value for key, value in found.items() if not _about(ctx, key, others=True)
        }
    appeared = tuple(
        value for key, value in found.items() if key not in before or before[key].matter != value.matter
    )
    ended = tuple((key, value.text) for key, value in before.items() if key not in found)
    same = not appeared and not ended and all(before[key].text == value.text for key, value in found.items())
    return News(appeared, ended, tuple(passed.values()), None if same else found, cursor)


def _came_and_went(
    ctx: Context, result: PassResult, known: set[str]
) -> tuple[dict[str, Problem], int | None]:
    """Servers that ended and were launched again without a pass that told it: the agent was killed in between.

    Also the number of the last decision when there are new ones, None when there are none.
    """
    newest = ctx.journal.newest_decision()
    stored = ctx.samples.metadata(_CURSOR)
    if stored is not None and int(stored) == newest:
        return {}, None
    found: dict[str, Problem] = {}
    live = {row.profile for row in result.rows if row.status in st.LIVE}  # not what somebody stopped since
    for name, reason, detail, was_healthy in ctx.journal.bad_ends(int(stored)) if stored is not None else ():
        key = f"profile:{name}"
        if name in result.declared.rolled_back and not was_healthy:
            continue  # the roll-back tells of it
        if key not in known and name in live and name in result.declared.profiles and ctx.chosen(name):
            text = f"{name}: crashed and was launched again ({reason}: {detail})"
            found[key] = Problem(text, f"crash:{reason}", "crash", name, "crashed", reason, detail)
    return found, newest


def remember(ctx: Context, told: News) -> None:
    """Store what was said, and in the same transaction what `notify` is to be told of it."""
    if told.after is None and told.cursor is None:
        return
    now = ctx.clock.now()
    with ctx.db:
        if told.after is not None:
            kept = {key: [problem.text, problem.matter] for key, problem in told.after.items()}
            ctx.samples.set_metadata(_KEY, json.dumps(kept), now)
        if told.cursor is not None:
            ctx.samples.set_metadata(_CURSOR, str(told.cursor), now)
        if ctx.settings.notify_command is not None and (told.appeared or told.ended or told.passed):
            from llamaagent.reconcile.notices import write

            write(ctx, told)


def _about(ctx: Context, key: str, *, others: bool) -> bool:
    """Whether a problem is about a profile that this pass acts for, or about one of the others."""
    kind, _, name = key.partition(":")
    return kind in {"kept", "profile", "rollback"} and ctx.chosen(name) != others
