"""`settings`: what is in force, and where each value comes from."""

from __future__ import annotations

import json
import os
import re

from llamaagent.base.errors import BAD_CONFIG, UsageError
from llamaagent.base.units import format_duration, format_rate, format_size
from llamaagent.cli.output import chosen_format, emit, say
from llamaagent.cli.site import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.domain.settings import ProjectLimits

_COLUMNS = ("key", "value", "origin")
_SECRET = re.compile("token|key|secret|password", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_MIB = 1 << 20


def run(values: Values) -> int:
    """Print key, value, origin; 78 when the settings are wrong (what is shown is then partly a default)."""
    opened = load(values, need_settings=False)
    key = values.text("key")
    shown = effective(opened, values)
    if key is not None:
        chosen = {name: value for name, value in shown.items() if name == key or name.startswith(f"{key}.")}
        if not chosen:
            from llamaagent.config.near import did_you_mean

            raise UsageError(
                f"no setting is named {key!r}{did_you_mean(key, shown)}", hint="llamaagent settings"
            )
        shown = chosen
    origins = _origins(opened, values)
    rows = [
        {"key": name, "value": value, "origin": origins.get(name, "default")} for name, value in shown.items()
    ]
    if not chosen_format(values).startswith("json"):
        rows = [{**row, "value": _written(row["value"])} for row in rows]
    emit(values, rows, _COLUMNS)
    if opened.site.settings.file is None and not values.flag("quiet"):
        say("no settings file; these are the defaults (llamaagent init makes one)")
    for fault in opened.site.faults:
        if not opened.site.settings_ok and fault.profile is None:
            say(str(fault))
    return 0 if opened.site.settings_ok else BAD_CONFIG


def _written(value: object) -> object:
    """As the file would have it, on one line."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (bool, dict)) else value


def effective(opened: Opened, values: Values) -> dict[str, object]:
    """Every key with the value in force, as it could be written into the file; secrets masked."""
    settings = opened.site.settings
    shown: dict[str, object] = {
        "profiles": list(values.many("profiles") or settings.profiles),
        "database": opened.database,
        "host": settings.host,
        "interval": format_duration(settings.interval_s),
        "binary": settings.binary,
        "ports": "-".join(map(str, settings.ports)),
        "env": {name: "***" if _SECRET.search(name) else value for name, value in settings.env},
        "env_file": settings.env_file,
        "defaults": json.loads(settings.defaults),
        "headroom.gpu_memory": format_size(settings.headroom.gpu_memory_mib * _MIB),
        "headroom.memory": format_size(settings.headroom.memory_mib * _MIB),
        "headroom.disk": format_size(settings.headroom.disk_mib * _MIB),
        "projects": {project.name: _limits(project) for project in settings.projects},
        "models.directories": list(settings.model_directories),
        "retention.instance_samples": format_duration(settings.retain_instance_samples_s),
        "retention.system_samples": format_duration(settings.retain_system_samples_s),
        "retention.generations": format_duration(settings.retain_generations_s),
        "retention.logs": format_duration(settings.retain_logs_s),
        "logs.max_size": format_size(settings.log_max_size_bytes),
        **_reports(opened),
        "cache.enabled": settings.cache_enabled,
        "cache.ttl": format_duration(settings.cache_ttl_s),
        "cache.max_size": format_size(settings.cache_max_size_bytes),
        "cache.model_identity": settings.cache_model_identity,
    }
    return shown | _outward(opened)


def _reports(opened: Opened) -> dict[str, object]:
    reports = opened.site.settings.reports
    return {
        "reports.directory": reports.directory or opened.places.report,
        "reports.every": format_duration(reports.every_s),
        "reports.title": reports.title,
        "reports.logo": reports.logo,
        "reports.links": dict(reports.links),
        "reports.sections": None if reports.sections is None else list(reports.sections),
        "reports.templates": reports.templates,
        "reports.keep": format_duration(reports.keep_s),
        "reports.after": reports.after,
        "reports.after_timeout": format_duration(reports.after_timeout_s),
    }


def _outward(opened: Opened) -> dict[str, object]:
    settings = opened.site.settings
    return {
        "backup.every": format_duration(settings.backup_every_s),
        "backup.keep": settings.backup_keep,
        "backup.directory": settings.backup_directory,
        "notify.command": settings.notify_command,
        "notify.on": list(settings.notify_on),
        "notify.timeout": format_duration(settings.notify_timeout_s),
        "ping": None if settings.ping is None else _CREDENTIALS.sub("***@", settings.ping),
        "git.pull": settings.git_pull,
        "git.branch": settings.git_branch,
        "prometheus.textfile": settings.prometheus_textfile,
        "access.read": settings.access_read,
        "catalog.sources": list(settings.catalog.sources),
        "catalog.expires": format_duration(settings.catalog.expires_s),
        "catalog.ngc_api": _CREDENTIALS.sub("***@", settings.catalog.ngc_api),
        "catalog.mirrors": dict(settings.catalog.mirrors),
        "catalog.insecure": list(settings.catalog.insecure),
        "catalog.tokens": {host: {kind: name} for host, kind, name in settings.catalog.tokens},
        "db_enabled": settings.db_enabled,
        "log_level": settings.log_level,
        "log_to_db": settings.log_to_db,
    }


def _limits(project: ProjectLimits) -> dict[str, object]:
    """The limits that are set, as the file writes them."""
    made: dict[str, object] = {}
    for field, value in project._asdict().items():
        if value is None or field == "name":
            continue
        if field == "memory_mib":
            made["memory"] = format_size(value * _MIB)
        else:
            made[field] = format_rate((float(value[0]), value[1])) if isinstance(value, tuple) else value
    return made


def _origins(opened: Opened, values: Values) -> dict[str, str]:
    """Where each value comes from; what the command line or only the environment says is known here alone."""
    origins = dict(opened.site.settings.origins)
    if values.many("profiles"):
        origins["profiles"] = "--profiles"
    if values.text("db"):
        origins["database"] = "--db"
    for key in ("db_enabled", "log_level", "log_to_db"):
        variable = f"LLAMAAGENT_{key.upper()}"
        origins[key] = f"environment {variable}" if os.environ.get(variable) else "default"
    return origins
