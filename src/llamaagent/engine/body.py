"""What an engine is told when a container is made. Pure: a profile and what was found for it in, arguments out.

The engine never restarts it, whatever happens: there is one supervisor. The names are those of the package docker's
`create_container` and `create_host_config`, which are the API's in another spelling.
"""

from __future__ import annotations

import json
import os

from llamaagent.base.record import NamedTuple
from llamaagent.base.units import parse_size
from llamaagent.engine import container as label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from llamaagent.domain.profile import Profile

INSIDE = 8080  # llama.cpp's own default
_HOST, _NONE = "host", "none"
_OWN_NETWORKS = (_HOST, _NONE, "container:")
SECRETS_FOLDER = "/run/secrets"


class Wanted(NamedTuple):
    """What is known of a launch besides its profile. host_port None: nothing is published.

    mounts: (path here, path inside, may write). devices: nodes of cards that have no device request (AMD, Intel).
    """

    launch_id: str
    site_id: str
    command: tuple[str, ...] | None
    environment: tuple[tuple[str, str], ...]
    host_port: int | None
    mounts: tuple[tuple[str, str, bool], ...] = ()
    gpus: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    log_bytes: int = 64 << 20


class Keys(NamedTuple):
    """The keys of `runtime` that only containers have, as the profile says them."""

    image: str
    engine: str | None = None
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    network: str | None = None
    user: str | None = None
    shm_size: str | int | None = None
    devices: tuple[str, ...] = ()
    read_only: bool = False
    cap_drop: tuple[str, ...] = ()
    no_new_privileges: bool = True
    pull: str = "missing"

    @property
    def shares_network(self) -> bool:
        """Whether its ports are those of the host, or of another container, or none: nothing can be published."""
        return (self.network or "").startswith(_OWN_NETWORKS)


def keys_of(profile: Profile) -> Keys:
    """The container's keys of a profile of that kind."""
    found = json.loads(profile.runtime.container or "{}")
    lists = {key: tuple(value) for key, value in found.items() if isinstance(value, list)}
    known = {key: value for key, value in {**found, **lists}.items() if key in Keys._fields}
    return Keys(**known)


def container_name(profile: str, launch_id: str) -> str:
    """A name that no container had before, so that none in the middle of its removal stands in the way."""
    return f"llamaagent-{profile}-{launch_id[:8]}"


def labels_of(profile: Profile, wanted: Wanted) -> dict[str, str]:
    """By which the container is known again, the profile's own labels beside them."""
    mine = {
        label.SITE: wanted.site_id,
        label.PROFILE: profile.name,
        label.PROJECT: profile.project,
        label.LAUNCH_ID: wanted.launch_id,
        label.LAUNCH_HASH: profile.launch_hash,
    }
    if wanted.host_port is not None:
        mine[label.PORT] = str(wanted.host_port)
    return {**dict(profile.labels), **mine}


def arguments(profile: Profile, wanted: Wanted) -> dict[str, Any]:
    """Of `create_container`."""
    keys = keys_of(profile)
    ports = [] if keys.shares_network else [inside for inside, _ in _published(profile, keys, wanted)]
    return {
        "image": keys.image,
        "command": None if wanted.command is None else list(wanted.command),
        "entrypoint": None if keys.entrypoint is None else list(keys.entrypoint),
        "environment": dict(wanted.environment),
        "labels": labels_of(profile, wanted),
        "user": keys.user,
        "working_dir": profile.runtime.cwd,
        "ports": [(int(port), protocol) for port, _, protocol in (one.partition("/") for one in ports)],
        "stdin_open": False,
        "tty": False,
        "detach": True,
    }


def host_arguments(profile: Profile, wanted: Wanted, kind: str) -> dict[str, Any]:
    """Of `create_host_config`. kind: docker or podman."""
    keys, asked = keys_of(profile), profile.resources
    made: dict[str, Any] = {
        "restart_policy": {"Name": "no"},
        "network_mode": keys.network or None,
        "binds": [*_binds(wanted.mounts), *keys.volumes] or None,
        "read_only": keys.read_only,
        "cap_drop": list(keys.cap_drop) or None,
        "security_opt": ["no-new-privileges"] if keys.no_new_privileges else None,
        "devices": [*keys.devices, *(f"{path}:{path}:rwm" for path in wanted.devices)] or None,
        "shm_size": None if keys.shm_size is None else parse_size(f"{keys.shm_size}"),
        "nano_cpus": None if asked.cpus is None else round(asked.cpus * 1e9),
        "mem_limit": None if asked.memory_mib is None else asked.memory_mib << 20,
        "memswap_limit": None if asked.memory_mib is None else asked.memory_mib << 20,
        "device_requests": gpu_requests(wanted.gpus, kind) or None,
    }
    if not keys.shares_network:
        made["port_bindings"] = dict(_published(profile, keys, wanted)) or None
    made["log_config"] = _log(max(1 << 20, wanted.log_bytes), kind)
    return {key: value for key, value in made.items() if value is not None}


def _log(size_bytes: int, kind: str) -> dict[str, Any]:
    """Where the engine keeps its output: Docker in two files by turns; Podman in one, which it empties when full."""
    if kind == "podman":
        return {"Type": "k8s-file", "Config": {"max-size": f"{size_bytes}"}}
    return {"Type": "json-file", "Config": {"max-size": f"{size_bytes // 2}", "max-file": "2"}}


def gpu_requests(uuids: Iterable[str], kind: str) -> list[dict[str, Any]]:
    """Cards by their uuid: Docker's own request, or by their names of the container device interface."""
    ids = list(uuids)
    if not ids:
        return []
    if kind == "podman":
        return [{"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={one}" for one in ids]}]
    return [{"Driver": "", "DeviceIDs": ids, "Capabilities": [["gpu"]]}]


def port_mappings(profile: Profile, wanted: Wanted) -> dict[str, str]:
    """Inside -> host, as the seeds write it; what shares the host's network has its own port there."""
    keys = keys_of(profile)
    if keys.shares_network:
        own = wanted.host_port if keys.network == _HOST else None
        return {} if own is None else {str(own): str(own)}
    return {
        inside.removesuffix("/tcp"): str(outer[-1]) for inside, outer in _published(profile, keys, wanted)
    }


def _published(profile: Profile, keys: Keys, wanted: Wanted) -> list[tuple[str, tuple[str, str]]]:
    """(port inside with its protocol, (address, port) on the host)."""
    made = []
    if wanted.host_port is not None:
        made.append((f"{profile.runtime.port or INSIDE}/tcp", (profile.listen.host, str(wanted.host_port))))
    for text in keys.ports:
        rest, _, protocol = text.partition("/")
        outer, _, inside = rest.rpartition(":")
        address, _, number = outer.rpartition(":")
        made.append((f"{inside}/{protocol or 'tcp'}", (address.strip("[]") or "127.0.0.1", number or inside)))
    return made


def _binds(mounts: Iterable[tuple[str, str, bool]]) -> list[str]:
    return [f"{outside}:{inside}:{'rw' if writable else 'ro'}" for outside, inside, writable in mounts]


def inside_port(profile: Profile, host_port: int) -> int:
    """The port that a server is told to listen on."""
    keys = keys_of(profile)
    return host_port if keys.network == _HOST else profile.runtime.port or INSIDE


def inside_host(profile: Profile) -> str:
    """The address that a server is told to listen on: published ports come in from outside of the container."""
    return profile.listen.host if keys_of(profile).network == _HOST else "0.0.0.0"  # noqa: S104


def folders(paths: Iterable[str]) -> tuple[tuple[str, str, bool], ...]:
    """Mounts by which files are seen inside under the same path; a folder in another is in it already."""
    found = sorted({os.path.dirname(path) for path in paths})
    kept: list[str] = []
    for folder in found:
        if folder != "/" and not any(folder == one or folder.startswith(f"{one}/") for one in kept):
            kept.append(folder)
    return tuple((folder, folder, False) for folder in kept)


def environment_of(
    variables: Mapping[str, str], extra: Iterable[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    """Variables as they are handed over, sorted."""
    return tuple(sorted({**variables, **dict(extra)}.items()))
