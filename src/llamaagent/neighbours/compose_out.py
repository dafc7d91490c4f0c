"""`export compose`: profiles as services of a compose file. Pure; gives plain data, not YAML.

No service restarts by itself (`restart: "no"`): an export must not make a second supervisor. Compose replaces `$NAME`
in every value, so each `$` of ours is doubled; only references to secrets are meant.
Source: the compose specification.
"""

from __future__ import annotations

import json

from llamaagent.base.units import parse_mib
from llamaagent.neighbours.compose_cards_out import cards
from llamaagent.neighbours.compose_mounts_out import mounts
from llamaagent.neighbours.outgoing import Left, left_out, supported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any

    from llamaagent.neighbours.outgoing import Server

IMAGES = "ghcr.io/ggml-org/llama.cpp"
INSIDE = 8080  # where a server listens in a container of ours
_CARRIED = (
    *(
        "state",
        "runtime",
        "resources.memory",
        "resources.cpus",
        "resources.gpus",
        "listen",
        "secrets",
        "labels",
    ),
    *(
        "health.probe",
        "health.path",
        "health.command",
        "health.start_timeout",
        "health.timeout",
        "health.failures",
    ),
    "stop.grace",
)
_REASONS = {
    "restart": "compose is to start it and not to keep it: one supervisor is enough",
    "schedule": "compose has no hours",
    "stop.drain": "compose waits for no request",
    "health.stuck_after": "compose asks for the health only",
    "idle.stop_after": "compose stops no idle service",
}
_PATHS = ("/", ".", "~")  # how a source begins that is a folder and no volume of the engine's
_CACHE = "/root/.cache"  # of llama.cpp's images
_MODES = {"host", "none", "bridge"}


class Reference(str):
    """Text whose `$` compose is meant to see."""

    __slots__ = ()


def compose_document(
    servers: Sequence[Server], path_options: Collection[str], image: str | None
) -> tuple[dict[str, Any], list[Left]]:
    """The whole file as plain data, and what it does not say. image: for profiles that run a process here."""
    kept, left = supported(servers, {"process", "container"})
    top: dict[str, dict[str, Any]] = {"services": {}, "secrets": {}, "networks": {}, "volumes": {}}
    for server in kept:
        service, missing = _service(server, path_options, image, top)
        top["services"][server.name] = service
        left += [*missing, *left_out(server.profile, _CARRIED, _REASONS)]
    document = {key: _doubled(value) for key, value in top.items() if value}
    return document if kept else {}, left


def _service(
    server: Server, path_options: Collection[str], image: str | None, top: dict[str, dict[str, Any]]
) -> tuple[dict[str, Any], list[Left]]:
    profile = server.profile
    container: dict[str, Any] = json.loads(profile.runtime.container or "{}")
    chosen = container.get("image") or image or _default_image(server)
    left = _lost_of_runtime(server, container, image, chosen)
    service: dict[str, Any] = {"image": chosen, **_how(server, container)}
    if profile.state == "stopped":
        service["profiles"] = ["stopped"]  # `compose up` leaves it alone
    environment, missing = _environment(server, service, top)
    devices, choice, unsaid = cards(server, chosen)
    service |= devices
    service["environment"] = environment | choice
    if not service["environment"]:
        del service["environment"]
    volumes = container.get("volumes", [])
    service["volumes"] = [*volumes, *mounts(profile, path_options, volumes)]
    top["volumes"] |= {name: {"name": name} for name in map(_source, volumes) if not name.startswith(_PATHS)}
    if profile.model.hf or profile.model.url or profile.model.docker:
        service["volumes"].append(f"llama-cache:{_CACHE}")
        top["volumes"]["llama-cache"] = {}
    _limits(server, service)
    _network(server, container, service, top)
    service["healthcheck"] = _healthcheck(server, container)
    service |= {"restart": "no", "stop_grace_period": f"{max(1, profile.stop.grace_s)}s"}
    if profile.labels:
        service["labels"] = dict(profile.labels)
    if container.get("devices"):
        service["devices"] = [*service.get("devices", []), *container["devices"]]
    return {key: value for key, value in service.items() if value != []}, [*left, *missing, *unsaid]


def _source(volume: str) -> str:
    return volume.partition(":")[0]


def _default_image(server: Server) -> str:
    return f"{IMAGES}:server" if server.profile.resources.gpus == "none" else f"{IMAGES}:server-cuda"


def _lost_of_runtime(server: Server, container: dict[str, Any], image: str | None, chosen: str) -> list[Left]:
    """What of `runtime` the other kind of runtime cannot say."""
    runtime, left = server.profile.runtime, []
    if runtime.kind == "process":
        if image is None:
            left.append(
                Left(server.name, "runtime.binary", f"a service needs an image, {chosen} (or --image)")
            )
        if runtime.wrap:
            left.append(
                Left(server.name, "runtime.wrap", "what wraps the server here may not be in the image")
            )
        if runtime.cwd:
            left.append(Left(server.name, "runtime.cwd", "the folder need not be in the image"))
    elif container.get("engine") == "podman":
        left.append(Left(server.name, "runtime.engine", "it is whoever runs the compose file"))
    return left


def _how(server: Server, container: dict[str, Any]) -> dict[str, Any]:
    """The command and the keys that compose has by nearly the same name."""
    made: dict[str, Any] = {"command": container.get("command") or _command(server, container)}
    names = (
        ("entrypoint", "entrypoint"),
        ("user", "user"),
        ("read_only", "read_only"),
        ("cap_drop", "cap_drop"),
    )
    made |= {key: container[name] for name, key in names if container.get(name)}
    if container.get("no_new_privileges", True):
        made["security_opt"] = ["no-new-privileges:true"]
    if container.get("pull", "missing") != "missing":
        made["pull_policy"] = container["pull"]
    if container.get("shm_size"):
        made["shm_size"] = f"{parse_mib(container['shm_size'])}m"
    if container and server.profile.runtime.cwd:
        made["working_dir"] = server.profile.runtime.cwd
    return made


def _command(server: Server, container: dict[str, Any]) -> list[str]:
    """The options alone: the image's entry point is the server."""
    host = "0.0.0.0"  # noqa: S104 - inside of the container
    port = server.profile.runtime.port or INSIDE
    if container.get("network") == "host":
        host, port = server.profile.listen.host, server.port
    words = list(server.at(host, str(port))[server.head :])
    if server.profile.model.url is not None:  # into the volume that is kept
        words[words.index("--model") + 1] = f"{_CACHE}/llama.cpp/{server.profile.model.url_file}"
    return words


def _environment(
    server: Server, service: dict[str, Any], top: dict[str, dict[str, Any]]
) -> tuple[dict[str, str], list[Left]]:
    made: dict[str, str] = dict(server.profile.runtime.env)
    left: list[Left] = []
    for secret in server.secrets:
        if secret.by_path:
            name = f"{server.name}-{secret.variable.lower()}"
            top["secrets"][name] = {"file": secret.value}
            service.setdefault("secrets", []).append(name)
            made[secret.variable] = f"/run/secrets/{name}"
        elif secret.kind == "env":
            made[secret.variable] = Reference(f"${{{secret.value}:?{secret.value} is not set}}")
        else:
            left.append(
                Left(server.name, f"secrets.{secret.option}", "compose reads no variable from a file")
            )
    return made, left


def _limits(server: Server, service: dict[str, Any]) -> None:
    resources = server.profile.resources
    limits: dict[str, str] = {}
    if resources.cpus is not None:
        limits["cpus"] = f"{resources.cpus:g}"
    if resources.memory_mib is not None:
        limits["memory"] = f"{resources.memory_mib}m"
    if limits:
        service.setdefault("deploy", {}).setdefault("resources", {})["limits"] = limits


def _network(
    server: Server, container: dict[str, Any], service: dict[str, Any], top: dict[str, dict[str, Any]]
) -> None:
    """The host's port of the profile leads to the server's; nothing else listens to the world unasked."""
    profile, network = server.profile, container.get("network")
    if network is not None and (network in _MODES or network.startswith("container:")):
        service["network_mode"] = network
    elif network is not None:
        service["networks"] = [network]
        top["networks"][network] = {"external": True}
    if network in {"host", "none"} or (network or "").startswith("container:"):
        return
    host = profile.listen.host
    shown = f"[{host}]" if ":" in host else host
    service["ports"] = [
        f"{shown}:{server.port}:{profile.runtime.port or INSIDE}",
        *container.get("ports", []),
    ]


def _healthcheck(server: Server, container: dict[str, Any]) -> dict[str, Any]:
    health = server.profile.health
    if health.probe == "none":
        return {"disable": True}
    port = server.port if container.get("network") == "host" else server.profile.runtime.port or INSIDE
    url = f"{server.scheme}://127.0.0.1:{port}{server.prefix}{health.path}"
    test = ["CMD", "curl", "-fsS", *(["-k"] if server.scheme == "https" else []), "-o", "/dev/null", url]
    if health.probe == "command" and health.command:
        test = ["CMD-SHELL", health.command]
    return {
        "test": test,
        "interval": "30s",
        "timeout": f"{health.timeout_s}s",
        "retries": health.failures,
        "start_period": f"{health.start_timeout_s or 86400}s",
    }


def _doubled(value: Any) -> Any:
    """Every text with its `$` doubled."""
    if isinstance(value, Reference):
        return str(value)
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _doubled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_doubled(item) for item in value]
    return value
