"""llama-swap's config.yaml to profiles."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llamaagent.config.foreign import parse_foreign
from llamaagent.config.serverline import REFERENCE
from llamaagent.neighbours.carried import Taking
from llamaagent.neighbours.swapkeys import LOADING, ROOT, TAKEN_ROOT
from llamaagent.neighbours.swapmacros import Macros, read_macros
from llamaagent.neighbours.swapmodel import Shared, take_model
from llamaagent.neighbours.swaprouting import pinned_of, priorities_of
from llamaagent.neighbours.yamlread import map_of, refused, text_of, texts_of, whole_of

if TYPE_CHECKING:
    from llamaagent.config.node import Node
    from llamaagent.neighbours.carried import Source, Taken

KIND = "llama-swap"
_LEAST_START_S = 15
_API_KEY = "LLAMA_SWAP_API_KEY"


def read_llama_swap(source: Source) -> Taken:
    """Every model that runs llama-server or a container; the rest is listed. Raises BadInputError."""
    root = map_of(parse_foreign(source.data, source.name), "the file")
    models = map_of(root.get("models") if root else None, "models")
    taking = Taking(source)
    if root is None or models is None:
        taking.lose("models", None, "the file names no model")
        return taking.result(KIND)
    for key, (mark, _) in root.map.items():
        if key not in TAKEN_ROOT:
            taking.lose(key, mark.line, ROOT.get(key, "this key is not known here"))
    macros = read_macros(root.get("macros"), Macros({}))
    shared = _shared(root, models, macros, taking)
    for name, (mark, node) in models.map.items():
        take_model(taking, name, mark.line, map_of(node, f"models.{name}") or node, shared)
    known = {word for name, (_, node) in models.map.items() for word in (name, *_aliases(node))}
    for name in sorted(shared.preload - known):
        taking.lose("hooks.on_startup.preload", root.map["hooks"][0].line, f"no model is called {name}")
    waiting = sum(draft.document.get("state") == "stopped" for draft in taking.drafts)
    if waiting:
        taking.lose("models", models.mark.line, f"{LOADING} ({waiting} of {len(taking.drafts)})")
    return taking.result(KIND)


def _aliases(node: Node) -> list[str]:
    return [text for text, _ in texts_of(node.get("aliases"))]


def _shared(root: Node, models: Node, macros: Macros, taking: Taking) -> Shared:
    """What all models have in common."""
    start = root.get("startPort")
    first = whole_of(start, 5800)
    if start is not None and not 1 <= first <= 65535:
        raise refused(start, f"startPort {first} is no port")
    timeout = root.get("healthCheckTimeout")
    ttl = whole_of(root.get("globalTTL"), 0)
    if ttl < 0:
        raise refused(root.map["globalTTL"][1], "globalTTL must be 0 or more")
    return Shared(
        macros=macros,
        ports=_ports(models, macros, first),
        ttl_s=ttl,
        unload_s=whole_of(root.get("unloadTimeout"), 0),
        start_s=None if timeout is None else max(_LEAST_START_S, whole_of(timeout, 0)),
        preload=_preload(root.get("hooks"), taking),
        priorities=priorities_of(root.get("routing"), taking),
        pinned=pinned_of(root, taking),
        api_key=_api_key(root.get("apiKeys"), taking),
    )


def _ports(models: Node, macros: Macros, first: int) -> dict[str, int]:
    """`${PORT}` of each model: counted over the models that use it, sorted by id."""
    users = []
    for name, (_, node) in models.map.items():
        own = read_macros(node.get("macros") if isinstance(node.value, dict) else None, macros)
        command = text_of(node.get("cmd")) or ""
        used = {command, *(own.values.get(word, "") for word in re.findall(r"\$\{([\w-]+)\}", command))}
        if any("${PORT}" in text for text in used):
            users.append(name)
    return {name: first + index for index, name in enumerate(sorted(users))}


def _preload(hooks: Node | None, taking: Taking) -> frozenset[str]:
    found = map_of(hooks, "hooks")
    startup = map_of(found.get("on_startup") if found else None, "hooks.on_startup")
    for place, node, known in (("hooks", found, "on_startup"), ("hooks.on_startup", startup, "preload")):
        for key, (mark, _) in node.map.items() if node else ():
            if key != known:
                taking.lose(f"{place}.{key}", mark.line, "this key is not known here")
    return frozenset(text for text, _ in texts_of(startup.get("preload") if startup else None))


def _api_key(node: Node | None, taking: Taking) -> str | None:
    """The variable from which every server gets the keys that guarded the proxy; never a key itself."""
    keys = texts_of(node)
    if node is None or not keys:
        return None
    reference = REFERENCE.fullmatch(keys[0][0])
    variable = reference[1] if reference and len(keys) == 1 else _API_KEY
    for index, (text, _) in enumerate(keys):
        if not REFERENCE.fullmatch(text):
            taking.hide(f"{_API_KEY} {index}", text)
    several = ", several with commas between them" if len(keys) > 1 else ""
    reason = f"their values were not written; put {variable}=... into the settings' env_file{several}"
    taking.lose("apiKeys", node.mark.line, f"{reason}: they guard each server now")
    return variable
