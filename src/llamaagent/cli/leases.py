"""`gpus allocate`, `gpus release`, `gpus run`: cards lent to a person for a time, or to a program for its life."""

from __future__ import annotations

import os

from llamaagent.base.errors import LlamaAgentError, RefusedError, UsageError
from llamaagent.base.units import UnitError, parse_mib
from llamaagent.cli.actor import actor
from llamaagent.cli.output import chosen_format, clean, emit, say
from llamaagent.cli.rows import moment
from llamaagent.cli.run import refuse_broken_settings, timeout_s
from llamaagent.cli.site import claim, context, database, load
from llamaagent.cli.spans import until
from llamaagent.domain.lease import LeaseAsk
from llamaagent.launch.visible import visible_variables
from llamaagent.store.audit import AuditStore
from llamaagent.store.leases import LeaseStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.domain.instance import Identity
    from llamaagent.domain.lease import Lease
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.leases import Granted

_COLUMNS = (
    "lease_id",
    "gpus",
    "memory_mib",
    "exclusive",
    "holder",
    "project",
    "reason",
    "created_ts",
    "expires_ts",
)
LEASE = "LLAMAAGENT_LEASE"


def allocate(values: Values) -> int:
    """Lend cards to whoever asks, or refuse (77) and name the holders."""
    opened = _opened(values)
    ask = _ask(values, opened)
    granted = _grant(values, opened, ask, "gpus allocate")
    if chosen_format(values) != "table":
        row = {**ask._asdict(), "lease_id": granted.lease_id, "gpus": list(granted.placement.uuids)}
        row |= {"exclusive": ask.need.exclusive, "holder": actor().name, "created_ts": granted.ts}
        row |= {"memory_mib": None if ask.memory_mib is None else granted.placement.memory_mib}
        emit(values, [row], _COLUMNS)
        return 0
    for name, value in visible(granted).items():
        print(f"export {name}={value}")
    ends = f"until {moment(ask.expires_ts)}" if ask.expires_ts is not None else "until it is released"
    if not values.flag("quiet"):
        say(f"lease {granted.lease_id}, {ends}: llamaagent gpus release {granted.lease_id}")
    return 0


def release(values: Values) -> int:
    """End leases, by number or all of one's own."""
    opened = _opened(values)
    by, now = actor(), opened.clock.now()
    with database(opened, write=True) as db:
        claim(db, opened)
        with db:
            live = LeaseStore(db).live()
            chosen = _chosen(values, live, by.uid)
            for lease in chosen:
                LeaseStore(db).release(lease.id, now)
                details = {"gpus": list(lease.uuids), "holder": lease.holder}
                AuditStore(db).note(by, "gpus release", ("gpu", str(lease.id)), now, details)
    if not values.flag("quiet"):
        for lease in chosen:
            say(f"lease {lease.id} of {clean(lease.holder)}: {_count(lease)} free")
        if not chosen:
            say("nothing is lent to you")
    return 0


def _count(lease: Lease) -> str:
    return "1 card is" if len(lease.uuids) == 1 else f"{len(lease.uuids)} cards are"


def _chosen(values: Values, live: tuple[Lease, ...], uid: int) -> tuple[Lease, ...]:
    """The leases meant. Raises UsageError for a number that is none."""
    if values.flag("mine") == bool(values.many("lease")):
        raise UsageError("name a lease by its number, or --mine", hint="llamaagent gpus")
    if values.flag("mine"):
        return tuple(lease for lease in live if lease.uid == uid)
    known = {str(lease.id): lease for lease in live}
    for word in values.many("lease"):
        if word not in known:
            raise UsageError(f"no lease {word}: it has ended, or never was", hint="llamaagent gpus")
    return tuple(known[word] for word in dict.fromkeys(values.many("lease")))


def run(values: Values) -> int:
    """Reserve, run in the foreground with the cards visible, release; gives the program's exit code."""
    from llamaagent.launch.foreground import NOT_FOUND, attend, forsake, prepare
    from llamaagent.launch.identity import identify

    command = values.many("command")
    if _path_of(command[0]) is None:
        say(f"{command[0]}: no such program")
        return NOT_FOUND
    opened = _opened(values)
    ask = _ask(values, opened, identify(os.getpid()), " ".join(command))
    granted = _grant(values, opened, ask, "gpus run")
    lease_id = granted.lease_id
    child = prepare(command, {**os.environ, **visible(granted), LEASE: str(lease_id)})
    try:
        _follow(opened, lease_id, child.process)
    except BaseException:
        forsake(child)
        raise
    code = attend(child)
    _give_back(opened, lease_id)
    return code


def _path_of(name: str) -> str | None:
    from shutil import which

    return which(name)


def _follow(opened: Opened, lease_id: int, process: Identity | None) -> None:
    """The lease ends with the program itself, which may outlive us."""
    if process is None:
        return
    with database(opened, write=True, create=False) as db, db:
        LeaseStore(db).follow(lease_id, process)


def _give_back(opened: Opened, lease_id: int) -> None:
    """Release; where the database cannot be written now, the next pass does it, for the program is gone."""
    try:
        with database(opened, write=True, create=False) as db, db:
            LeaseStore(db).release(lease_id, opened.clock.now())
    except (LlamaAgentError, OSError) as error:
        say(f"lease {lease_id} could not be released now ({error}); the next pass does it")


def _ask(
    values: Values, opened: Opened, process: Identity | None = None, command: str | None = None
) -> LeaseAsk:
    """What the command line asks for. Raises UsageError."""
    return LeaseAsk(
        gpus=_gpus(values),
        memory_mib=_memory(values),
        exclusive=values.flag("exclusive"),
        project=values.text("project") or "default",
        reason=values.text("reason") or (command[:200] if command else None),
        expires_ts=until(values, opened.clock.now()),
        process=process,
    )


def _grant(values: Values, opened: Opened, ask: LeaseAsk, action: str) -> Granted:
    """Lend them. Raises RefusedError with who has the cards."""
    from llamaagent.reconcile.gates import HeldError
    from llamaagent.reconcile.leases import ROOM_HELPS, grant

    patience_s = _patience_s(values)
    with database(opened, write=True) as db:
        claim(db, opened)
        ctx = context(opened, db)
        try:
            try:
                return grant(ctx, ask, actor(), action)
            except HeldError as error:
                if patience_s is None or error.reason not in ROOM_HELPS:
                    raise
            return _grant_evicting(values, opened, ctx, ask, action, patience_s)
        except HeldError as error:
            hint = "llamaagent gpus"
            raise RefusedError(f"refused, {error.reason}: {clean(str(error))}", hint=hint) from error


def _patience_s(values: Values) -> float | None:
    """With --evict: how long the pass lock and memory are waited for; without it None. Raises UsageError."""
    if values.flag("evict"):
        return timeout_s(values)
    if values.text("timeout") is not None:
        raise UsageError("--timeout says how long to wait for those that make way: it goes with --evict")
    return None


def _grant_evicting(
    values: Values, opened: Opened, ctx: Context, ask: LeaseAsk, action: str, patience_s: float
) -> Granted:
    """Lend them with others making way, and no pass meanwhile. Raises HeldError, or LockHeldError."""
    from llamaagent.reconcile.leaseroom import grant_evicting
    from llamaagent.store.locks import Lock

    def told(names: tuple[str, ...]) -> None:
        if not values.flag("quiet"):
            say(f"evicts {', '.join(names)}, and waits for the memory")

    until = ctx.clock.monotonic() + patience_s
    with Lock(opened.database, "pass").take(ctx.clock, patience_s):
        return grant_evicting(ctx, ask, actor(), action, until, told)


def _gpus(values: Values) -> int | tuple[str, ...]:
    """How many cards, or which. Raises UsageError."""
    word = values.text("gpus") or "1"
    if word.isascii() and word.isdecimal() and len(word) < 4:
        if int(word) < 1:
            raise UsageError("--gpus: at least 1")
        return int(word)
    names = tuple(dict.fromkeys(name.strip() for name in word.split(",")))
    if not all(names):
        raise UsageError(f"--gpus: {word!r} is neither a count nor a list of uuids or of indexes such as 0,2")
    return names


def _memory(values: Values) -> int | None:
    word = values.text("gpu_memory")
    if word is None:
        return None
    try:
        found = parse_mib(word)
    except UnitError as error:
        raise UsageError(f"--gpu-memory: {error}") from error
    if not found:
        raise UsageError("--gpu-memory: more than 0")
    return found


def visible(granted: Granted) -> dict[str, str]:
    """The variables by which programs see these cards and no others; uuids, because an index may move."""
    return dict(visible_variables(granted.placement.uuids, granted.cards))


def _opened(values: Values) -> Opened:
    opened = load(values)
    refuse_broken_settings(opened)
    return opened
