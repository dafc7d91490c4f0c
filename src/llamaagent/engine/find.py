"""Where a container engine listens: its socket, from the environment, docker's contexts or the usual places.

Sources: docker's "Docker contexts" and "Run the Docker daemon as a non-root user", podman-system-service(1),
podman(1) for CONTAINER_HOST.
"""

from __future__ import annotations

import json
import os
from hashlib import sha256

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DOCKER, PODMAN = "docker", "podman"
_UNIX = "unix://"
_HINTS = {
    DOCKER: "start it, or say where it is: DOCKER_HOST=unix:///PATH",
    PODMAN: "systemctl enable --now podman.socket, or say where it is: CONTAINER_HOST=unix:///PATH",
}


class Endpoint(NamedTuple):
    """An address of an engine, such as `unix:///run/docker.sock`, and what named it."""

    url: str
    origin: str

    @property
    def path(self) -> str | None:
        """Of its socket; None when it is reached by TCP."""
        return self.url.removeprefix(_UNIX) if self.url.startswith(_UNIX) else None


def named(environ: Mapping[str, str], engine: str | None, home: str) -> Endpoint | None:
    """What the environment or docker's chosen context names. engine: docker, podman, None = either."""
    for variable, kind in (("DOCKER_HOST", DOCKER), ("CONTAINER_HOST", PODMAN)):
        if environ.get(variable) and engine in {kind, None}:
            return Endpoint(environ[variable], variable)
    if engine == PODMAN:
        return None
    folder = environ.get("DOCKER_CONFIG") or f"{home}/.docker"
    context = environ.get("DOCKER_CONTEXT") or _text(_read_json(f"{folder}/config.json"), "currentContext")
    if not context or context == "default":
        return None
    meta = f"{folder}/contexts/meta/{sha256(context.encode()).hexdigest()}/meta.json"
    host = _text(_read_json(meta), "Endpoints", "docker", "Host")
    return Endpoint(host, f"docker context {context}") if host else None


def usual(environ: Mapping[str, str], engine: str | None, uid: int) -> tuple[Endpoint, ...]:
    """Where engines listen that nobody has moved; the user's own before the machine's, Docker before Podman."""
    runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    places: list[tuple[str, str, str]] = []
    for kind, name in ((DOCKER, "docker.sock"), (PODMAN, "podman/podman.sock")):
        if engine in {kind, None}:
            places.append((kind, f"{runtime}/{name}", "rootless"))
            places += [(kind, f"{folder}/{name}", "system") for folder in ("/run", "/var/run")]
    return tuple(Endpoint(f"{_UNIX}{path}", f"{kind}, {whose}") for kind, path, whose in places)


def find(
    environ: Mapping[str, str], engine: str | None, *, home: str, uid: int, remembered: str | None = None
) -> Endpoint:
    """Name the engine to speak to. Raises ServiceUnavailableError when none is there.

    What the environment names holds, whether it is there or not. remembered: the address of an earlier look; it
    holds while its socket exists, so that cron finds the engine that the shell found.
    """
    said = named(environ, engine, home)
    if said is not None:
        return said
    if remembered is not None:
        kept = Endpoint(remembered, "remembered")
        if kept.path is None or os.path.exists(kept.path):
            return kept
    for endpoint in usual(environ, engine, uid):
        if endpoint.path is not None and os.path.exists(endpoint.path):
            return endpoint
    raise ServiceUnavailableError(
        f"no container engine is there{'' if engine is None else f' ({engine})'}",
        hint=_HINTS.get(engine or DOCKER),
    )


def _read_json(path: str) -> object:
    try:
        with open(path, encoding="utf-8") as file:
            return json.loads(file.read(1 << 20))
    except (OSError, ValueError):
        return None


def _text(found: object, *keys: str) -> str | None:
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) and found else None
