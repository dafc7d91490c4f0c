"""Everything that can say no to a launch: the model's file, the binary, a card, a secret, a port.

Each is asked in turn before anything is written; the first "no" ends as a held row with its arithmetic.
"""

from __future__ import annotations

import json
import os

from llamaagent.base.errors import LlamaAgentError
from llamaagent.base.record import NamedTuple
from llamaagent.domain.admission import Card, Need, Placement, Refusal, place
from llamaagent.domain.plan import Arithmetic
from llamaagent.domain.ports import choose_port
from llamaagent.domain.projection import Expected
from llamaagent.launch.command import EMBEDDED, resolve_binary
from llamaagent.launch.environ import read_env_file, secret_environment
from llamaagent.launch.listeners import listener_pids, port_free

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context


class HeldError(Exception):
    """This profile cannot be launched now: reason word, prose, figures."""

    def __init__(self, reason: str, detail: str, arithmetic: tuple[Arithmetic, ...] = ()) -> None:
        super().__init__(detail)
        self.reason = reason
        self.arithmetic = arithmetic


class Found(NamedTuple):
    """The answers of everything that could have said no."""

    model_size_bytes: int | None
    model_mtime_ns: int | None
    binary: str
    expected: Expected | None  # GPU memory; None where there is no card
    placement: Placement
    secrets: tuple[tuple[str, str], ...]  # variables; resolved, so never stored
    port: int


def ask(ctx: Context, profile: Profile, rows: Iterable[Instance], gpus: GpuReading) -> Found:
    """Ask everything that can say no. Raises HeldError; changes nothing."""
    if profile.runtime.kind != "process":
        raise HeldError("unsupported", f"this version does not launch runtime.kind: {profile.runtime.kind}")
    size, mtime = _model_file(profile)
    binary = _binary(ctx, profile)
    expected = _expected(ctx, profile, gpus, size)
    return Found(
        size,
        mtime,
        binary,
        expected,
        _place(ctx, profile, gpus, expected, ran_out=_ran_out(ctx, profile, gpus, (size, mtime), binary)),
        _secrets(ctx, profile),
        _port(ctx, profile, tuple(rows)),
    )


def ask_before_change(ctx: Context, profile: Profile, row: Instance, gpus: GpuReading) -> Placement:
    """Ask everything while the old launch still runs, counting what it will free. Raises HeldError."""
    if profile.runtime.kind == "external":
        return Placement((), 0)  # what we run ends, what is watched instead needs nothing from us
    if profile.runtime.kind != "process":
        raise HeldError("unsupported", f"this version does not launch runtime.kind: {profile.runtime.kind}")
    size, mtime = _model_file(profile)
    ran_out = _ran_out(ctx, profile, gpus, (size, mtime), _binary(ctx, profile))
    expected = _expected(ctx, profile, gpus, size)
    placement = _place(ctx, profile, gpus, expected, ran_out=ran_out, leaving=row.id)
    _secrets(ctx, profile)
    if profile.listen.port not in {None, row.port}:
        _port(ctx, profile, ())
    return placement


def _model_file(profile: Profile) -> tuple[int | None, int | None]:
    path = profile.model.path
    if path is None:
        return None, None
    try:
        found = os.stat(path)
    except OSError as error:
        word = "permission" if isinstance(error, PermissionError) else "missing-model"
        raise HeldError(word, f"model {path}: {error.strerror}") from error
    if not os.access(path, os.R_OK):
        raise HeldError("permission", f"model {path} may not be read by us")
    return found.st_size, found.st_mtime_ns


def _binary(ctx: Context, profile: Profile) -> str:
    """Resolve once, then remember: cron's PATH is not the shell's."""
    name = profile.runtime.binary
    key = f"binary.{name}"
    remembered = ctx.samples.metadata(key)
    try:
        found = resolve_binary(name, ctx.environ.get("PATH"), json.loads(remembered) if remembered else None)
    except LlamaAgentError as error:
        raise HeldError("missing-binary", str(error)) from error
    news = "/" not in name and found != EMBEDDED and json.dumps(found) != remembered
    if news and not ctx.db.readonly("main"):  # `plan` asks too
        with ctx.db:
            ctx.samples.set_metadata(key, json.dumps(found), ctx.clock.now())
    return found


def _secrets(ctx: Context, profile: Profile) -> tuple[tuple[str, str], ...]:
    try:
        env_file = read_env_file(ctx.settings.env_file) if ctx.settings.env_file else {}
        return secret_environment(profile.secrets, ctx.environ, env_file)
    except LlamaAgentError as error:
        raise HeldError("missing-secret", str(error)) from error


def _port(ctx: Context, profile: Profile, rows: tuple[Instance, ...]) -> int:
    host, fixed = profile.listen.host, profile.listen.port
    if fixed is not None:
        if not port_free(host, fixed):
            raise HeldError("port-taken", _who_holds(fixed), (Arithmetic("port", fixed),))
        return fixed
    last = ctx.instances.ports()
    declared = {p.name: p.listen.port for p in ctx.site.profiles}
    taken = {port for port in declared.values() if port is not None}
    taken |= {port for name, port in last.items() if name != profile.name and name in declared}
    taken |= {row.port for row in rows if row.profile != profile.name and row.port and row.ended_ts is None}
    port = choose_port(last.get(profile.name), ctx.settings.ports, taken, lambda p: port_free(host, p))
    if port is None:
        first, final = ctx.settings.ports
        raise HeldError(
            "port-taken", f"no port of {first}-{final} is free", (Arithmetic("taken", len(taken)),)
        )
    return port


def _who_holds(port: int) -> str:
    holders = listener_pids(port)
    if not holders:
        return f"port {port} is held by a program of another user"
    return f"port {port} is held by pid {holders[0].pid} ({holders[0].command})"


def _ran_out(
    ctx: Context, profile: Profile, gpus: GpuReading, file: tuple[int | None, int | None], binary: str
) -> int | None:
    """MiB of a card with which such a launch ran out of memory once. file: size and mtime of its model."""
    if not gpus.cards or profile.resources.gpus == "none":
        return None
    from llamaagent.reconcile.oom import oom_mib

    return oom_mib(ctx, profile, *file, binary)


def _expected(ctx: Context, profile: Profile, gpus: GpuReading, size: int | None) -> Expected | None:
    """How much GPU memory it will take, asked only where there is some."""
    if not gpus.cards or profile.resources.gpus == "none":
        return None
    from llamaagent.reconcile.projecting import expected

    found = expected(ctx, profile)
    if found is None and size is not None:
        found = Expected(estimate_mib(size), "file_size_estimate")
    return found  # None: a model that is not here yet; 0 MiB would be a figure that nobody has


def _place(
    ctx: Context,
    profile: Profile,
    gpus: GpuReading,
    expected: Expected | None,
    *,
    ran_out: int | None = None,
    leaving: int | None = None,
) -> Placement:
    asked = profile.resources
    if gpus.error is not None and asked.gpus != "none":
        raise HeldError("gpu-missing", f"the cards cannot be read: {gpus.error}")
    least = asked.gpu_memory_mib or (expected.gpu_mib if expected is not None else 0)
    if ran_out is not None:
        least = max(least, ran_out + 1)
    need = Need(asked.gpus, least, asked.exclusive)
    found = place(need, cards(ctx, gpus, leaving=leaving), ctx.settings.headroom.gpu_memory_mib)
    figures = _figures(asked.gpu_memory_mib, expected)
    if isinstance(found, Refusal):
        detail = found.detail
        if ran_out is not None:
            figures = (*figures, Arithmetic("oom_mib", ran_out))
            detail += f"; with {ran_out} MiB it ran out of memory"
        raise HeldError(found.reason, detail, (*found.arithmetic, *figures, *_holders(ctx, gpus)))
    return found._replace(arithmetic=(*found.arithmetic, *figures)) if found.uuids else found


def _figures(declared_mib: int | None, expected: Expected | None) -> tuple[Arithmetic, ...]:
    """Both figures under their own names, whichever of them counts."""
    told = [] if declared_mib is None else [Arithmetic("declared_mib", declared_mib)]
    if expected is not None:
        told.append(Arithmetic(f"{expected.source}_mib", expected.gpu_mib))
    return tuple(told)


def _holders(ctx: Context, gpus: GpuReading) -> tuple[Arithmetic, ...]:
    """Who has the memory of each card, in words: a refusal names them."""
    from llamaagent.reconcile.record import holders_of

    told: dict[str, list[str]] = {card.uuid: [] for card in gpus.cards}
    ours = {row.id: row.profile for row in ctx.instances.newest()}
    for one in holders_of(ctx, gpus):
        who = ours.get(one.instance_id or 0) or f"pid {one.pid} ({one.user or '?'}: {one.command or '?'})"
        told[one.uuid].append(f"{who} holds {'?' if one.memory_mib is None else one.memory_mib} MiB")
    for reserved in ctx.instances.reservations():
        if reserved.uuid in told:
            told[reserved.uuid].append(f"{reserved.holder} has reserved {reserved.memory_mib} MiB")
    named = [(card.index, "; ".join(told[card.uuid])) for card in gpus.cards if told[card.uuid]]
    return tuple(Arithmetic(f"gpu{index}_holders", text) for index, text in named)


def estimate_mib(size: int | None) -> int:
    """Where neither a fit nor the header says better: the file's size and a fifth for the context."""
    return 0 if size is None else int(size * 1.2 / 1048576) + 1


def cards(ctx: Context, gpus: GpuReading, *, leaving: int | None = None) -> tuple[Card, ...]:
    """The cards with what is promised on them and not yet taken.

    leaving: an instance that is about to go, whose memory and reservation count as free.
    """
    if not gpus.cards:
        return ()
    pids = {row.pid: row.id for row in ctx.instances.newest() if row.pid is not None and row.ended_ts is None}
    reserved = ctx.instances.reservations()
    made: list[Card] = []
    for card in gpus.cards:
        used: dict[int, int] = {}
        for holder in card.holders:
            owner = pids.get(holder.pid)
            if owner is not None:
                used[owner] = used.get(owner, 0) + (holder.memory_mib or 0)
        mine = [r for r in reserved if r.uuid == card.uuid and (leaving is None or r.instance_id != leaving)]
        unused = sum(max(0, (r.memory_mib or 0) - used.get(r.instance_id or 0, 0)) for r in mine)
        total = card.memory_total_mib or 0
        free = (
            card.memory_free_mib if card.memory_free_mib is not None else total - (card.memory_used_mib or 0)
        )
        free += used.get(leaving, 0) if leaving is not None else 0
        reserving = {r.instance_id for r in mine}  # what is only watched holds memory without a reservation
        foreign = sum(1 for holder in card.holders if pids.get(holder.pid, -1) not in {*reserving, leaving})
        exclusive = any(r.exclusive for r in mine)
        made.append(Card(card.uuid, card.index, total, free, unused, exclusive, len(mine) + foreign))
    return tuple(made)
