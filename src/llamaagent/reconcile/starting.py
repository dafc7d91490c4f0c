"""From a profile to a running wrapper.

Everything that can say no is asked first, then the intent is committed, then the process is made. A "no"
becomes a held row with its reason and arithmetic.
"""

from __future__ import annotations

import json
import os

from llamaagent.base.errors import LlamaAgentError
from llamaagent.base.paths import ensure_private_dir
from llamaagent.base.record import NamedTuple
from llamaagent.domain import plan as act
from llamaagent.domain.admission import Card, Need, Placement, Refusal, place
from llamaagent.domain.plan import Action, Arithmetic
from llamaagent.domain.ports import choose_port
from llamaagent.launch.command import embedded_environment, resolve_binary, server_argv
from llamaagent.launch.environ import made_environment, read_env_file, secret_environment
from llamaagent.launch.identity import boot_id
from llamaagent.launch.listeners import listener_pids, port_free
from llamaagent.launch.process import LaunchRequest, start, wait_for_server
from llamaagent.store.instances import Claim, Intent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context

LAUNCH_HASH = "LLAMAAGENT_LAUNCH_HASH"
_SPAWN_WAIT_S = 1.0


class HeldError(Exception):
    """This profile cannot be launched now: reason word, prose, figures."""

    def __init__(self, reason: str, detail: str, arithmetic: tuple[Arithmetic, ...] = ()) -> None:
        super().__init__(detail)
        self.reason = reason
        self.arithmetic = arithmetic


class Prepared(NamedTuple):
    """All that is known before the spawn."""

    intent: Intent
    claims: tuple[Claim, ...]
    request: LaunchRequest
    arithmetic: tuple[Arithmetic, ...]


def prepare(
    ctx: Context,
    profile: Profile,
    rows: Iterable[Instance],
    gpus: GpuReading,
    git: tuple[str | None, int | None],
) -> Prepared:
    """Ask everything that can say no. Raises HeldError; changes nothing but making our own folders."""
    rows = tuple(rows)
    if profile.runtime.kind != "process":
        raise HeldError("unsupported", f"this version does not launch runtime.kind: {profile.runtime.kind}")
    size, mtime = _model_file(profile)
    binary = _binary(ctx, profile)
    placement = _place(ctx, profile, gpus)
    secrets = _secrets(ctx, profile)
    port = _port(ctx, profile, rows)
    launch_id = os.urandom(8).hex()
    runtime_env = (*profile.runtime.env, (LAUNCH_HASH, profile.launch_hash))
    if binary == "embedded":
        runtime_env = (*embedded_environment(), *runtime_env)
    environment = made_environment(
        site_id=ctx.site_id,
        profile=profile.name,
        launch_id=launch_id,
        state_dir=ctx.places.state,
        runtime_env=runtime_env,
        secrets=secrets,
        visible_gpus=placement.uuids if gpus.cards else None,
    )
    argv = server_argv(profile, binary=binary, port=port)
    folder = ensure_private_dir(os.path.join(ctx.places.logs, profile.name))
    log_path = os.path.join(folder, f"{ctx.clock.now()}-{launch_id}.log")
    exit_path = os.path.join(ensure_private_dir(ctx.places.exits), launch_id)
    request = LaunchRequest(
        launch_id,
        profile.name,
        ctx.site_id,
        argv,
        environment,
        log_path,
        exit_path,
        profile.runtime.cwd or "/",
    )
    claims = tuple(Claim(u, placement.memory_mib, profile.resources.exclusive) for u in placement.uuids)
    prefix = profile.arg("api-prefix")
    intent = Intent(
        launch_id=launch_id,
        launch_hash=profile.launch_hash,
        profile_hash=profile.profile_hash,
        kind="process",
        project=profile.project,
        host=profile.listen.host,
        port=port,
        boot_id=boot_id(ctx.host),
        log_path=log_path,
        exit_path=exit_path,
        git_commit=git[0],
        git_dirty=git[1],
        gpus=json.dumps(list(placement.uuids)) if gpus.cards else None,
        model_path=profile.model.path,
        model_size_bytes=size,
        model_mtime_ns=mtime,
        binary=binary,
        binary_identity=_identity_of(binary),
        argv=json.dumps(list(argv)),
        environment=json.dumps(_shown(environment, profile, secrets)),
        working_directory=profile.runtime.cwd or "/",
        api_prefix=prefix if isinstance(prefix, str) else None,
        scheme="https" if profile.arg("ssl-cert-file") is not None else "http",
        gpu_memory_declared_mib=profile.resources.gpu_memory_mib,
        gpu_memory_estimated_mib=_estimate_mib(size) if gpus.cards else None,
        memory_limit_mib=profile.resources.memory_mib,
        cpu_limit_milli=None if profile.resources.cpus is None else round(1000 * profile.resources.cpus),
    )
    return Prepared(intent, claims, request, placement.arithmetic)


def launch(ctx: Context, prepared: Prepared, instance_id: int) -> None:
    """Spawn what was intended and store who runs it. A spawn that fails leaves the intent for the next look."""
    ctx.checkpoint("after-intent")
    wrapper = start(prepared.request)
    ctx.checkpoint("after-spawn")
    ctx.instances.spawned(instance_id, wrapper, None, ctx.clock.now())
    server = wait_for_server(wrapper, ctx.clock.monotonic() + _SPAWN_WAIT_S, ctx.clock)
    if server is not None:
        ctx.instances.spawned(instance_id, wrapper, server, ctx.clock.now())
    ctx.checkpoint("after-pid")


def held(profile: Profile, error: HeldError) -> Action:
    """The action that records why it is not launched."""
    return Action(act.HOLD, profile.name, None, error.reason, str(error), error.arithmetic)


def _model_file(profile: Profile) -> tuple[int | None, int | None]:
    path = profile.model.path
    if path is None:
        return None, None
    try:
        found = os.stat(path)
    except OSError as error:
        raise HeldError("missing-model", f"model {path}: {error.strerror}") from error
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
    if "/" not in name and found != "embedded" and json.dumps(found) != remembered:
        with ctx.db:
            ctx.samples.set_metadata(key, json.dumps(found), ctx.clock.now())
    return found


def _identity_of(binary: str) -> str | None:
    try:
        found = os.stat(binary)
    except OSError:
        return None
    return f"{found.st_size}:{found.st_mtime_ns}:{found.st_ino}"


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


def _estimate_mib(size: int | None) -> int:
    """Until a fit or a measurement says better: the file's size and a fifth for the context."""
    return 0 if size is None else int(size * 1.2 / 1048576) + 1


def _place(ctx: Context, profile: Profile, gpus: GpuReading) -> Placement:
    if gpus.error is not None:
        raise HeldError("gpu-missing", f"the cards cannot be read: {gpus.error}")
    asked = profile.resources
    size = os.stat(profile.model.path).st_size if profile.model.path else None
    need = Need(asked.gpus, asked.gpu_memory_mib or _estimate_mib(size), asked.exclusive)
    found = place(need, cards(ctx, gpus), ctx.settings.headroom.gpu_memory_mib)
    if isinstance(found, Refusal):
        raise HeldError(found.reason, found.detail, found.arithmetic)
    return found


def cards(ctx: Context, gpus: GpuReading) -> tuple[Card, ...]:
    """The cards with what is promised on them and not yet taken."""
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
        mine = [r for r in reserved if r.uuid == card.uuid]
        unused = sum(max(0, (r.memory_mib or 0) - used.get(r.instance_id or 0, 0)) for r in mine)
        total = card.memory_total_mib or 0
        free = (
            card.memory_free_mib if card.memory_free_mib is not None else total - (card.memory_used_mib or 0)
        )
        foreign = sum(1 for holder in card.holders if holder.pid not in pids)
        exclusive = any(r.exclusive for r in mine)
        made.append(Card(card.uuid, card.index, total, free, unused, exclusive, len(mine) + foreign))
    return tuple(made)


def _shown(
    environment: tuple[tuple[str, str], ...], profile: Profile, secrets: tuple[tuple[str, str], ...]
) -> dict[str, str]:
    """The environment as it may be stored: secrets as their references."""
    shown = dict(environment)
    for (name, _), (_, ref) in zip(secrets, profile.secrets, strict=True):
        shown[name] = str(ref)
    return shown
