"""A container as its engine describes it. Pure: JSON of `GET /containers/ID/json` and of the events in, records out.

Source: the Docker Engine API, version 1.41 and later; Podman's answers to the same questions.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

PREFIX = "io.llamaagent."
SITE, PROFILE, LAUNCH_ID = f"{PREFIX}site", f"{PREFIX}profile", f"{PREFIX}launch-id"
PROJECT, LAUNCH_HASH, PORT = f"{PREFIX}project", f"{PREFIX}launch-hash", f"{PREFIX}port"
_ALIVE = frozenset({"running", "paused", "restarting", "stopping"})
_LARGEST_SIGNAL = 64
_CDI = "nvidia.com/gpu="


class Container(NamedTuple):
    """One container. status: created, running, paused, restarting, removing, exited, dead (Podman: stopping too)."""

    id: str
    name: str
    status: str
    pid: int | None  # of its first process, on the host; None = it has none now
    exit_code: int | None
    exit_signal: int | None
    oom_killed: bool
    error: str | None  # what the engine could not do
    health: str | None  # healthy, unhealthy, starting; None = the image has no health check
    image: str
    image_id: str | None
    created: str | None  # RFC 3339
    started: str | None
    finished: str | None
    labels: Mapping[str, str]
    log_path: str | None
    network: str | None
    ports: Mapping[str, str]  # inside -> host, numbers as text
    gpus: tuple[str, ...]  # uuids or indexes asked for; "all"
    memory_bytes: int | None  # limit
    cpu_milli: int | None  # limit

    @property
    def alive(self) -> bool:
        """Whether a process runs, or is stopped in its tracks."""
        return self.status in _ALIVE and self.pid is not None


def read_container(found: Mapping[str, Any]) -> Container:
    """Read an inspect answer; whatever is missing or of another type is None."""
    state, config, host = (_map(found, key) for key in ("State", "Config", "HostConfig"))
    status = str(state.get("Status") or "").lower()
    over = status in {"exited", "dead", "stopped"}
    code, signal = exit_of(_number(state.get("ExitCode"))) if over else (None, None)
    nano = _number(host.get("NanoCpus"))
    quota, period = _number(host.get("CpuQuota")), _number(host.get("CpuPeriod")) or 100_000
    return Container(
        id=str(found.get("Id") or ""),
        name=str(found.get("Name") or "").lstrip("/"),
        status=status,
        pid=_number(state.get("Pid")) or None,
        exit_code=code,
        exit_signal=signal,
        oom_killed=state.get("OOMKilled") is True,
        error=_said(state.get("Error")),
        health=_said(_map(state, "Health").get("Status") or _map(state, "Healthcheck").get("Status")),
        image=str(config.get("Image") or found.get("ImageName") or ""),
        image_id=_said(found.get("Image")),
        created=_said(found.get("Created")),
        started=_time(state.get("StartedAt")),
        finished=_time(state.get("FinishedAt")),
        labels={str(key): str(value) for key, value in _map(config, "Labels").items()},
        log_path=_said(found.get("LogPath")),
        network=_said(host.get("NetworkMode")),
        ports=_ports(found, host),
        gpus=gpus_of(found),
        memory_bytes=_number(host.get("Memory")) or None,
        cpu_milli=nano // 1_000_000 if nano else 1000 * quota // period if quota and quota > 0 else None,
    )


def exit_of(status: int | None) -> tuple[int | None, int | None]:
    """(exit code, signal): engines, as shells, say 128 + n for an end by signal n."""
    if status is not None and 128 < status <= 128 + _LARGEST_SIGNAL:
        return None, status - 128
    return status, None


def gpus_of(found: Mapping[str, Any]) -> tuple[str, ...]:
    """The NVIDIA cards that a container was given: by its device requests, else its variables, else its devices."""
    host, config = _map(found, "HostConfig"), _map(found, "Config")
    asked: list[str] = []
    for request in _list(host, "DeviceRequests"):
        if not isinstance(request, dict):
            continue
        ids = [str(one).removeprefix(_CDI) for one in _list(request, "DeviceIDs")]
        asked += ids or (["all"] if request.get("Count") == -1 else [])
    if asked:
        return tuple(asked)
    words = [str(word).removeprefix(_CDI) for word in _list(config, "CreateCommand") if _CDI in str(word)]
    words = [word.rpartition(_CDI)[2] for word in words]
    if words:
        return tuple(words)
    variables = dict(str(one).partition("=")[::2] for one in _list(config, "Env"))
    visible = variables.get("NVIDIA_VISIBLE_DEVICES", "")
    if visible not in {"", "void", "none"} and host.get("Runtime") == "nvidia":
        return tuple(word for word in visible.split(",") if word)
    paths = [str(one.get("PathOnHost")) for one in _list(host, "Devices") if isinstance(one, dict)]
    numbers = [path.removeprefix("/dev/nvidia") for path in paths]
    return tuple(number for number in numbers if number.isdigit())


def _ports(found: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, str]:
    """What is really published, else what was asked for: an engine without a bridge publishes nothing."""
    for source in (_map(_map(found, "NetworkSettings"), "Ports"), _map(host, "PortBindings")):
        made = {}
        for inside, bindings in source.items():
            outer = next((one.get("HostPort") for one in bindings or () if isinstance(one, dict)), None)
            if outer:
                made[str(inside).removesuffix("/tcp")] = str(outer)
        if made:
            return made
    return {}


class Event(NamedTuple):
    """Something that happened to a container. ns: Unix nanoseconds. attributes: of the container, its labels too."""

    ns: int
    action: str
    container_id: str
    attributes: Mapping[str, str]


def read_event(found: object) -> Event | None:
    """Read one event; None for what is about something else. Podman's words become Docker's."""
    if not isinstance(found, dict) or found.get("Type") != "container":
        return None
    actor = _map(found, "Actor")
    ns = _number(found.get("timeNano")) or 1_000_000_000 * (_number(found.get("time")) or 0)
    action = str(found.get("Action") or found.get("status") or "").partition(":")[0].strip()
    action = {"died": "die", "remove": "destroy"}.get(action, action)
    attributes = {str(key): str(value) for key, value in _map(actor, "Attributes").items()}
    if "containerExitCode" in attributes:
        attributes.setdefault("exitCode", attributes["containerExitCode"])
    return Event(ns, action, str(actor.get("ID") or found.get("id") or ""), attributes)


def _map(found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = found.get(key)
    return value if isinstance(value, dict) else {}


def _list(found: Mapping[str, Any], key: str) -> list[Any]:
    value = found.get(key)
    return value if isinstance(value, list) else []


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _said(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _time(value: object) -> str | None:
    """None for what has not happened: engines write the year 1."""
    text = _said(value)
    return None if text is None or text.startswith("0001-") else text
