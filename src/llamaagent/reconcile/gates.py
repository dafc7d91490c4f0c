"""Everything that can say no to a launch: the model's file, the binary, a card, a secret, a port.

Each is asked in turn before anything is written; the first "no" ends as a held row with its arithmetic.
"""

from __future__ import annotations

import json
import os

from llamaagent.base.errors import LlamaAgentError
from llamaagent.base.record import NamedTuple
from llamaagent.domain.admission import Placement
from llamaagent.domain.plan import Arithmetic
from llamaagent.domain.ports import choose_port
from llamaagent.launch.command import EMBEDDED, resolve_binary
from llamaagent.launch.environ import read_env_file, secret_environment
from llamaagent.launch.listeners import listener_pids, port_free

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.admission import Need
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.cardgate import Reckoned
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.hostgate import Demand


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
    reckoned: Reckoned | None  # GPU memory; None where there is no card and never was
    placement: Placement
    secrets: tuple[tuple[str, str], ...]  # variables; resolved, so never stored
    port: int | None  # None = a container that is reached by none
    parameters_hash: str | None  # of `memory_observations`; None = no file here to remember it by


class Asking(NamedTuple):
    """What a profile wants of cards and machine when nothing else stands in its way. among: cards it may be given."""

    need: Need
    among: frozenset[str]
    reckoned: Reckoned
    demand: Demand | None = None  # of the machine


def ask(
    ctx: Context, profile: Profile, rows: Iterable[Instance], gpus: GpuReading, on: tuple[str, ...] = ()
) -> Found:
    """Ask everything that can say no. Raises HeldError; changes nothing. on: the only cards it may get; () = any."""
    file, rows = _model_file(profile), tuple(rows)
    binary = _binary(ctx, profile)
    parameters, reckoned = _reckoned(ctx, profile, gpus, file, binary)
    placement = _placed(ctx, profile, gpus, reckoned, rows, on=on)
    _host(ctx, profile, file, binary)
    return Found(
        *file,
        binary,
        reckoned,
        placement,
        _secrets(ctx, profile),
        _port(ctx, profile, rows),
        parameters,
    )


def ask_before_change(ctx: Context, profile: Profile, row: Instance, gpus: GpuReading) -> Placement:
    """Ask everything while the old launch still runs, counting what it will free. Raises HeldError."""
    if profile.runtime.kind == "external":
        return Placement((), 0)  # what we run ends, what is watched instead needs nothing from us
    file, binary = _model_file(profile), _binary(ctx, profile)
    rows = ctx.instances.newest()
    _, reckoned = _reckoned(ctx, profile, gpus, file, binary)
    placement = _placed(ctx, profile, gpus, reckoned, rows, leaving=row.id)
    _host(ctx, profile, file, binary, leaving=row.id)
    _secrets(ctx, profile)
    if profile.listen.port not in {None, row.port}:
        _port(ctx, profile, ())
    return placement


def _placed(
    ctx: Context,
    profile: Profile,
    gpus: GpuReading,
    reckoned: Reckoned,
    rows: tuple[Instance, ...],
    *,
    leaving: int | None = None,
    on: tuple[str, ...] = (),
) -> Placement:
    from llamaagent.reconcile.cardgate import place_launch
    from llamaagent.reconcile.quotas import within_quota

    return within_quota(
        ctx,
        profile,
        gpus,
        lambda one: place_launch(ctx, one, gpus, reckoned, rows, leaving=leaving, on=on),
        leaving,
    )


def asking(
    ctx: Context,
    profile: Profile,
    rows: Iterable[Instance],
    gpus: GpuReading,
    leaving: Instance | None = None,
) -> Asking:
    """Ask everything but for room, and say how much is wanted. Raises HeldError; changes nothing.

    leaving: the launch in whose place it shall come, whose share of the project and whose port count as free.
    """
    from llamaagent.reconcile.cardgate import wanted
    from llamaagent.reconcile.quotas import ask_project, limits

    file, rows = _model_file(profile), tuple(rows)
    binary = _binary(ctx, profile)
    _, reckoned = _reckoned(ctx, profile, gpus, file, binary)
    need, left = wanted(ctx, profile, gpus, reckoned, rows)
    ask_project(ctx, profile, limits(ctx, profile.project), gpus, None if leaving is None else leaving.id)
    demand = None
    if _asks_host(profile):
        from llamaagent.reconcile.hostgate import demand_of

        demand = demand_of(ctx, profile, file, binary)
    _secrets(ctx, profile)
    if leaving is None or profile.listen.port not in {None, leaving.port}:
        _port(ctx, profile, rows if leaving is None else ())
    return Asking(need, frozenset(card.uuid for card in left), reckoned, demand)


def _reckoned(
    ctx: Context, profile: Profile, gpus: GpuReading, file: tuple[int | None, int | None], binary: str
) -> tuple[str | None, Reckoned]:
    """Name what it takes memory for, and reckon how much that is."""
    from llamaagent.reconcile.cardgate import reckon
    from llamaagent.reconcile.memorykey import memory_key
    from llamaagent.reconcile.projecting import stored_fit

    key = memory_key(profile, file, binary, stored_fit(ctx, profile) if gpus.cards else None)
    reckoned = reckon(ctx, profile, gpus, file[0], key)
    return None if key is None else key.parameters_hash, reckoned


def _host(
    ctx: Context,
    profile: Profile,
    file: tuple[int | None, int | None],
    binary: str,
    leaving: int | None = None,
) -> None:
    """The machine's memory, cores and disk, where the profile has to do with them. Raises HeldError."""
    if _asks_host(profile):
        from llamaagent.reconcile.hostgate import admit

        admit(ctx, profile, file, binary, leaving=leaving)


def _asks_host(profile: Profile) -> bool:
    asked = profile.resources
    return asked.memory_mib is not None or asked.cpus is not None or profile.model.path is None


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
    """Resolve once, then remember: cron's PATH is not the shell's. Of a container it is the image."""
    if profile.runtime.kind == "container":
        from llamaagent.reconcile.containergate import image_of

        return image_of(ctx, profile).identity
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
    if profile.runtime.kind == "container":
        from llamaagent.reconcile.containergate import secrets_of

        return secrets_of(ctx, profile)
    try:
        env_file = read_env_file(ctx.settings.env_file) if ctx.settings.env_file else {}
        return secret_environment(profile.secrets, ctx.environ, env_file)
    except LlamaAgentError as error:
        raise HeldError("missing-secret", str(error)) from error


def _port(ctx: Context, profile: Profile, rows: tuple[Instance, ...]) -> int | None:
    host, fixed = profile.listen.host, profile.listen.port
    if profile.runtime.kind == "container" and not _is_reached(profile):
        return None
    if fixed is not None:
        if not port_free(host, fixed):
            raise HeldError("port-taken", _who_holds(fixed), (Arithmetic("port", fixed),))
        return fixed
    last = ctx.instances.ports()
    declared = {p.name: p.listen.port for p in ctx.site.profiles}
    taken = {port for port in declared.values() if port is not None}
    taken |= {port for name, port in last.items() if name != profile.name and name in declared}
    taken |= {row.port for row in rows if row.profile != profile.name and row.port and row.ended_ts is None}
    if profile.runtime.kind == "container":  # its engine found it taken, where we cannot see that
        mine = (row for row in rows if row.profile == profile.name and row.reason == "port-taken")
        taken |= {row.port for row in mine if row.port is not None}
    port = choose_port(last.get(profile.name), ctx.settings.ports, taken, lambda p: port_free(host, p))
    if port is None:
        first, final = ctx.settings.ports
        raise HeldError(
            "port-taken", f"no port of {first}-{final} is free", (Arithmetic("taken", len(taken)),)
        )
    return port


def _is_reached(profile: Profile) -> bool:
    """Whether a container has a port on this host."""
    from llamaagent.engine.body import INSIDE, keys_of

    if (keys_of(profile).network or "").startswith(("none", "container:")):
        return False
    asked = profile.health.probe in {"http", "health", "completion"}
    said = profile.listen.port is not None or profile.runtime.port != INSIDE
    return profile.is_server or asked or said


def _who_holds(port: int) -> str:
    holders = listener_pids(port)
    if not holders:
        return f"port {port} is held by a program of another user"
    return f"port {port} is held by pid {holders[0].pid} ({holders[0].command})"


def estimate_mib(size: int | None) -> int:
    """Where neither a fit nor the header says better: the file's size and a fifth for the context."""
    return 0 if size is None else int(size * 1.2 / 1048576) + 1
