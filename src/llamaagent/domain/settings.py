"""Settings of a site after loading; defaults are the contract's. Made by config/load.py only."""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.base.paths import Places


class Headroom(NamedTuple):
    """What is always left free."""

    gpu_memory_mib: int = 512
    memory_mib: int = 1024
    disk_mib: int = 2048


class ProjectLimits(NamedTuple):
    """What a project may use; None = no limit. Windowed limits are (amount, window in seconds)."""

    name: str
    instances: int | None = None
    cpus: float | None = None
    memory_mib: int | None = None
    gpus: int | None = None
    gpu_hours: tuple[float, int] | None = None
    tokens: tuple[int, int] | None = None
    energy_kwh: tuple[float, int] | None = None
    max_priority: int | None = None


class Reports(NamedTuple):
    """The static site."""

    directory: str | None = None  # absolute; None = the default place, private modes
    every_s: int | None = 300  # None = never by itself
    title: str | None = None
    logo: str | None = None
    links: tuple[tuple[str, str], ...] = ()
    sections: tuple[str, ...] | None = None
    templates: str | None = None
    keep_s: int | None = 30 * 86400
    after: str | None = None
    after_timeout_s: int = 60


class Catalog(NamedTuple):
    """Where the catalogue of images comes from."""

    sources: tuple[str, ...] = ("ngc",)  # `ngc`, a registry's address, or an image
    expires_s: int | None = 86400  # how long an answer counts; None = for ever
    ngc_api: str = "https://api.ngc.nvidia.com"
    mirrors: tuple[tuple[str, str], ...] = ()  # registry as images name it, address that is asked instead
    insecure: tuple[str, ...] = ()  # HOST[:PORT] that may be asked over plain http
    tokens: tuple[
        tuple[str, str, str], ...
    ] = ()  # host, then what the secret is a reference to: env | file, its name


class Settings(NamedTuple):
    """One settings file with its host's overlay. Paths are absolute."""

    file: str | None = None  # None = no settings file was found
    profiles: tuple[str, ...] = ()
    database: str | None = None
    host: str = ""
    interval_s: int = 30
    binary: str = "llama-server"
    ports: tuple[int, int] = (8100, 8199)
    env: tuple[tuple[str, str], ...] = ()
    env_file: str | None = None
    defaults: str = "{}"  # canonical JSON of `defaults`
    headroom: Headroom = Headroom()
    projects: tuple[ProjectLimits, ...] = ()
    model_directories: tuple[str, ...] = ()
    retain_instance_samples_s: int | None = 7 * 86400
    retain_system_samples_s: int | None = 30 * 86400
    retain_generations_s: int | None = 90 * 86400
    retain_logs_s: int | None = 30 * 86400
    log_max_size_bytes: int = 64 * 1024 * 1024
    reports: Reports = Reports()
    cache_enabled: bool = False
    cache_ttl_s: int | None = 7 * 86400
    cache_max_size_bytes: int = 100 * 1024 * 1024
    cache_model_identity: str = "name"
    backup_every_s: int | None = 86400
    backup_keep: int = 3
    backup_directory: str | None = None
    notify_command: str | None = None
    notify_on: tuple[str, ...] = (
        "crash",
        "gave_up",
        "held",
        "on_cpu",
        "config_broken",
        "disk_low",
        "recovered",
    )
    notify_timeout_s: int = 20
    ping: str | None = None
    git_pull: str = "never"
    git_branch: str | None = None
    prometheus_textfile: str | None = None
    access_read: str | None = None
    catalog: Catalog = Catalog()
    db_enabled: bool = True  # these three come from the environment only
    log_level: str = "INFO"
    log_to_db: bool = True
    origins: tuple[tuple[str, str], ...] = ()  # dotted key -> where its value comes from


def unlogged(settings: Settings) -> tuple[str, ...]:
    """Levels of which the agent stores no line in `logs`."""
    levels = ("debug", "info", "warning", "error", "critical")
    return levels[: levels.index(settings.log_level.lower())] if settings.log_to_db else levels


class Fault(NamedTuple):
    """One thing wrong with a file. line and column count from 1; severity: error | warning."""

    file: str
    line: int
    column: int
    severity: str
    message: str
    profile: str | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}"


def written_folders(settings: Settings, places: Places, database: str) -> tuple[str, ...]:
    """Folders whose disks we write to: the database's, the logs', the report's. They may not exist yet."""
    return (
        os.path.dirname(os.path.abspath(database)),
        places.logs,
        settings.reports.directory or places.report,
    )
