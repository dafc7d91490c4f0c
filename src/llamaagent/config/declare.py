"""One YAML document to one profile: bases and defaults laid under it, checked, normalised."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from llamaagent.base.units import format_duration, parse_duration
from llamaagent.config.args import DANGEROUS
from llamaagent.config.boxed import check_container
from llamaagent.config.check import Checker
from llamaagent.config.document import canonical_json, filled, profile_from_document
from llamaagent.config.merge import merge, widen, without_nulls
from llamaagent.config.node import Faults, Mark, Node, kind_of, mark_at
from llamaagent.config.offered import EMBEDDED
from llamaagent.config.schema import LAUNCH_ONLY, MODEL_KEYS, NAME_PATTERN, PROFILE, RUNTIME_KEYS

if TYPE_CHECKING:
    from llamaagent.config.bases import Bases
    from llamaagent.config.settings import LoadedSettings
    from llamaagent.config.yamltext import Document
    from llamaagent.domain.profile import Profile

_KEYS = {key: spec for key, spec in PROFILE.items() if key not in {"name", "extends"}}


class Declared(NamedTuple):
    """What a document came to. profile is None after an error; name is None when it cannot be known."""

    name: str | None
    mark: Mark
    node: Node | None  # merged, without nulls
    profile: Profile | None
    faults: Faults

    def mark_of(self, *keys: str) -> Mark:
        """Where a value was written; the document's first line when it was not."""
        return mark_at(self.node, self.mark, *keys)


def declare(document: Document, file: str, alone: bool, site: LoadedSettings, bases: Bases) -> Declared:
    """Make a profile of a document. alone: it is the only one in its file, which then names it."""
    faults = Faults()
    mark = Mark(file, document.line, 1)
    node = document.node
    if node is None or not isinstance(node.value, dict):
        if node is not None:
            faults.add(node.mark, f"a profile must be a mapping, not {kind_of(node)}")
        return Declared(_guessed_name(document.text, file, alone), mark, None, None, faults)
    inherited = merge(site.defaults, bases.under(node, faults))
    check = Checker(faults, bases.places, bases.catalogue_for(node, faults, inherited))
    name = _name(node, file, alone, mark, check)
    own = widen(node, check.catalogue, faults)
    merged = without_nulls(merge(inherited, own))
    merged = _with_site(_for_kind(merged, own, faults), site)
    body = merged.with_entries({k: entry for k, entry in merged.map.items() if k not in {"name", "extends"}})
    sparse = check.entries(body, _KEYS, "profile")
    _sleep(sparse, merged, check)
    _cross_check(sparse, merged, mark, check)
    guess = name or _guessed_name(document.text, file, alone)
    if faults.broken or document.broken or name is None:
        return Declared(guess, mark, merged, None, faults)
    text = canonical_json(filled({**sparse, "name": name}))
    return Declared(name, mark, merged, profile_from_document(text, file, document.line), faults)


def stem_of(file: str) -> str:
    """The file's name without folder and ending."""
    return os.path.basename(file).removesuffix(".yaml").removesuffix(".yml")


def _name(node: Node, file: str, alone: bool, mark: Mark, check: Checker) -> str | None:
    written = node.get("name")
    if written is not None and written.value is not None:
        name = check.value("name", written, PROFILE["name"])
        return name if isinstance(name, str) and re.fullmatch(NAME_PATTERN, name) else None
    if not alone:
        check.say(mark, "each document of a file with several needs a 'name'")
        return None
    stem = stem_of(file)
    if not re.fullmatch(NAME_PATTERN, stem):
        better = re.sub("[^a-z0-9._-]+", "-", stem.lower()).strip("-._") or "my-model"
        check.say(mark, f"the file's name {stem!r} cannot name the profile; write 'name: {better}'")
        return None
    return stem


def _guessed_name(text: str, file: str, alone: bool) -> str | None:
    """The name that a broken document most likely has, so that nothing is taken for gone."""
    match = re.search(rf"^name:[ \t]*[\"']?({NAME_PATTERN})[\"']?[ \t]*(?:#.*)?$", text, re.MULTILINE)
    if match:
        return match[1]
    return stem_of(file) if alone and re.fullmatch(NAME_PATTERN, stem_of(file)) else None


def _for_kind(merged: Node, own: Node, faults: Faults) -> Node:
    """Without what was inherited for another kind of runtime; the same in the profile itself is a fault."""
    runtime = merged.get("runtime") or Node({}, merged.mark)
    kind = _kind(merged)
    if not isinstance(runtime.value, dict) or kind not in RUNTIME_KEYS:
        return merged
    kept = {}
    own_runtime = own.get("runtime")
    for key, entry in runtime.map.items():
        if key == "kind" or key in RUNTIME_KEYS[kind] or not _known_elsewhere(key):
            kept[key] = entry
        elif own_runtime is not None and key in own_runtime.map:
            owners = " or ".join(repr(other) for other, keys in RUNTIME_KEYS.items() if key in keys)
            faults.add(entry[0], f"{key!r} belongs to runtime kind {owners}, this is {kind!r}")
    entries = dict(merged.map)
    entries["runtime"] = (runtime.mark, runtime.with_entries(kept))
    for key in LAUNCH_ONLY if kind == "external" else ():
        if key in own.map and key in entries:
            faults.add(
                entries[key][0], f"{key!r} means nothing for runtime kind 'external': it is only watched"
            )
        entries.pop(key, None)
    return merged.with_entries(entries)


def _kind(merged: Node) -> str:
    runtime = merged.get("runtime")
    kind = runtime.get("kind") if runtime else None
    return kind.value if kind and isinstance(kind.value, str) else "process"


def _known_elsewhere(key: str) -> bool:
    return any(key in keys for keys in RUNTIME_KEYS.values())


def _with_site(merged: Node, site: LoadedSettings) -> Node:
    """The settings' binary and environment under the profile's own."""
    kind = _kind(merged)
    below = Node({}, merged.mark)
    env, binary = site.node.get("env"), site.node.get("binary")
    if kind == "process":
        binary = binary or Node(site.settings.binary, Mark("default", 0, 0, "default"))
        below.map["binary"] = (binary.mark, binary)
    if kind != "external" and env is not None:
        below.map["env"] = (env.mark, env)
    runtime = merged.get("runtime")
    joined = below if runtime is None else merge(below, runtime)
    return merged.with_entries({**merged.map, "runtime": (joined.mark, joined)})


def _sleep(sparse: dict[str, Any], merged: Node, check: Checker) -> None:
    """`idle.sleep_after` is the server's own option: both spellings say the same thing in the end."""
    args, idle = sparse.get("args", {}), sparse.get("idle", {})
    option, wanted = args.get("sleep-idle-seconds"), idle.get("sleep_after")
    seconds = parse_duration(wanted) if isinstance(wanted, str) else None
    if isinstance(option, int):
        given = option if option > 0 else None
        if wanted is not None and given != seconds:
            text = f"'sleep-idle-seconds' and 'idle: {{sleep_after: {wanted}}}' say different things"
            check.say(mark_at(merged, merged.mark, "args", "sleep-idle-seconds"), text)
        seconds = given
        sparse["idle"] = {**idle, "sleep_after": format_duration(given)}
    if seconds is not None:
        sparse["args"] = {**args, "sleep-idle-seconds": seconds}
    elif option is not None:
        del sparse["args"]["sleep-idle-seconds"]


def _is_router(sparse: dict[str, Any]) -> bool:
    """Whether llama-server starts without a model and loads those of a folder or of a presets file on request."""
    return not {"models-dir", "models-preset"}.isdisjoint(sparse.get("args", {}))


def _is_embedded(runtime: Node) -> bool:
    binary = runtime.get("binary")
    return binary is not None and binary.value == EMBEDDED


def _cross_check(sparse: dict[str, Any], merged: Node, mark: Mark, check: Checker) -> None:
    """What no key can know by itself."""
    model, runtime = merged.get("model"), merged.get("runtime") or Node({}, merged.mark)
    kind = _kind(merged)
    sources = [key for key in MODEL_KEYS if model and key in model.map]
    if len(sources) > 1:
        both = " and ".join(sources)
        check.say(
            mark_at(merged, mark, "model"), f"'model' must have one of {', '.join(MODEL_KEYS)}, not {both}"
        )
    elif (
        kind == "process"
        and (model is None or (model.value == {} and not sources))
        and not _is_router(sparse)
    ):
        check.say(mark, "'model' is missing: write model: FILE.gguf, or model: {hf: USER/REPO:QUANT}")
    elif kind == "process" and sources and sources != ["path"] and _is_embedded(runtime):
        hint = "fetch the file (llamaagent models pull) and write model: FILE.gguf"
        check.say(mark_at(merged, mark, "model", *sources), f"the embedded server downloads nothing: {hint}")
    if kind == "container":
        check_container(sparse, merged, check)
    if kind == "external" and {"port", "pid_from"}.isdisjoint(runtime.map):
        check.say(runtime.mark, "'port' or 'pid_from' is missing: how is the external server found?")
    schedule = merged.get("schedule")
    windows = schedule.get("windows") if schedule else None
    if schedule is not None and (windows is None or windows.value == []):
        check.say(schedule.mark, "'windows' is missing: when is it to run?")
    health = sparse.get("health", {})
    if health.get("probe") == "command" and "command" not in health:
        check.say(mark_at(merged, mark, "health", "probe"), "'command' is missing: the probe is to run one")
    args: dict[str, Any] = sparse.get("args", {})
    for name in () if sparse.get("allow_dangerous") is True else DANGEROUS:
        if name in args and args[name] is not False:
            text = f"{name!r} lets clients act on this machine; it needs 'allow_dangerous: true'"
            check.say(mark_at(merged, mark, "args", name), text)
