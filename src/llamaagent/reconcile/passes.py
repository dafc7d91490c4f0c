"""One pass from beginning to end: observe, decide, act until nothing is left to do or the time is up, record."""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple
from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.wish import in_force as still_counts
from llamaagent.reconcile.context import Borders
from llamaagent.reconcile.decide import Subject, World, decide
from llamaagent.reconcile.declared import Declared, in_force, missing
from llamaagent.reconcile.observe import PROBE_DEADLINE_S, View, observe
from llamaagent.reconcile.record import Recorded, record
from llamaagent.reconcile.retiring import approved, held_back, hold_back, retire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.plan import Action, Plan
    from llamaagent.domain.profile import Profile
    from llamaagent.launch.outside import Outside
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.git import GitState

PASS_S = 10.0
_STOP_WAIT_S = 4.0  # of a pass may go into watching servers end
_SOON_S = 0.2  # between two signals, however short the grace
_POLL_S = 0.02
_ROUNDS = 12  # a bound for the impossible: each round moves at least one launch one step


class PassResult(NamedTuple):
    """What a pass did and how the world is after it."""

    actions: tuple[Action, ...]
    declared: Declared
    rows: tuple[Instance, ...]
    view: View
    recorded: Recorded | None


class _Asked:
    """Answers of the slow borders, asked once a pass and only when needed."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._gpus: GpuReading | None = None
        self._git: GitState | None = None

    def gpus(self) -> GpuReading:
        if self._gpus is None:
            self._gpus = self._ctx.read_gpus()
        return self._gpus

    def git(self) -> tuple[str | None, int | None]:
        if self._git is None:
            from llamaagent.reconcile.git import GitState, describe

            folders = self._ctx.settings.profiles
            self._git = describe(folders[0]) if folders else GitState()
        return self._git.commit, self._git.dirty


def run_pass(ctx: Context, *, sample: bool = True) -> PassResult:
    """One pass. The caller holds the pass lock."""
    until = ctx.clock.monotonic() + PASS_S
    patience = 0.0  # until when this pass watches servers end; set when it signals the first
    asked = _Asked(ctx)
    borders = Borders(asked.gpus, asked.git)
    declared = declare(ctx, asked)
    _forget_lapsed(ctx, declared)
    done: list[Action] = []
    sure: set[str | None] = {None} if _seen_lately(ctx) else set()
    for number in range(_ROUNDS):
        rows, view = _look(ctx, declared, until)
        plan = decide(world(ctx, declared, rows, view, first=number == 0))
        hold_back(ctx, plan, declared)
        # Before anything is started, and after a time without passes: has a live server lost its row?
        unsure = {None, *(action.profile for action in plan.actions if action.kind == act.START)} - sure
        sure |= unsure
        if unsure and _adopt(ctx, declared):
            continue
        _join(ctx, rows, view)
        if (
            not plan.actions
            or not _carry_out(ctx, plan, rows, declared, view, borders, done)
            or ctx.clock.monotonic() >= until
        ):
            break
        patience = patience or min(until, ctx.clock.monotonic() + _STOP_WAIT_S)
        _watch_stops(ctx, patience)
    rows, view = (ctx.instances.newest(), view) if not done else _look(ctx, declared, until)
    retire(ctx, declared, rows)
    recorded = record(ctx, rows, view, asked.gpus()) if sample else None
    return PassResult(tuple(done), declared, rows, view, recorded)


def declare(ctx: Context, asked: _Asked) -> Declared:
    """Store what is newly declared; join it with what was declared before."""
    hashes = ctx.wishes.last_hashes()
    fresh = [p for p in ctx.site.profiles if hashes.get(p.name) != (p.profile_hash, p.source)]
    if fresh:
        ctx.wishes.declare(fresh, asked.git(), ctx.clock.now(), ctx.settings.defaults)
        hashes |= {p.name: (p.profile_hash, p.source) for p in fresh}
    return _join_declared(ctx, hashes)


def _join_declared(ctx: Context, hashes: dict[str, tuple[str, str]]) -> Declared:
    if not missing(ctx.site, hashes):
        return in_force(ctx.site, hashes, None)
    return in_force(ctx.site, hashes, ctx.wishes.last_good(), held_back(ctx))


def _forget_lapsed(ctx: Context, declared: Declared) -> None:
    """An override whose time is up, or whose profile changed its own state, is over for good."""
    now = ctx.clock.now()
    for name, override in ctx.wishes.overrides().items():
        if ctx.chosen(name) and not still_counts(override, declared.profiles.get(name), now):
            ctx.wishes.lapse(name)


def preview(ctx: Context) -> tuple[Plan, tuple[Instance, ...], View, Declared]:
    """What a pass would do now. Writes nothing."""
    hashes = ctx.wishes.last_hashes()
    declared = _join_declared(ctx, hashes)
    rows, view = _look(ctx, declared, ctx.clock.monotonic() + PASS_S)
    return decide(world(ctx, declared, rows, view)), rows, view, declared


def world(
    ctx: Context, declared: Declared, rows: Iterable[Instance], view: View, *, first: bool = True
) -> World:
    """Everything that `decide` is told. first: the pass's first look, whose probes count."""
    overrides = ctx.wishes.overrides()
    by_name = {row.profile: row for row in rows}
    names = declared.profiles.keys() | {n for n, row in by_name.items() if row.status not in st.OVER}
    subjects = []
    for name in sorted(names):
        row = by_name.get(name)
        if not ctx.chosen(name):
            continue
        subjects.append(
            Subject(
                name,
                declared.profiles.get(name),
                declared.gone.get(name, "retired"),
                row,
                view.sights.get(row.id) if row is not None else None,
                overrides.get(name),
                _age_s(ctx, row),
                first and ctx.counting,
                _outside(ctx, declared.profiles.get(name), row),
            )
        )
    return World(ctx.clock.now(), tuple(subjects), approved(ctx, subjects))


def _outside(ctx: Context, profile: Profile | None, row: Instance | None) -> Outside | None:
    """Where a server that somebody else runs is, as long as no live row says it."""
    if profile is None or profile.runtime.kind != "external" or (row is not None and row.status in st.LIVE):
        return None
    from llamaagent.reconcile.external import seek

    return seek(ctx, profile)


def _age_s(ctx: Context, row: Instance | None) -> int | None:
    """How long the server lives by the clock since boot; the wall clock may have been set since."""
    if row is None or row.start_ticks is None or row.status not in st.LIVE:
        return None
    age = ctx.clock.boottime() - row.start_ticks / os.sysconf("SC_CLK_TCK")
    return int(age) if age >= 0 else None  # a host without /proc counts its ticks otherwise


def _look(ctx: Context, declared: Declared, until: float) -> tuple[tuple[Instance, ...], View]:
    rows = ctx.instances.newest()
    patience = max((p.health.timeout_s for p in declared.profiles.values()), default=0)
    deadline = max(0.2, min(patience, PROBE_DEADLINE_S, until - ctx.clock.monotonic()))
    return rows, observe(ctx, rows, declared.profiles, deadline)


def _join(ctx: Context, rows: Iterable[Instance], view: View) -> None:
    """Rows whose pid was not stored get it: the agent ended between the spawn and the storing."""
    for row in rows:
        found = view.found.get(row.launch_id or "") if row.status in st.LIVE and row.pid is None else None
        if found is None or found.server is None:
            continue
        now = ctx.clock.now()
        ctx.instances.spawned(row.id, found.wrapper, found.server, now)
        action = act.Action(act.ADOPT, row.profile, row.id, "adopted", f"pid {found.server.pid}")
        ctx.journal.note(action, now)


def _seen_lately(ctx: Context) -> bool:
    """False for a database that is new, that slept, or that is an older copy: rows may be missing from it."""
    last = ctx.samples.last_system()
    return last is not None and 0 <= ctx.clock.now() - last.ts <= 4 * max(60, ctx.settings.interval_s)


def _adopt(ctx: Context, declared: Declared) -> bool:
    """Live servers of this site without a row get one instead of a second server."""
    from llamaagent.reconcile.adopting import adopt_strays

    return adopt_strays(ctx, declared)


def _carry_out(
    ctx: Context,
    plan: Plan,
    rows: Iterable[Instance],
    declared: Declared,
    view: View,
    borders: Borders,
    done: list[Action],
) -> bool:
    """Do the plan; True when something was done after which another look makes sense."""
    from llamaagent.reconcile.act import perform

    by_name = {row.profile: row for row in rows}
    again = False
    for action in plan.actions:
        result = perform(ctx, action, by_name, declared.profiles, view, borders)
        done.append(result)
        again = again or result.kind in {act.END, act.STOP, act.SIGNAL, act.CANCEL, act.ADOPT}
    return again


def _watch_stops(ctx: Context, until: float) -> None:
    """Servers that were signalled are watched together: most end at once, for the others a next signal falls due."""
    from llamaagent.launch.identity import alive
    from llamaagent.launch.process import bury

    soon = ctx.clock.monotonic() + _SOON_S
    while ctx.clock.monotonic() < until:
        bury()
        ending = [r for r in ctx.instances.newest() if r.status == st.STOPPING and r.signals_sent]
        living = [r for r in ending if alive(r.server, ctx.host) or alive(r.wrapper, ctx.host)]
        now = ctx.clock.now()
        due = any(r.next_signal_ts is not None and now >= r.next_signal_ts for r in living)
        if not living or (due and ctx.clock.monotonic() >= soon):
            return
        ctx.clock.sleep(_POLL_S)


def stop_everything(ctx: Context, timeout_s: float = 60.0) -> None:
    """Stop every live instance as if its profile said `state: stopped`, and wait until they are gone."""
    until = ctx.clock.monotonic() + timeout_s
    found = declare(ctx, _Asked(ctx))
    stopped = {name: profile._replace(state="stopped") for name, profile in found.profiles.items()}
    ours = {name: profile for name, profile in stopped.items() if profile.runtime.kind != "external"}
    declared = found._replace(profiles=ours)
    borders = Borders(ctx.read_gpus, lambda: (None, None))
    while ctx.clock.monotonic() < until:
        rows, view = _look(ctx, declared, until)
        rows = tuple(row for row in rows if row.kind != "external")
        if not any(row.status in st.LIVE for row in rows):
            return
        subjects = world(ctx, declared, rows, view).subjects
        plain = tuple(subject._replace(override=None) for subject in subjects)
        _carry_out(
            ctx, decide(World(ctx.clock.now(), plain, approved=True)), rows, declared, view, borders, []
        )
        _watch_stops(ctx, min(until, ctx.clock.monotonic() + 1))
        ctx.clock.sleep(_POLL_S)
