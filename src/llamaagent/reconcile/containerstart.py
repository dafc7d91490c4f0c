"""From a profile to a running container: the words it is given, the engine told, its first process named."""

from __future__ import annotations

import contextlib
import json
import os

from llamaagent.base.errors import CannotCreateError, LlamaAgentError
from llamaagent.base.paths import ensure_private_dir
from llamaagent.base.record import NamedTuple
from llamaagent.engine import body
from llamaagent.engine.client import EngineError
from llamaagent.launch.command import server_argv
from llamaagent.launch.identity import identify
from llamaagent.launch.visible import visible_variables
from llamaagent.reconcile.containergate import engine_for, image_of, visible_path
from llamaagent.reconcile.imagehelp import image_options, refuse_unknown
from llamaagent.store.containers import ContainerStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.sample import GpuSample
    from llamaagent.engine.container import Container
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.fitted import Fitting
    from llamaagent.reconcile.gates import Found

_KEY_FILE = "--api-key-file"
_NODES = {"amd": ("/dev/kfd", "/dev/dri"), "intel": ("/dev/dri",)}  # where an engine has no request for cards
# What an engine says when it cannot start, and the word for it; the first that is found.
_FAULTS = (
    ("port is already allocated", "port-taken"),
    ("address already in use", "port-taken"),
    ("could not select device driver", "gpu-missing"),
    ("unresolvable cdi devices", "gpu-missing"),
    ("executable file not found", "bad-command"),
    ("no such file or directory", "bad-command"),
    ("permission denied", "bad-command"),
    ("no such image", "missing-image"),
)


class NotStartedError(LlamaAgentError):
    """The engine did not make or start it. reason: of docs/reasons.md."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class ContainerRequest(NamedTuple):
    """All that a launch needs. argv: its command, as it is stored. secrets: name, value."""

    launch_id: str
    profile: Profile
    engine: str
    name: str
    image: str
    image_digest: str
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    log_path: str
    wanted: body.Wanted
    secrets: tuple[tuple[str, str], ...] = ()
    cwd: str | None = None
    exit_path: str | None = None  # the engine keeps the exit status

    @property
    def port_mappings(self) -> str:
        """As JSON."""
        return json.dumps(body.port_mappings(self.profile, self.wanted))


def container_request(
    ctx: Context, profile: Profile, found: Found, told: Fitting, gpus: GpuReading
) -> ContainerRequest:
    """Put a launch together, under a new id. Raises HeldError, and CannotCreateError for our own folders."""
    launch_id = os.urandom(8).hex()
    keys, image = body.keys_of(profile), image_of(ctx, profile)
    engine = engine_for(ctx, profile)
    command = _command(profile._replace(argv=told.argv), keys, found, told.words)
    if profile.is_server:
        refuse_unknown(keys.image, told.argv, image_options(ctx, profile, engine, image.id))
    chosen = [card for uuid in found.placement.uuids for card in gpus.cards if card.uuid == uuid]
    others = [card for card in chosen if card.vendor != "nvidia"]
    environment = _environment(profile, others)
    files = [word for word in (profile.model.path, *(command or ())) if word and visible_path(word)]
    private = _secrets_folder(ctx, launch_id)
    secrets = tuple((f"{private}/{n}", f"{body.SECRETS_FOLDER}/{n}", False) for n, _ in found.secrets)
    wanted = body.Wanted(
        launch_id,
        ctx.site_id,
        command,
        environment,
        found.port,
        (*body.folders(files), *secrets),
        tuple(card.uuid for card in chosen if card.vendor == "nvidia"),
        tuple(dict.fromkeys(node for card in others for node in _NODES.get(card.vendor, ()))),
        ctx.settings.log_max_size_bytes or 64 << 20,
    )
    return ContainerRequest(
        launch_id,
        profile,
        engine.url,
        body.container_name(profile.name, launch_id),
        keys.image,
        image.digest,
        command or image.program,
        environment,
        new_log(ctx, profile.name, launch_id),
        wanted,
        found.secrets,
        profile.runtime.cwd,
    )


def new_log(ctx: Context, profile: str, launch_id: str) -> str:
    """Path of the log of a new launch; its folder is there."""
    folder = ensure_private_dir(os.path.join(ctx.places.logs, profile))
    return os.path.join(folder, f"{ctx.clock.now()}-{launch_id}.log")


def _environment(profile: Profile, others: list[GpuSample]) -> tuple[tuple[str, str], ...]:
    """What the profile says; NVIDIA's cards are chosen by the engine, those of other makers by variables."""
    variables = visible_variables([card.uuid for card in others], others) if others else ()
    return body.environment_of(dict(profile.runtime.env), variables)


def _command(
    profile: Profile, keys: body.Keys, found: Found, extra: tuple[str, ...]
) -> tuple[str, ...] | None:
    """The words behind the image; those of a llama-server follow what the profile says. None = the image's own."""
    if not profile.is_server:
        return keys.command
    port = body.inside_port(profile, found.port or body.INSIDE)
    words = server_argv(profile, binary=keys.image, port=port, host=body.inside_host(profile), extra=extra)[
        1:
    ]
    if any(name == "api-key" for name, _ in found.secrets):
        words = (*words, _KEY_FILE, f"{body.SECRETS_FOLDER}/api-key")
    return (*(keys.command or ()), *words)


def launch_container(ctx: Context, request: ContainerRequest, instance_id: int) -> None:
    """Make and start what was intended. Raises NotStartedError with nothing left behind, EngineError."""
    ctx.checkpoint("after-intent")
    engine = ctx.engines().at(request.engine)
    _write_secrets(ctx, request)
    container_id = None
    try:
        host = body.host_arguments(request.profile, request.wanted, engine.kind)
        container_id = engine.create(request.name, body.arguments(request.profile, request.wanted), host)
        ContainerStore(ctx.db).made(instance_id, container_id)
        ctx.checkpoint("after-spawn")
        engine.start(container_id)
        found = engine.inspect(container_id)
    except EngineError as error:
        if container_id is not None:
            with contextlib.suppress(EngineError):
                engine.remove(container_id, force=True)
        remove_secrets(ctx, request.launch_id)
        raise NotStartedError(str(error), _reason(error)) from error
    note_server(ctx, instance_id, found)
    ctx.checkpoint("after-pid")


def note_server(ctx: Context, instance_id: int, found: Container | None) -> None:
    """Name the first process of a container by its pid here, as far as that can be seen from here."""
    server = identify(found.pid, ctx.host) if found is not None and found.pid else None
    if server is not None:
        ctx.instances.spawned(instance_id, None, server, ctx.clock.now())


def _reason(error: EngineError) -> str:
    text = str(error).lower()
    return next((word for part, word in _FAULTS if part in text), "not-launched")


def _secrets_folder(ctx: Context, launch_id: str) -> str:
    return os.path.join(ctx.places.state, "secrets", launch_id)


def _write_secrets(ctx: Context, request: ContainerRequest) -> None:
    """One file each, mode 0600, for the container's user where that is a number and we may give it away."""
    if not request.secrets:
        return
    ensure_private_dir(os.path.dirname(_secrets_folder(ctx, request.launch_id)))
    folder = ensure_private_dir(_secrets_folder(ctx, request.launch_id))
    user = (body.keys_of(request.profile).user or "").partition(":")[0]
    for name, value in request.secrets:
        try:
            fd = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(value)
                if user.isdigit() and os.geteuid() == 0:
                    os.chown(file.fileno(), int(user), -1)
        except OSError as error:
            raise CannotCreateError(f"cannot write secret {folder}/{name}: {error.strerror}") from error


def remove_secrets(ctx: Context, launch_id: str | None) -> None:
    """The launch is over."""
    if launch_id is None:
        return
    folder = _secrets_folder(ctx, launch_id)
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)
