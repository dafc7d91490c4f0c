"""One model of llama-swap's config to a profile."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from llamaagent.base.units import format_duration
from llamaagent.config.node import Node, plain
from llamaagent.neighbours.commandline import is_server, take_apart, take_server
from llamaagent.neighbours.dockerrun import take_run
from llamaagent.neighbours.environment import Variable
from llamaagent.neighbours.swapkeys import MODEL, TAKEN_MODEL
from llamaagent.neighbours.swapmacros import UnknownMacroError, read_macros, split_command
from llamaagent.neighbours.yamlread import refused, text_of, texts_of, whole_of

if TYPE_CHECKING:
    from llamaagent.neighbours.carried import Draft, Taking
    from llamaagent.neighbours.swapmacros import Macros

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", None})  # noqa: S104 - compared, not bound


class Shared(NamedTuple):
    """What the file says for every model. ports: of models with `${PORT}`; api_key: a variable's name."""

    macros: Macros
    ports: dict[str, int]
    ttl_s: int
    unload_s: int
    start_s: int | None
    preload: frozenset[str]
    priorities: dict[str, int]
    pinned: frozenset[str]
    api_key: str | None


def take_model(taking: Taking, name: str, line: int, node: Node, shared: Shared) -> None:
    """Make a profile of it, or note why there is none."""
    key = f"models.{name}"
    if not isinstance(node.value, dict) or not (text_of(node.get("cmd")) or "").strip():
        raise refused(node, f"{key} has no cmd")
    draft = taking.draft(name, key, line)
    for word, (mark, _) in node.map.items():
        reason = MODEL.get(word, "this key is not known here")
        if word not in TAKEN_MODEL and reason and word != "filters":
            draft.lose(word, reason, mark.line)
    _filters(draft, node.get("filters"))
    try:
        macros = read_macros(node.get("macros"), shared.macros).with_values(MODEL_ID=name)
        if name in shared.ports:
            macros = macros.with_values(PORT=str(shared.ports[name]))
        done = _command(draft, node, macros) and _rest(draft, name, node, macros, shared)
    except UnknownMacroError as error:
        draft.lose("", f"it uses the macro ${{{error}}}, which is not defined; llama-swap would refuse it")
        done = False
    if not done:
        draft.drop()


def _command(draft: Draft, node: Node, macros: Macros) -> bool:
    command = node.map["cmd"][1]
    try:
        words = split_command(macros.put_in(text_of(command) or ""))
    except ValueError as error:
        draft.lose("cmd", f"it cannot be split into words: {error}", command.mark.line)
        return False
    variables = []
    for text, line in texts_of(node.get("env")):
        name, equals, value = macros.put_in(text).partition("=")
        variables.append(Variable(name, value if equals else "", line))
    parts = take_apart(words)
    if parts is None:
        draft.lose("cmd", f"{words[0] if words else 'nothing'} is neither llama-server nor docker nor podman")
        return False
    if is_server(parts.program):
        return take_server(draft, parts, variables)
    if variables:
        draft.lose("env", "it was the environment of the engine's client, not of the container")
    proxy = _proxy(draft, node, macros)
    return take_run(draft, parts, main=proxy)


def _proxy(draft: Draft, node: Node, macros: Macros) -> int | None:
    """The port that llama-swap asks; what else the address says is noted."""
    written = node.get("proxy")
    text = macros.put_in(text_of(written) or "http://localhost:${PORT}")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        host, port = None, None
    if written is not None and (host not in _LOCAL or parts.path.strip("/") or parts.scheme != "http"):
        draft.lose(
            "proxy",
            "it leads elsewhere than to this host's own server; only its port was taken",
            written.mark.line,
        )
    return port


def _rest(draft: Draft, name: str, node: Node, macros: Macros, shared: Shared) -> bool:
    aliases = [text for text, _ in texts_of(node.get("aliases"))]
    draft.put("state", "running" if shared.preload & {name, *aliases} else "stopped")
    draft.put("priority", shared.priorities.get(name))
    draft.put("evict.pinned", (name in shared.pinned) or None)
    _names(draft, name, aliases, node, macros)
    _times(draft, node, shared)
    endpoint = macros.put_in(text_of(node.get("checkEndpoint")) or "/health")
    if endpoint == "none":
        draft.put("health.probe", "none")
    elif endpoint != "/health":
        draft.put("health.probe", "http")
        draft.put("health.path", endpoint if endpoint.startswith("/") else f"/{endpoint}")
    if draft.get("runtime.kind") != "container":
        port, asked = draft.get("listen.port"), _proxy(draft, node, macros)
        if node.get("proxy") is not None and port != asked:
            draft.lose("proxy", f"port {asked} is not the server's own ({port or 'chosen by the agent'})")
        if shared.api_key is not None and draft.get("secrets.api-key") is None:
            draft.secret("api-key", shared.api_key)
    return True


def _names(draft: Draft, name: str, aliases: list[str], node: Node, macros: Macros) -> None:
    """What clients called it is what the server answers to; words for people become labels."""
    called = [name, *aliases] if aliases or name != draft.name else []
    if draft.get("runtime.kind") == "container":
        if called:
            draft.label("aliases", ", ".join(called))
    elif called and draft.get("args.alias") is None:
        draft.put("args.alias", ",".join(called))
    elif called:
        draft.lose("aliases", "the command sets --alias itself, which wins")
    for key in ("name", "description"):
        text = text_of(node.get(key))
        if text:
            draft.label(key, macros.put_in(text))
    metadata = node.get("metadata")
    for key, (_, item) in metadata.map.items() if metadata else ():
        text = text_of(item)
        draft.label(
            key if key not in draft.document.get("labels", {}) else f"metadata.{key}",
            _json(item, text, macros),
        )


def _json(item: Node, text: str | None, macros: Macros) -> str:
    import json

    return macros.put_in(
        text if text is not None else json.dumps(plain(item), ensure_ascii=False, sort_keys=True)
    )


def _times(draft: Draft, node: Node, shared: Shared) -> None:
    """A ttl of -1 is the file's own, 0 is never; unloadTimeout 0 is the file's own."""
    ttl = node.get("ttl")
    seconds = whole_of(ttl, -1)
    if seconds < -1 and ttl is not None:
        raise refused(ttl, "ttl must be -1 or more")
    seconds = shared.ttl_s if seconds == -1 else seconds
    draft.put("idle.stop_after", format_duration(seconds) if seconds > 0 else None)
    unload = whole_of(node.get("unloadTimeout"), 0) or shared.unload_s
    draft.put("stop.grace", format_duration(unload) if unload > 0 else None)
    draft.put("health.start_timeout", None if shared.start_s is None else format_duration(shared.start_s))


def _filters(draft: Draft, node: Node | None) -> None:
    """Each filter by its own name; a name that setParamsByID makes is one that clients lose."""
    for key, (mark, item) in node.map.items() if node else ():
        names = ", ".join(item.map) if re.sub("[^a-z]", "", key.lower()) == "setparamsbyid" else ""
        extra = f"; clients can no longer ask for {names}" if names else ""
        draft.lose(f"filters.{key}", f"{MODEL['filters']}{extra}", mark.line)
