"""A profile's normalised document (plain JSON) to its record, and the hashes over it. Needs no YAML.

This is the one place where records are built: for a file that was just read, for the last good revision in
the database, and for a remembered parse. The document is complete (defaults filled in) and is itself a
loadable profile.
"""

from __future__ import annotations

import json

from llamaagent.base.units import parse_duration, parse_mib
from llamaagent.config.argv import argv_of
from llamaagent.domain.profile import (
    Evict,
    Health,
    Idle,
    Listen,
    ModelRef,
    Profile,
    Resources,
    Restart,
    Runtime,
    Schedule,
    SecretRef,
    Stop,
    Update,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]

# Left out of the hashes where a profile says the same, so that a new key with a default changes no hash.
DEFAULTS: Json = {
    "state": "running",
    "hosts": [],
    "project": "default",
    "priority": 0,
    "evict": {"pinned": False, "when_busy": False, "min_residency": "5m"},
    "model": {},
    "runtime": {"kind": "process"},
    "resources": {"gpus": "auto", "exclusive": False},
    "listen": {"host": "127.0.0.1", "port": "auto"},
    "args": {},
    "secrets": {},
    "health": {
        "probe": "auto",
        "path": "/health",
        "start_timeout": "5m",
        "timeout": "5s",
        "failures": 3,
        "stuck_after": "5m",
    },
    "restart": {
        "policy": "always",
        "backoff": "10s",
        "max_backoff": "5m",
        "reset_after": "10m",
        "give_up_after": {"failures": 5, "within": "15m"},
    },
    "stop": {"drain": "30s", "grace": "10s"},
    "idle": {"sleep_after": "never", "stop_after": "never"},
    "update": {"restart": "now", "rollback": True},
    "labels": {},
    "allow_dangerous": False,
}
CONTAINER_DEFAULTS: Json = {
    "port": 8080,
    "read_only": False,
    "cap_drop": [],
    "no_new_privileges": True,
    "pull": "missing",
}
_LAUNCH = ("model", "runtime", "args", "listen", "secrets")


def canonical_json(value: object) -> str:
    """JSON that is the same for the same value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def filled(sparse: Json) -> Json:
    """What was written, with every default that was not; an empty list or map that means nothing is dropped."""
    document = laid_over(DEFAULTS, without_defaults(sparse))
    if document["runtime"]["kind"] == "container":
        document["runtime"] = laid_over(CONTAINER_DEFAULTS, document["runtime"])
    return document


def laid_over(under: Json, over: Json) -> Json:
    """Maps merge, all else of `over` wins."""
    out = dict(under)
    for key, value in over.items():
        below = out.get(key)
        out[key] = laid_over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return out


def without_defaults(document: Json) -> Json:
    """The opposite of `filled`: only what differs from the defaults; what a short file would say."""
    out = _difference(document, DEFAULTS)
    runtime = document.get("runtime", {})
    if runtime.get("kind") == "container":
        out["runtime"] = _difference(out["runtime"], CONTAINER_DEFAULTS)
    return out


def _difference(document: Json, defaults: Json) -> Json:
    out = {}
    for key, value in document.items():
        usual = defaults.get(key)
        if isinstance(value, dict) and isinstance(usual, dict):
            inner = _difference(value, usual)
            if inner:
                out[key] = inner
        elif value != usual and not (usual is None and value in ([], {})):
            out[key] = value
    return out


def profile_from_document(
    document: str, source: str, line: int, *, hashes: tuple[str, str] | None = None
) -> Profile:
    """The record that this document describes.

    document: canonical JSON as in `Profile.document`; keys that an older version did not write get their
    defaults. hashes: (launch, profile) when they are known already, else they are computed.
    """
    doc = filled(json.loads(document))
    launch, whole = hashes or hashes_of(doc)
    args = tuple((name, tuple(v) if isinstance(v, list) else v) for name, v in sorted(doc["args"].items()))
    plain = {key: doc[key] for key in ("name", "state", "project", "priority", "allow_dangerous")}
    profile = Profile(
        **plain,
        **_sections(doc),
        source=source,
        line=line,
        hosts=tuple(doc["hosts"]),
        args=args,
        argv=argv_of(args),
        secrets=tuple(
            (name, SecretRef(*next(iter(ref.items())))) for name, ref in sorted(doc["secrets"].items())
        ),
        labels=tuple(sorted(doc["labels"].items())),
        document=canonical_json(doc),
        launch_hash=launch,
        profile_hash=whole,
    )
    if profile.is_server or profile.health.probe != "auto":
        return profile
    return profile._replace(health=profile.health._replace(probe="none"))  # it runs when its engine says so


def _sections(doc: Json) -> Json:
    """The fields of a profile that are records themselves."""
    schedule, port = doc.get("schedule"), doc["listen"]["port"]
    return {
        "model": ModelRef(**doc["model"]),
        "evict": Evict(**_timed(doc["evict"], "min_residency")),
        "runtime": _runtime(doc["runtime"]),
        "resources": _resources(doc["resources"]),
        "listen": Listen(doc["listen"]["host"], None if port == "auto" else port),
        "health": Health(**_timed(doc["health"], "start_timeout", "timeout", "stuck_after")),
        "restart": _restart(doc["restart"]),
        "stop": Stop(**_timed(doc["stop"], "drain", "grace")),
        "idle": Idle(**_timed(doc["idle"], "sleep_after", "stop_after")),
        "update": Update(**doc["update"]),
        "schedule": Schedule(tuple(schedule["windows"]), schedule.get("timezone")) if schedule else None,
    }


def _timed(entries: Json, *durations: str) -> Json:
    """Durations to seconds, under the field names of the records."""
    return {
        (f"{key}_s" if key in durations else key): (parse_duration(value) if key in durations else value)
        for key, value in entries.items()
    }


def _runtime(entries: Json) -> Runtime:
    kind = entries["kind"]
    common = {
        "kind": kind,
        "env": tuple(sorted(entries.get("env", {}).items())),
        "cwd": entries.get("cwd"),
        "port": entries.get("port"),
    }
    if kind == "container":
        rest = {key: value for key, value in entries.items() if key not in common}
        return Runtime(**common, container=canonical_json(rest))
    return Runtime(
        **common,
        binary=entries.get("binary", "llama-server"),
        wrap=tuple(entries.get("wrap", ())),
        pid_from=entries.get("pid_from"),
    )


def _resources(entries: Json) -> Resources:
    gpus = entries["gpus"]
    memory = {name: entries.get(name) for name in ("gpu_memory", "memory")}
    return Resources(
        gpus=tuple(gpus) if isinstance(gpus, list) else gpus,
        gpu_memory_mib=None if memory["gpu_memory"] is None else parse_mib(memory["gpu_memory"]),
        exclusive=entries["exclusive"],
        memory_mib=None if memory["memory"] is None else parse_mib(memory["memory"]),
        cpus=entries.get("cpus"),
    )


def _restart(entries: Json) -> Restart:
    rest = {key: value for key, value in entries.items() if key != "give_up_after"}
    fields = _timed(rest, "backoff", "max_backoff", "reset_after")
    give_up = entries["give_up_after"]
    if give_up == "never":
        return Restart(**fields, give_up_failures=None)
    within = parse_duration(give_up["within"])
    return Restart(**fields, give_up_failures=give_up["failures"], give_up_within_s=within or 0)


def hashes_of(document: Json) -> tuple[str, str]:
    """(launch hash, profile hash) of a complete document: hexadecimal SHA-256.

    The launch hash covers what reaches the server; only when it changes may an instance be restarted.
    """
    kept = without_defaults(document)
    resources = kept.get("resources", {})
    shares = ["gpus", "gpu_memory"]
    if document["runtime"]["kind"] == "container":
        shares += ["memory", "cpus"]
    launch = {key: kept.get(key) for key in _LAUNCH}
    launch["resources"] = {key: resources.get(key) for key in shares}
    return _digest(launch), _digest(kept)


def _digest(value: object) -> str:
    from hashlib import sha256

    return sha256(canonical_json(value).encode()).hexdigest()
