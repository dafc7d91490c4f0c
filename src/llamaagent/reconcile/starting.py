"""From a profile to a running wrapper.

Everything that can say no is asked first, then the intent is committed, then the process is made. A "no"
becomes a held row with its reason and arithmetic.
"""

from __future__ import annotations

import json
import os

from llamaagent.base.paths import ensure_private_dir
from llamaagent.base.record import NamedTuple
from llamaagent.collect.oomkill import read_oom_kills
from llamaagent.domain import plan as act
from llamaagent.domain.plan import Action, Arithmetic
from llamaagent.launch.command import EMBEDDED, embedded_environment, file_identity, server_argv
from llamaagent.launch.environ import made_environment
from llamaagent.launch.identity import boot_id
from llamaagent.launch.process import LaunchRequest, start, wait_for_server
from llamaagent.launch.visible import visible_variables
from llamaagent.reconcile.fitted import Fitting, fitting
from llamaagent.reconcile.gates import Found, HeldError, ask
from llamaagent.reconcile.inputs import identities
from llamaagent.store.intent import Claim, Intent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.containerstart import ContainerRequest
    from llamaagent.reconcile.context import Context

LAUNCH_HASH = "LLAMAAGENT_LAUNCH_HASH"
_SPAWN_WAIT_S = 1.0


class Prepared(NamedTuple):
    """All that is known before the spawn."""

    intent: Intent
    claims: tuple[Claim, ...]
    request: LaunchRequest | ContainerRequest
    arithmetic: tuple[Arithmetic, ...]


def prepare(
    ctx: Context,
    profile: Profile,
    rows: Iterable[Instance],
    gpus: GpuReading,
    git: tuple[str | None, int | None],
    on: tuple[str, ...] = (),
) -> Prepared:
    """Ask everything, then put the launch together. Raises HeldError; changes nothing but making our own folders.

    on: the cards that were found for it; () = any.
    """
    found = ask(ctx, profile, rows, gpus, on)
    told = fitting(ctx, profile, found.binary, found.placement, found.reckoned, gpus)
    request = _asked_of(ctx, profile, found, told, gpus)
    placed = found.placement
    claims = tuple(
        Claim(uuid, share, profile.resources.exclusive)
        for uuid, share in zip(placed.uuids, placed.shares, strict=True)
    )
    intent = _intent(ctx, profile, found, request, git)._replace(parameters_hash=found.parameters_hash)
    figures = placed.arithmetic
    if gpus.cards:
        expected = found.reckoned.expected if found.reckoned is not None else None
        intent = intent._replace(
            gpus=json.dumps(list(placed.uuids)),
            gpu_memory_estimated_mib=told.estimated_mib
            or (expected.gpu_mib if expected is not None else None),
            sized_context=told.context,
            sized_gpu_layers=told.gpu_layers,
            sized_tensor_split=told.tensor_split,
        )
        figures = (*figures, *_sized(told))
    return Prepared(intent, claims, request, figures)


def _sized(told: Fitting) -> tuple[Arithmetic, ...]:
    """What the launch is told to be, as far as anybody said."""
    figures = (
        Arithmetic("sized_context_tokens", told.context),
        Arithmetic("sized_gpu_layers", told.gpu_layers),
        Arithmetic("sized_tensor_split", told.tensor_split),
        Arithmetic("sized_mib", told.estimated_mib),
    )
    return tuple(one for one in figures if one.value is not None)


def _asked_of(
    ctx: Context, profile: Profile, found: Found, told: Fitting, gpus: GpuReading
) -> LaunchRequest | ContainerRequest:
    if profile.runtime.kind == "container":
        from llamaagent.reconcile.containerstart import container_request

        return container_request(ctx, profile, found, told, gpus)
    return _request(ctx, profile, found, told, visible_variables(found.placement.uuids, gpus.cards))


def _request(
    ctx: Context, profile: Profile, found: Found, told: Fitting, gpu_variables: tuple[tuple[str, str], ...]
) -> LaunchRequest:
    """Command line, environment and files of one launch, under a new id."""
    launch_id = os.urandom(8).hex()
    runtime_env = (*profile.runtime.env, (LAUNCH_HASH, profile.launch_hash))
    if found.binary == EMBEDDED:
        runtime_env = (*embedded_environment(), *runtime_env)
    environment = made_environment(
        site_id=ctx.site_id,
        profile=profile.name,
        launch_id=launch_id,
        state_dir=ctx.places.state,
        runtime_env=runtime_env,
        secrets=found.secrets,
        gpu_variables=gpu_variables,
    )
    folder = ensure_private_dir(os.path.join(ctx.places.logs, profile.name))
    return LaunchRequest(
        launch_id,
        profile.name,
        ctx.site_id,
        server_argv(
            profile._replace(argv=told.argv), binary=found.binary, port=found.port or 0, extra=told.words
        ),
        environment,
        log_path=os.path.join(folder, f"{ctx.clock.now()}-{launch_id}.log"),
        exit_path=os.path.join(ensure_private_dir(ctx.places.exits), launch_id),
        cwd=profile.runtime.cwd or "/",
    )


def _intent(
    ctx: Context,
    profile: Profile,
    found: Found,
    request: LaunchRequest | ContainerRequest,
    git: tuple[str | None, int | None],
) -> Intent:
    """The row as it is committed before anything is spawned."""
    prefix, cpus = profile.arg("api-prefix"), profile.resources.cpus
    intent = Intent(
        launch_id=request.launch_id,
        launch_hash=profile.launch_hash,
        profile_hash=profile.profile_hash,
        kind=profile.runtime.kind,
        project=profile.project,
        host=profile.listen.host,
        port=found.port,
        boot_id=boot_id(ctx.host),
        log_path=request.log_path,
        exit_path=request.exit_path,
        git_commit=git[0],
        git_dirty=git[1],
        gpus=None,
        model_path=profile.model.path,
        model_size_bytes=found.model_size_bytes,
        model_mtime_ns=found.model_mtime_ns,
        binary=found.binary,
        binary_identity=file_identity(found.binary),
        argv=json.dumps(list(request.argv)),
        environment=json.dumps(_shown(request.environment, profile, found.secrets)),
        working_directory=request.cwd,
        api_prefix=prefix if isinstance(prefix, str) else None,
        scheme="https" if profile.arg("ssl-cert-file") is not None else "http",
        gpu_memory_declared_mib=profile.resources.gpu_memory_mib,
        gpu_memory_estimated_mib=None,
        memory_limit_mib=profile.resources.memory_mib,
        cpu_limit_milli=None if cpus is None else round(1000 * cpus),
        inputs=json.dumps(identities(ctx, profile, found.binary)),
        oom_kills=read_oom_kills(ctx.host),
    )
    return intent if isinstance(request, LaunchRequest) else _boxed(intent, request, found)


def _boxed(intent: Intent, request: ContainerRequest, found: Found) -> Intent:
    """The same with what only a container has."""
    return intent._replace(
        binary=None,
        binary_identity=found.binary,
        environment=json.dumps(dict(request.environment)),
        container_name=request.name,
        image=request.image,
        image_digest=request.image_digest,
        port_mappings=request.port_mappings,
        engine=request.engine,
        host=None if found.port is None else intent.host,
    )


def launch(ctx: Context, prepared: Prepared, instance_id: int) -> None:
    """Spawn what was intended and store who runs it. A spawn that fails leaves the intent for the next look."""
    if not isinstance(prepared.request, LaunchRequest):
        from llamaagent.reconcile.containerstart import launch_container

        launch_container(ctx, prepared.request, instance_id)
        return
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


def _shown(
    environment: tuple[tuple[str, str], ...], profile: Profile, secrets: tuple[tuple[str, str], ...]
) -> dict[str, str]:
    """The environment as it may be stored: secrets as their references."""
    shown = dict(environment)
    for (name, _), (_, ref) in zip(secrets, profile.secrets, strict=True):
        shown[name] = str(ref)
    return shown
