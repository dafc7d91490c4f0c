"""`start`, `stop`, `restart`, `reset`, `rm`, `detach`: record the wish in one short transaction, then pass for it."""

from __future__ import annotations

from llamaagent.base.errors import RefusedError, UsageError
from llamaagent.cli.actor import actor
from llamaagent.cli.output import say
from llamaagent.cli.reaching import reach
from llamaagent.cli.run import refuse_broken_settings, timeout_s
from llamaagent.cli.site import claim, database, load, matching
from llamaagent.cli.spans import until
from llamaagent.domain import instance as st
from llamaagent.domain.lifecycle import follows
from llamaagent.domain.plan import DETACH, FORGET, Action
from llamaagent.domain.wish import Override
from llamaagent.store.instances import InstanceStore
from llamaagent.store.locks import Lock
from llamaagent.store.samples import SampleStore
from llamaagent.store.wishes import WishStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.domain.instance import Instance
    from llamaagent.store.types import Connection


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
        return reach(values, opened, db, names, _as_wished)


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
            code = reach(values, opened, db, launched, lambda row, _: row.status in st.OVER, approved=True)
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
            code = reach(
                values,
                opened,
                db,
                group,
                lambda row, _: _as_wished(row, action != "stop"),
                evicts=action != "stop",
                anew=action == "restart",
            )
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
        mark_moved_images(db, rows)
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


def user() -> str:
    """Who asks, by the real uid: a name that a log can keep."""
    return actor().name
