"""What may stand in a profile and in the settings: every key, its kind, its bounds. Data only.

`check.py` reads this; the defaults stand in `document.py` (profiles) and in `domain/settings.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Spec(NamedTuple):
    """What one key takes.

    kind: text | path | binary | duration | size | rate | count | int | number | bool | choice | list | map |
    texts (free names to text) | env | secrets | gpus | port | range | window | zone | command | args |
    projects | profile.
    """

    kind: str
    keys: Mapping[str, Spec] = {}
    item: str = "text"  # kind of a list's entries; of the names of secrets: text, or host
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    never: bool = False  # `never` is an answer


TEXT, PATH, BOOL, SIZE = Spec("text"), Spec("path"), Spec("bool"), Spec("size")
NAME_PATTERN = "[a-z0-9][a-z0-9._-]*"


def _map(**keys: Spec) -> Spec:
    return Spec("map", keys=keys)


def _every(*, never: bool = True, low: int = 0) -> Spec:
    return Spec("duration", never=never, low=low)


def _choice(*words: str) -> Spec:
    return Spec("choice", choices=words)


def _int(low: int, high: int | None = None) -> Spec:
    return Spec("int", low=low, high=high)


TEXTS = Spec("list")
RUNTIME_KEYS = {  # kind -> what may stand in `runtime` beside it
    "process": ("binary", "env", "wrap", "cwd"),
    "container": (
        *(
            "image",
            "engine",
            "command",
            "entrypoint",
            "env",
            "cwd",
            "volumes",
            "port",
            "ports",
            "network",
            "user",
        ),
        *("shm_size", "devices", "read_only", "cap_drop", "no_new_privileges", "pull"),
    ),
    "external": ("port", "pid_from"),
}
LAUNCH_ONLY = ("args", "secrets", "restart", "stop", "idle", "update")  # not for what is only watched
MODEL_KEYS = ("path", "url", "hf", "docker")

PROFILE: dict[str, Spec] = {
    "name": Spec("name"),
    "extends": Spec("list", item="text"),
    "state": _choice("running", "stopped"),
    "hosts": TEXTS,
    "project": Spec("name"),
    "priority": _int(-1_000_000, 1_000_000),
    "evict": _map(pinned=BOOL, when_busy=BOOL, min_residency=_every(never=False)),
    "model": _map(path=Spec("model"), url=TEXT, hf=TEXT, docker=TEXT),
    "runtime": _map(
        kind=_choice(*RUNTIME_KEYS),
        binary=Spec("binary"),
        env=Spec("env"),
        wrap=Spec("command"),
        cwd=PATH,
        image=TEXT,
        engine=_choice("docker", "podman"),
        command=Spec("command"),
        entrypoint=Spec("command"),
        volumes=TEXTS,
        port=_int(1, 65535),
        ports=TEXTS,
        network=TEXT,
        user=TEXT,
        shm_size=SIZE,
        devices=TEXTS,
        read_only=BOOL,
        cap_drop=TEXTS,
        no_new_privileges=BOOL,
        pull=_choice("missing", "always", "never"),
        pid_from=Spec("unit"),
    ),
    "resources": _map(
        gpus=Spec("gpus"), gpu_memory=SIZE, exclusive=BOOL, memory=SIZE, cpus=Spec("number", low=0.01)
    ),
    "listen": _map(host=TEXT, port=Spec("port")),
    "args": Spec("args"),
    "secrets": Spec("secrets"),
    "health": _map(
        probe=_choice("auto", "health", "completion", "http", "command", "none"),
        path=TEXT,
        command=TEXT,
        start_timeout=_every(low=1),
        timeout=_every(never=False, low=1),
        failures=_int(1, 1000),
        stuck_after=_every(low=1),
    ),
    "restart": _map(
        policy=_choice("always", "on-failure", "never"),
        backoff=_every(never=False),
        max_backoff=_every(never=False),
        reset_after=_every(never=False),
        give_up_after=Spec("give_up", keys={"failures": _int(1, 1000), "within": _every(never=False, low=1)}),
    ),
    "stop": _map(drain=_every(never=False), grace=_every(never=False)),
    "idle": _map(sleep_after=_every(low=1), stop_after=_every(low=1)),
    "update": _map(restart=_choice("now", "when_idle", "manual"), rollback=BOOL),
    "schedule": _map(timezone=Spec("zone"), windows=Spec("list", item="window")),
    "labels": Spec("texts"),
    "allow_dangerous": BOOL,
}

NOTICES = ("crash", "gave_up", "held", "on_cpu", "config_broken", "disk_low", "recovered")
PROJECT = _map(
    instances=_int(0),
    cpus=Spec("number", low=0),
    memory=SIZE,
    gpus=_int(0),
    gpu_hours=Spec("rate"),
    tokens=Spec("rate"),
    energy_kwh=Spec("rate"),
    max_priority=_int(-1_000_000, 1_000_000),
)

SETTINGS: dict[str, Spec] = {
    "profiles": Spec("list", item="path"),
    "database": PATH,
    "host": TEXT,
    "interval": _every(never=False, low=1),
    "binary": Spec("binary"),
    "ports": Spec("range"),
    "env": Spec("env"),
    "env_file": PATH,
    "defaults": Spec("profile"),
    "headroom": _map(gpu_memory=SIZE, memory=SIZE, disk=SIZE),
    "projects": Spec("projects"),
    "models": _map(directories=Spec("list", item="path")),
    "retention": _map(
        instance_samples=_every(), system_samples=_every(), generations=_every(), logs=_every()
    ),
    "logs": _map(max_size=SIZE),
    "reports": _map(
        directory=PATH,
        every=_every(),
        title=TEXT,
        logo=PATH,
        links=Spec("texts"),
        sections=TEXTS,
        templates=PATH,
        keep=_every(),
        after=TEXT,
        after_timeout=_every(never=False, low=1),
    ),
    "cache": _map(enabled=BOOL, ttl=_every(), max_size=SIZE, model_identity=_choice("name", "content")),
    "backup": _map(every=_every(), keep=_int(0, 1000), directory=PATH),
    "notify": _map(
        command=TEXT, on=Spec("list", item="choice", choices=NOTICES), timeout=_every(never=False, low=1)
    ),
    "ping": Spec("url"),
    "git": _map(pull=_choice("never", "always"), branch=TEXT),
    "prometheus": _map(textfile=PATH),
    "access": _map(read=TEXT),
    "catalog": _map(
        sources=TEXTS,
        expires=_every(),
        ngc_api=Spec("url"),
        mirrors=Spec("texts"),
        insecure=TEXTS,
        tokens=Spec("secrets", item="host"),
    ),
}
