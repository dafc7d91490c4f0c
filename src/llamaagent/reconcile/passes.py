"""One pass from beginning to end: observe, decide, act until nothing is left to do or the time is up, record."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.collect.disk import measure_shortage
from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.settings import written_folders
from llamaagent.domain.wish import in_force as still_counts
from llamaagent.reconcile.context import Borders
from llamaagent.reconcile.decide import World, decide
from llamaagent.reconcile.declared import Declared, in_force, missing, rolled_back
from llamaagent.reconcile.joining import keep_seen
from llamaagent.reconcile.observe import PROBE_DEADLINE_S, View, observe
from llamaagent.reconcile.probing import Probes
from llamaagent.reconcile.record import Recorded, record
from llamaagent.reconcile.retiring import held_back, hold_back, retire
from llamaagent.reconcile.subjects import world
from llamaagent.store.samples import CUT_KEY, LIMITS_KEY, limits_text
from llamaagent.store.watched import WatchedStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.collect.disk import Shortage
    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.plan import Action, Plan
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.git import GitState

PASS_S = 10.0
_STOP_WAIT_S = 4.0  # of a pass may go into watching servers end
_SOON_S = 0.2  # between two signals, however short the grace
_POLL_S = 0.02
_ROUNDS = 12  # a bound for the impossible: each round moves at least one launch one step

# After these another look makes sense.
_LEADS_ON = frozenset({act.END, act.STOP, act.EVICT, act.SIGNAL, act.CANCEL, act.ADOPT, act.ROLLBACK})


class PassResult(NamedTuple):
    """What a pass did and how the world is after it."""

    actions: tuple[Action, ...]
    declared: Declared
    rows: tuple[Instance, ...]
    view: View
    recorded: Recorded | None
    shortage: Shortage | None = None  # how much room the disks have; None = not known


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

    def forget_gpus(self) -> None:
        """The next question is asked anew."""
        self._gpus = None

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
    _keep_shares(ctx)
    _settle_cut(ctx)
    done: list[Action] = []
    sure: set[str | None] = {None} if _seen_lately(ctx) else set()
    probes = Probes()
    for number in range(_ROUNDS):
        rows, view = _look(ctx, declared, until, probes)
        plan = decide(world(ctx, declared, rows, view, first=number == 0))
        hold_back(ctx, plan, declared)
        # Before anything is started, and after a time without passes: has a live server lost its row?
        unsure = {None, *(action.profile for action in plan.actions if action.kind == act.START)} - sure
        sure |= unsure
        if unsure and _adopt(ctx, declared):
            continue
        keep_seen(ctx, rows, view)
        plan = _line_up(ctx, plan, declared, rows, view, asked)
        if (
            not plan.actions
            or not carry_out(ctx, plan, rows, declared, view, borders, done)
            or ctx.clock.monotonic() >= until
        ):
            break
        asked.forget_gpus()  # something ended: what its card has free now is another matter
        declared = rolled_back(ctx.wishes, declared)
        patience = patience or min(until, ctx.clock.monotonic() + _STOP_WAIT_S)
        _watch_stops(ctx, patience)
    rows, view = (ctx.instances.newest(), view) if not done else _look(ctx, declared, until, probes)
    retire(ctx, declared, rows)
    folders = written_folders(ctx.settings, ctx.places, ctx.db.filename)
    shortage = measure_shortage(folders, ctx.settings.headroom.disk_mib)
    spare = shortage is not None and shortage.samples_stop
    recorded = record(ctx, rows, view, asked.gpus(), spare=spare) if sample else None
    return PassResult(tuple(done), declared, rows, view, recorded, shortage)


def declare(ctx: Context, asked: _Asked) -> Declared:
    """Store what is newly declared; join it with what was declared before."""
    hashes = ctx.wishes.last_hashes()
    fresh = [p for p in ctx.site.profiles if hashes.get(p.name) != (p.profile_hash, p.source)]
    if fresh:
        ctx.wishes.declare(fresh, asked.git(), ctx.clock.now(), ctx.settings.defaults)
        hashes |= {p.name: (p.profile_hash, p.source) for p in fresh}
    return _join_declared(ctx, hashes)


def _join_declared(ctx: Context, hashes: dict[str, tuple[str, str]]) -> Declared:
    if missing(ctx.site, hashes):
        declared = in_force(ctx.site, hashes, ctx.wishes.last_good(), held_back(ctx))
    else:
        declared = in_force(ctx.site, hashes, None)
    return rolled_back(ctx.wishes, declared)


def _forget_lapsed(ctx: Context, declared: Declared) -> None:
    """An override whose time is up, or whose profile changed its own state, is over for good."""
    now = ctx.clock.now()
    for name, override in ctx.wishes.overrides().items():
        if ctx.chosen(name) and not still_counts(override, declared.profiles.get(name), now):
            ctx.wishes.lapse(name)


def _keep_shares(ctx: Context) -> None:
    """Limits as the settings have them now, and leases only as long as they last. Nothing is loaded without need."""
    if ctx.samples.metadata(LIMITS_KEY) != limits_text(ctx.settings.projects):
        from llamaagent.reconcile.quotas import keep_settings

        keep_settings(ctx)
    if ctx.instances.any_lease():
        from llamaagent.reconcile.leases import settle_leases

        settle_leases(ctx)


def _settle_cut(ctx: Context) -> None:
    """Find out how far a log has been read that was being cut when the agent was killed."""
    if ctx.samples.metadata(CUT_KEY) is not None:
        from llamaagent.reconcile.rotation import settle_cut

        settle_cut(ctx)


def preview(ctx: Context) -> tuple[Plan, tuple[Instance, ...], View, Declared]:
    """What a pass would do now. Writes nothing."""
    plan, rows, view, declared = glance(ctx)
    return _line_up(ctx, plan, declared, rows, view, _Asked(ctx)), rows, view, declared


def glance(ctx: Context) -> tuple[Plan, tuple[Instance, ...], View, Declared]:
    """The world now and what it calls for, whether there is room for that or not. Writes nothing."""
    declared = _join_declared(ctx, ctx.wishes.last_hashes())
    rows, view = _look(ctx, declared, ctx.clock.monotonic() + PASS_S)
    return decide(world(ctx, declared, rows, view)), rows, view, declared


def _line_up(
    ctx: Context, plan: Plan, declared: Declared, rows: tuple[Instance, ...], view: View, asked: _Asked
) -> Plan:
    """The plan with its starts in a fair order; what does not fit waits, and somebody may have to make way for it."""
    if not any(action.kind == act.START or act.is_change(action) for action in plan.actions):
        return plan
    from llamaagent.reconcile.queueing import line_up

    return line_up(ctx, plan, declared, rows, view, asked.gpus())


def _look(
    ctx: Context, declared: Declared, until: float, probes: Probes | None = None
) -> tuple[tuple[Instance, ...], View]:
    """probes: of the pass, whose news are stored; None = a look that asks and stores nothing beyond health."""
    rows = ctx.instances.newest()
    deadline = max(0.2, min(PROBE_DEADLINE_S, until - ctx.clock.monotonic()))
    view = observe(ctx, rows, declared.profiles, deadline, probes)
    if probes is not None and view.news:
        watched = WatchedStore(ctx.db)
        with ctx.db:
            for news in view.news:
                watched.keep(news)
    return rows, view


def _seen_lately(ctx: Context) -> bool:
    """False for a database that is new, that slept, or that is an older copy: rows may be missing from it."""
    last = ctx.samples.last_system()
    return last is not None and 0 <= ctx.clock.now() - last.ts <= 4 * max(60, ctx.settings.interval_s)


def _adopt(ctx: Context, declared: Declared) -> bool:
    """Live launches of this site without a row get one instead of a second launch."""
    from llamaagent.reconcile.adopting import adopt_strays

    adopted = adopt_strays(ctx, declared)
    boxed = any(profile.runtime.kind == "container" for profile in declared.profiles.values())
    if boxed or any(row.kind == "container" for row in ctx.instances.newest()):
        from llamaagent.reconcile.strays import adopt_containers

        adopted = adopt_containers(ctx, declared) or adopted
    return adopted


def carry_out(
    ctx: Context,
    plan: Plan,
    rows: Iterable[Instance],
    declared: Declared,
    view: View,
    borders: Borders,
    done: list[Action],
) -> bool:
    """Do the plan; True when something was done after which another look makes sense."""
    from llamaagent.domain.lifecycle import LifecycleError
    from llamaagent.reconcile.act import perform

    by_name = {row.profile: row for row in rows}
    again = False
    for action in plan.actions:
        try:
            result = perform(ctx, action, by_name, declared.profiles, view, borders)
        except LifecycleError as error:  # one profile's trouble stops no other
            with ctx.db:
                ctx.samples.log("error", action.profile, str(error), ctx.clock.now(), "decision")
            continue
        done.append(result)
        again = again or result.kind in _LEADS_ON
    return again


def _watch_stops(ctx: Context, until: float) -> None:
    """Servers that were signalled are watched together: most end at once, for the others a next signal falls due."""
    from llamaagent.launch.identity import alive
    from llamaagent.launch.process import bury

    soon = ctx.clock.monotonic() + _SOON_S
    while ctx.clock.monotonic() < until:
        bury()
        ending = [r for r in ctx.instances.newest() if r.status == st.STOPPING and r.signals_sent]
        ending = [r for r in ending if r.reason != "unkillable"]
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
        carry_out(
            ctx, decide(World(ctx.clock.now(), plain, approved=True)), rows, declared, view, borders, []
        )
        _watch_stops(ctx, min(until, ctx.clock.monotonic() + 1))
        ctx.clock.sleep(_POLL_S)
