"""What a profile may say, after loading: every default filled in, every unit resolved, nothing secret.

Made by config/load.py only. Records are named tuples because the idle pass builds thirty of them.
Sizes are MiB, durations are seconds, `None` means "not set" (`never` in the file where a time is meant).
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple


class ModelRef(NamedTuple):
    """Where the weights come from; exactly one is set, or none for a container that brings its own."""

    path: str | None = None  # absolute
    url: str | None = None
    hf: str | None = None  # user/repo:QUANT
    docker: str | None = None

    @property
    def url_file(self) -> str | None:
        """The name under which llama-server keeps what it downloads from `url`: the same for the same address."""
        if self.url is None:
            return None
        import hashlib

        name = self.url.partition("?")[0].partition("#")[0].rpartition("/")[2] or "model.gguf"
        return f"{hashlib.sha256(self.url.encode()).hexdigest()[:8]}-{name}"


class SecretRef(NamedTuple):
    """A reference to a secret, never its value: `env` + variable name, or `file` + absolute path."""

    kind: str
    value: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


class Runtime(NamedTuple):
    """How it runs. `container` is the canonical JSON of the container keys, for kind `container` only."""

    kind: str = "process"  # process | container | external
    binary: str = "llama-server"  # a name, an absolute path, or "embedded"
    env: tuple[tuple[str, str], ...] = ()  # settings' env, then the profile's; sorted by name
    wrap: tuple[str, ...] = ()
    cwd: str | None = None
    container: str | None = None
    port: int | None = None  # container: the port inside; external: the port to watch
    pid_from: str | None = None  # external: systemd:UNIT


class Resources(NamedTuple):
    """What it may use. gpus: "auto", "all", "none", a count, or uuids/indexes."""

    gpus: str | int | tuple[str, ...] = "auto"
    gpu_memory_mib: int | None = None
    exclusive: bool = False
    memory_mib: int | None = None
    cpus: float | None = None


class Listen(NamedTuple):
    """Where clients reach it. port None = auto: chosen once, then kept."""

    host: str = "127.0.0.1"
    port: int | None = None


class Health(NamedTuple):
    """How health is judged. probe: auto | health | completion | http | command | none."""

    probe: str = "auto"
    path: str = "/health"
    command: str | None = None
    start_timeout_s: int | None = 300
    timeout_s: int = 5
    failures: int = 3
    stuck_after_s: int | None = 300


class Restart(NamedTuple):
    """What follows an end. policy: always | on-failure | never."""

    policy: str = "always"
    backoff_s: int = 10
    max_backoff_s: int = 300
    reset_after_s: int = 600
    give_up_failures: int | None = 5
    give_up_within_s: int = 900


class Stop(NamedTuple):
    """How it is stopped: wait for requests up to drain_s, then grace_s between signals."""

    drain_s: int = 30
    grace_s: int = 10


class Idle(NamedTuple):
    """When nobody asks."""

    sleep_after_s: int | None = None
    stop_after_s: int | None = None


class Update(NamedTuple):
    """What a changed profile does to a running instance. restart: now | when_idle | manual."""

    restart: str = "now"
    rollback: bool = True


class Evict(NamedTuple):
    """Whether a higher priority may take its place."""

    pinned: bool = False
    when_busy: bool = False
    min_residency_s: int = 300


class Schedule(NamedTuple):
    """Windows in which it is wanted, such as "Mon-Fri 08:00-18:00"; timezone None = the host's."""

    windows: tuple[str, ...]
    timezone: str | None = None


class Profile(NamedTuple):
    """One YAML document, loaded."""

    name: str
    source: str  # absolute path of its file
    line: int  # first line of its document
    model: ModelRef
    state: str = "running"  # running | stopped
    hosts: tuple[str, ...] = ()  # () = every host
    project: str = "default"
    priority: int = 0
    evict: Evict = Evict()
    runtime: Runtime = Runtime()
    resources: Resources = Resources()
    listen: Listen = Listen()
    args: tuple[tuple[str, str | int | float | bool | tuple[str, ...]], ...] = ()  # long names, sorted
    argv: tuple[str, ...] = ()  # `args` as llama-server takes them, without what the agent owns
    secrets: tuple[tuple[str, SecretRef], ...] = ()
    health: Health = Health()
    restart: Restart = Restart()
    stop: Stop = Stop()
    idle: Idle = Idle()
    update: Update = Update()
    schedule: Schedule | None = None
    labels: tuple[tuple[str, str], ...] = ()
    allow_dangerous: bool = False
    document: str = "{}"  # canonical JSON of the merged document, units resolved, secrets as references
    launch_hash: str = ""  # SHA-256 over what reaches the server
    profile_hash: str = ""  # SHA-256 over everything

    @property
    def is_server(self) -> bool:
        """Whether it runs llama-server; a container does so when it is given a model, or options of it."""
        return self.runtime.kind != "container" or bool(self.args) or any(self.model)

    def arg(self, name: str) -> str | int | float | bool | tuple[str, ...] | None:
        """The value of a long option, None when it is not set."""
        for key, value in self.args:
            if key == name:
                return value
        return None
