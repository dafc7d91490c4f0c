"""`start`, `stop`, `restart`, `reset`, `rm`, `detach`: record the wish in one short transaction, then pass for it."""

from __future__ import annotations

import sys

from llamaagent.base.errors import NOT_FINE, REFUSED, UNAVAILABLE, RefusedError, UsageError
from llamaagent.cli.actor import actor
from llamaagent.cli.output import clean, say
from llamaagent.cli.run import refuse_broken_settings, timeout_s
from llamaagent.cli.site import claim, context, database, load, matching
from llamaagent.cli.spans import until
from llamaagent.domain import instance as st
from llamaagent.domain.lifecycle import follows
from llamaagent.domain.plan import DETACH, FORGET, Action
from llamaagent.domain.wish import Override, wish
from llamaagent.reconcile.passes import run_pass
from llamaagent.store.instances import InstanceStore
from llamaagent.store.locks import Lock
from llamaagent.store.samples import SampleStore
from llamaagent.store.wishes import WishStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.domain.instance import Instance
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.passes import PassResult
    from llamaagent.store.types import Connection

_POLL_S = 0.1
_SOON = frozenset({"gpu-releasing", "pulling"})  # holds that are over by themselves
_NOT_REACHED = frozenset({"no-engine", "missing-image"})


def start(values: Values) -> int:
    """Wanted from now on."""
    return _override(values, "start")


def stop(values: Values) -> int:
    """Not wanted from now on."""
    return _override(values, "stop")


def restart(values: Values) -> int:
    """Stop and start again."""
    return _override(values, "restart")


def reset(values: Values) -> int:
    """Back to the file's word."""
    opened = _opened(values)
    with database(opened, write=True) as db:
        claim(db, opened)
        names = _names(values, opened, db)
        for name in sorted(names):
            WishStore(db).unsay(name, "reset", actor(), values.text("note"), opened.clock.now())
        if values.flag("no_wait"):
            return 0
        return _reach(values, opened, db, names, _as_wished)


def rm(values: Values) -> int:
    """Retire what no file declares."""
    opened = _opened(values)
    with database(opened, write=True) as db:
        claim(db, opened)
        imported = imported_only(db)
        names = _names(values, opened, db, imported)
        declared = {p.name for p in opened.site.profiles} | set(opened.site.names_declared)
        for name in sorted(names & declared):
            raise UsageError(
                f"{name} is declared by a file", hint="remove its file, or: llamaagent stop " + name
            )
        wishes, now = WishStore(db), opened.clock.now()
        for name in sorted(names):
            wishes.unsay(name, "rm", actor(), values.text("note"), now)
            wishes.retire(name, now)
        launched = names - imported
        code = 0
        if launched:
            code = _reach(values, opened, db, launched, lambda row, _: row.status in st.OVER, approved=True)
        for name in sorted(names):
            _delete(db, name, opened.clock.now())
            wishes.forget_model(name)
            if name in imported and not values.flag("quiet"):
                say(f"{name}: forgotten; it was imported and never launched")
    return code


def imported_only(db: Connection) -> frozenset[str]:
    """Models that `db import` brought and that were never launched or declared here."""
    from llamaagent.store.applied import model_list

    known = {row.profile for row in InstanceStore(db).newest()} | WishStore(db).last_hashes().keys()
    rows = model_list(db).rows
    return frozenset(str(row["profile"]) for row in rows if row["origin"] == "import") - known


def detach(values: Values) -> int:
    """Forget it, leave it running."""
    opened = _opened(values)
    with database(opened, write=True) as db:
        claim(db, opened)
        names = _names(values, opened, db)
        with Lock(opened.database, "pass").take(opened.clock, timeout_s(values)):
            for name in sorted(names):
                with db:  # the word alone would read as "not wanted", and stop it
                    _say_override(values, opened, db, name, "detach")
                    _forget(db, name, opened.clock.now())
    return 0


def _forget(db: Connection, name: str, now: int) -> None:
    store = InstanceStore(db)
    row = next((row for row in store.newest() if row.profile == name and row.status not in st.OVER), None)
    if row is not None:
        detail = f"pid {row.pid} is left running" if row.pid is not None else None
        action = Action(DETACH, name, row.id, "detached", detail)
        follows(row.status, action)
        store.detach(name, action, now)
        SampleStore(db).log(
            "info", name, f"detach {name}: detached" + (f" ({detail})" if detail else ""), now
        )


def _delete(db: Connection, name: str, now: int) -> None:
    """Its ended launches read `deleted` from now on; the history stays."""
    store = InstanceStore(db)
    row = next((row for row in store.newest() if row.profile == name), None)
    if row is None or row.status not in {st.STOPPED, st.ERROR}:
        return
    action = Action(FORGET, name, row.id, "removed", f"by {user()}")
    follows(row.status, action)
    with db:
        store.deleted(name, action, now)
        SampleStore(db).log("info", name, f"forget {name}: removed (by {user()})", now, "decision")


def _opened(values: Values) -> Opened:
    opened = load(values)
    refuse_broken_settings(opened)
    return opened


def _override(values: Values, action: str) -> int:
    opened = _opened(values)
    with database(opened, write=True, create=action != "stop") as db:
        claim(db, opened)
        names = _names(values, opened, db)
        if action == "stop" and values.flag("all"):
            names |= {row.profile for row in InstanceStore(db).newest() if row.status not in st.OVER}
        names = _ours(values, opened, db, names, action)
        # Those that run an old build are rolled: the next one is touched when the one before runs again.
        for group in [frozenset({name}) for name in sorted(names)] if values.flag("outdated") else [names]:
            for name in sorted(group):
                _say_override(values, opened, db, name, action)
            if values.flag("no_wait"):
                continue
            code = _reach(values, opened, db, group, lambda row, _: _as_wished(row, action != "stop"))
            if code:
                return code
    return 0


def _ours(
    values: Values, opened: Opened, db: Connection, names: frozenset[str], action: str
) -> frozenset[str]:
    """Those that are ours to start and stop. Raises RefusedError for one that is only watched, named as such."""
    watched = {p.name for p in opened.site.profiles if p.runtime.kind == "external"}
    declared = {p.name for p in opened.site.profiles}
    rows = InstanceStore(db).newest()
    watched |= {row.profile for row in rows if row.kind == "external" and row.profile not in declared}
    named = sorted(names & watched & set(values.many("name")))
    left = names - watched
    if named or (names and not left and not values.flag("all")):
        who = ", ".join(named or sorted(names))
        raise RefusedError(
            f"cannot {action} {who}: runtime.kind is external, so it is only watched; whoever runs it does that",
            hint=f"to end the watching: llamaagent detach {who.replace(',', '')}",
        )
    return left


def _say_override(values: Values, opened: Opened, db: Connection, name: str, action: str) -> None:
    now = opened.clock.now()
    declared = {p.name: p.state for p in opened.site.profiles}
    kept = WishStore(db).last_hashes()  # a file with faults: what it declared last is in force
    if action in {"start", "restart"} and name not in declared and name not in kept:
        raise UsageError(f"{name} is declared by no file on this host, so nothing can be started")
    override = Override(name, action, now, until(values, now), declared.get(name), user(), None)
    with db:
        WishStore(db).say(override, actor(), values.text("note"), now)
        if action == "restart" and not values.flag("outdated"):
            WishStore(db).accept(name)  # what was rolled back is tried again


def _names(
    values: Values, opened: Opened, db: Connection, others: frozenset[str] = frozenset()
) -> frozenset[str]:
    """The profiles meant. others: what may be named too. Raises UsageError when none is."""
    known = {p.name for p in opened.site.profiles}
    if values.flag("outdated"):
        from llamaagent.cli.outdated import mark_moved_images, refused_by_build
        from llamaagent.cli.rows import profile_rows

        rows = profile_rows(opened, db)
        mark_moved_images(context(opened, db), rows)
        refused = refused_by_build(opened, rows)
        for name, fault in refused.items():
            say(f"{name}: left as it runs, the new build would refuse it ({fault})")
        return frozenset(str(row["profile"]) for row in rows if row["outdated"]) - refused.keys()
    if values.flag("all"):
        return frozenset(known)
    if not values.many("name"):
        raise UsageError("name at least one profile, or --all")
    return matching(values.many("name"), known | {row.profile for row in InstanceStore(db).newest()} | others)


def _as_wished(row: Instance, wanted: bool) -> bool:
    return row.status == st.RUNNING if wanted else row.status in st.OVER


def _reach(
    values: Values,
    opened: Opened,
    db: Connection,
    names: frozenset[str],
    reached: Callable[[Instance, bool], bool],
    *,
    approved: bool = False,
) -> int:
    """Pass for these names until they are as wished, refused, or the time is up.

    reached: asked of a row, and of whether its profile as it is in force is wanted.
    """
    until = opened.clock.monotonic() + timeout_s(values)
    ctx = context(opened, db, only=names, approved=approved)
    while True:
        with Lock(opened.database, "pass").take(opened.clock, max(0.0, until - opened.clock.monotonic())):
            result = run_pass(ctx, sample=False)
        ctx = ctx._replace(counting=False)
        running = _wanted(ctx, result)
        rows = [row for row in result.rows if row.profile in names]
        held = [row for row in rows if row.status == st.CREATED]
        missing = [row for row in rows if not reached(row, row.profile in running)]
        if not missing:
            if not values.flag("quiet"):
                for row in rows:
                    say(
                        f"{row.profile}: {row.status}"
                        + (f" at {row.host}:{row.port}" if row.status == st.RUNNING else "")
                    )
            return 0
        refused = [row for row in held if row.reason not in _SOON]
        if _tell_fetching(values, missing):  # an image takes as long as it takes
            until = max(until, opened.clock.monotonic() + _POLL_S)
        refused = held if opened.clock.monotonic() >= until else refused
        if refused and len(refused) == len(missing):
            for row in refused:
                say(f"{row.profile}: refused, {row.reason}: {row.detail}")
            return UNAVAILABLE if all(row.reason in _NOT_REACHED for row in refused) else REFUSED
        if opened.clock.monotonic() >= until or all(_stays(row) for row in missing):
            for row in missing:
                say(f"{row.profile}: {row.status}, {row.reason}: {row.detail or ''}".rstrip(": "))
            return NOT_FINE
        opened.clock.sleep(_POLL_S)


def _tell_fetching(values: Values, rows: list[Instance]) -> bool:
    """Whether images are being fetched; how far they are is shown on a terminal."""
    fetched = [row for row in rows if row.status == st.CREATED and row.reason == "pulling"]
    if fetched and sys.stderr.isatty() and not values.flag("quiet"):
        print(
            f"\r\033[K{fetched[0].profile}: {clean(fetched[0].detail or '')}",
            end="",
            file=sys.stderr,
            flush=True,
        )
    return bool(fetched)


def _stays(row: Instance) -> bool:
    """Whether more passes change nothing."""
    return row.status == st.ERROR or (row.status == st.CREATED and row.reason not in _SOON)


def _wanted(ctx: Context, result: PassResult) -> frozenset[str]:
    """The profiles that are wanted now, by whoever says so."""
    said, rows = ctx.wishes.overrides(), {row.profile: row for row in result.rows}
    profiles, now = result.declared.profiles.items(), ctx.clock.now()
    return frozenset(name for name, p in profiles if wish(p, said.get(name), now, rows.get(name)).wanted)


def user() -> str:
    """Who asks, by the real uid: a name that a log can keep."""
    return actor().name
