"""One launch of a profile: its row, its status words and the rules about them. Pure."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple

CREATED = "created"
LOADING = "loading"
RUNNING = "running"
UNHEALTHY = "unhealthy"
STOPPING = "stopping"
STOPPED = "stopped"
ERROR = "error"
DELETED = "deleted"

STATUSES = (CREATED, LOADING, RUNNING, UNHEALTHY, STOPPING, STOPPED, ERROR, DELETED)
LIVE = frozenset({LOADING, RUNNING, UNHEALTHY, STOPPING})  # a process or container is, or may be, there
OVER = frozenset({STOPPED, ERROR, DELETED})  # this launch has ended for good


class Identity(NamedTuple):
    """A process that cannot be mistaken for another: the boot it lives in, its pid, its start tick."""

    boot_id: str
    pid: int
    start_ticks: int  # field 22 of /proc/PID/stat, clock ticks since boot


class Instance(NamedTuple):
    """A row of `instances`; the columns and their meaning stand in schema.sql."""

    id: int
    profile: str
    kind: str
    project: str
    status: str
    reason: str | None
    detail: str | None
    since_ts: int
    launch_id: str | None
    launch_hash: str | None
    profile_hash: str | None
    host: str | None
    port: int | None
    boot_id: str | None
    wrapper_pid: int | None
    wrapper_start_ticks: int | None
    pid: int | None
    start_ticks: int | None
    log_path: str | None
    exit_path: str | None
    created_ts: int
    launched_ts: int | None
    ready_ts: int | None
    last_seen_ts: int | None
    stop_reason: str | None
    next_signal: str | None
    next_signal_ts: int | None
    signals_sent: int
    ended_ts: int | None
    exit_code: int | None
    exit_signal: int | None
    failures: int
    restarts: int
    retry_ts: int | None
    git_commit: str | None
    git_dirty: int | None
    build: str | None
    gpus: str | None
    gave_up_ts: int | None
    progress_bytes: int | None
    progress_boottime_s: int | None
    container_id: str | None = None
    container_name: str | None = None
    engine: str | None = None  # of a container: the address of its engine

    @property
    def server(self) -> Identity | None:
        """The server process, None while its pid is not known."""
        return _identity(self.boot_id, self.pid, self.start_ticks)

    @property
    def wrapper(self) -> Identity | None:
        """The shell that waits for the server and leads its process group."""
        return _identity(self.boot_id, self.wrapper_pid, self.wrapper_start_ticks)


def _identity(boot_id: str | None, pid: int | None, start_ticks: int | None) -> Identity | None:
    if boot_id is None or pid is None or start_ticks is None:
        return None
    return Identity(boot_id, pid, start_ticks)
