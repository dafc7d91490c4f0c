"""The settings of a site: file, this host's overlay, environment, defaults, each value with its origin."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from llamaagent.base.units import parse_duration, parse_mib, parse_rate, parse_size
from llamaagent.config.check import Checker, text_of
from llamaagent.config.document import canonical_json
from llamaagent.config.environment import checked_switches, overrides
from llamaagent.config.files import find_settings
from llamaagent.config.merge import merge, widen, without_nulls
from llamaagent.config.node import Faults, Mark, Node
from llamaagent.config.offered import binary_named
from llamaagent.config.schema import PROFILE, SETTINGS, Spec
from llamaagent.config.yamltext import parse_documents
from llamaagent.domain.settings import Catalog, Headroom, ProjectLimits, Reports, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llamaagent.config.files import Places
    from llamaagent.config.offered import Offered


class LoadedSettings(NamedTuple):
    """The record, and the nodes that are laid under every profile."""

    settings: Settings
    node: Node  # merged, without nulls, checked as far as it could be
    defaults: Node  # `defaults`, in long forms; an empty map when there are none
    ok: bool  # False: something in the settings is wrong


def load_settings(
    config: str | None, host: str | None, places: Places, offered: Offered, faults: Faults
) -> LoadedSettings:
    """Read, merge and check the settings; what is wrong is left at its default and noted in `faults`."""
    found = Faults()
    file, named = find_settings(config, places)
    node = _read(file, places, found) if file and (named or places.exists(file)) else None
    node = node or Node({}, Mark(file or os.path.join(places.cwd, "."), 1, 1, "settings"))
    name = host or places.environ.get("LLAMAAGENT_HOST") or _written_host(node) or short_host_name()
    if file and not places.portable:
        overlay = os.path.join(os.path.dirname(file), f"llamaagent.{name}.yaml")
        if "/" not in name and places.exists(overlay):
            node = merge(node, _read(overlay, places, found) or Node({}, node.mark))
    node = without_nulls(merge(node, overrides(places, SETTINGS, found)))
    env = node.get("env")
    offered.env = {key: text for key, (_, item) in env.map.items() if (text := text_of(item))} if env else {}
    check = Checker(found, places, offered.to(binary_named(node, node.get("defaults")), found))
    defaults, default_values = _defaults(node, check)
    values = check.entries(without_keys(node, "defaults"), SETTINGS, "settings")
    settings = _record(values, file, name, places)
    settings = settings._replace(
        **checked_switches(places, found),  # type: ignore[arg-type]
        defaults=canonical_json(default_values),
        origins=tuple((key, _origin(node, key)) for key in dotted_keys(SETTINGS)),
    )
    faults.extend(found)
    return LoadedSettings(settings, node, defaults, not found.broken)


def short_host_name() -> str:
    """This machine's name without its domain."""
    return os.uname().nodename.partition(".")[0]


def without_keys(node: Node, *keys: str) -> Node:
    """The same map without some of its keys."""
    return node.with_entries({key: entry for key, entry in node.map.items() if key not in keys})


def dotted_keys(specs: Mapping[str, Spec], prefix: str = "") -> list[str]:
    """`interval`, `headroom.memory`, ...: every key that can have a value of its own."""
    out: list[str] = []
    for key, spec in specs.items():
        out += dotted_keys(spec.keys, f"{prefix}{key}.") if spec.kind == "map" else [prefix + key]
    return out


def node_at(node: Node, dotted: str) -> Node | None:
    """The node under a dotted key."""
    here: Node | None = node
    for key in dotted.split("."):
        here = here.get(key) if here else None
    return here


def _origin(node: Node, dotted: str) -> str:
    at = node_at(node, dotted)
    if at is None:
        return "default"
    name = os.path.basename(at.mark.file)
    return f"environment {name[1:]}" if name.startswith("$") else f"{at.mark.file}:{at.mark.line}"


def _read(file: str, places: Places, faults: Faults) -> Node | None:
    start = Mark(file, 1, 1, "settings")
    data = places.read(file, start, faults)
    if data is None:
        return None
    documents = parse_documents(data, file, faults, "settings")
    if len(documents) > 1:
        faults.add(Mark(file, documents[1].line, 1), "the settings must be one document")
    node = documents[0].node if documents else None
    if node is not None and not isinstance(node.value, dict):
        faults.add(node.mark, "the settings must be a mapping")
        return None
    return node


def _written_host(node: Node) -> str | None:
    host = node.get("host")
    return host.value if host and isinstance(host.value, str) and host.value else None


def _defaults(node: Node, check: Checker) -> tuple[Node, dict[str, Any]]:
    """`defaults` in long forms, and as canonical values; checked even when no profile uses them."""
    written = node.get("defaults")
    if written is None:
        return Node({}, node.mark), {}
    if not isinstance(written.value, dict):
        check.wrong("defaults", written, "a mapping, as a profile is")
        return Node({}, node.mark), {}
    wide = widen(written, check.catalogue, check.faults)
    allowed = {key: spec for key, spec in PROFILE.items() if key not in {"name", "extends"}}
    return wide, check.entries(wide, allowed, "profile")


def _ports(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    return int(low), int(high)


def _pairs(value: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(value.items()))


def _same(value: Any) -> Any:
    return value


# dotted key -> (field of Settings, how the canonical value becomes the field's)
_FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "profiles": ("profiles", tuple),
    "database": ("database", _same),
    "interval": ("interval_s", parse_duration),
    "binary": ("binary", _same),
    "ports": ("ports", _ports),
    "env": ("env", _pairs),
    "env_file": ("env_file", _same),
    "models.directories": ("model_directories", tuple),
    "retention.instance_samples": ("retain_instance_samples_s", parse_duration),
    "retention.system_samples": ("retain_system_samples_s", parse_duration),
    "retention.generations": ("retain_generations_s", parse_duration),
    "retention.logs": ("retain_logs_s", parse_duration),
    "logs.max_size": ("log_max_size_bytes", parse_size),
    "cache.enabled": ("cache_enabled", _same),
    "cache.ttl": ("cache_ttl_s", parse_duration),
    "cache.max_size": ("cache_max_size_bytes", parse_size),
    "cache.model_identity": ("cache_model_identity", _same),
    "backup.every": ("backup_every_s", parse_duration),
    "backup.keep": ("backup_keep", _same),
    "backup.directory": ("backup_directory", _same),
    "notify.command": ("notify_command", _same),
    "notify.on": ("notify_on", tuple),
    "notify.timeout": ("notify_timeout_s", parse_duration),
    "ping": ("ping", _same),
    "git.pull": ("git_pull", _same),
    "git.branch": ("git_branch", _same),
    "prometheus.textfile": ("prometheus_textfile", _same),
    "access.read": ("access_read", _same),
}
_REPORTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "every": ("every_s", parse_duration),
    "links": ("links", _pairs),
    "sections": ("sections", tuple),
    "keep": ("keep_s", parse_duration),
    "after_timeout": ("after_timeout_s", parse_duration),
}
_CATALOG: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "sources": ("sources", tuple),
    "expires": ("expires_s", parse_duration),
    "ngc_api": ("ngc_api", lambda url: url.rstrip("/")),
    "mirrors": ("mirrors", _pairs),
    "insecure": ("insecure", tuple),
    "tokens": (
        "tokens",
        lambda refs: tuple((host, *next(iter(refs[host].items()))) for host in sorted(refs)),
    ),
}
_LIMITS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "memory": ("memory_mib", parse_mib),
    "gpu_hours": ("gpu_hours", parse_rate),
    "energy_kwh": ("energy_kwh", parse_rate),
    "tokens": ("tokens", lambda text: (int(parse_rate(text)[0]), parse_rate(text)[1])),
}


def _record(values: dict[str, Any], file: str | None, host: str, places: Places) -> Settings:
    fields: dict[str, Any] = {}
    for dotted, (field, convert) in _FIELDS.items():
        section, _, key = dotted.rpartition(".")
        entries = values.get(section, {}) if section else values
        if key in entries:
            fields[field] = convert(entries[key])
    sizes = {f"{key}_mib": parse_mib(size) for key, size in values.get("headroom", {}).items()}
    projects = values.get("projects", {})
    fields.setdefault("profiles", (places.absolute("profiles", file or os.path.join(places.cwd, ".")),))
    return Settings(
        **fields,
        file=file,
        host=host,
        headroom=Headroom(**sizes),
        projects=tuple(
            ProjectLimits(name, **_converted(projects[name], _LIMITS)) for name in sorted(projects)
        ),
        reports=Reports(**_converted(values.get("reports", {}), _REPORTS)),
        catalog=Catalog(**_converted(values.get("catalog", {}), _CATALOG)),
    )


def _converted(entries: dict[str, Any], table: dict[str, tuple[str, Callable[[Any], Any]]]) -> dict[str, Any]:
    out = {}
    for key, value in entries.items():
        field, convert = table.get(key, (key, _same))
        out[field] = convert(value)
    return out
