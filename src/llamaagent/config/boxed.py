"""What a container's keys must look like beyond their kind: ports, volumes, and a secret that cannot be handed over."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llamaagent.config.node import mark_at

if TYPE_CHECKING:
    from llamaagent.config.check import Checker
    from llamaagent.config.node import Node

_PORT = re.compile(
    r"(?:(?:(?:\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(?P<outer>[1-9]\d{0,4}):)?(?P<inner>[1-9]\d{0,4})(?:/(?:tcp|udp|sctp))?"
)
_VOLUME = re.compile(r"(?P<source>[^:]+):(?P<target>/[^:]*)(?::(?P<options>[a-zA-Z,]+))?")
_NAMED = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_HIGHEST_PORT = 65535


def check_container(sparse: dict[str, Any], merged: Node, check: Checker) -> None:
    """Note what no engine would take. Folders of volumes that are relative become absolute: they are so to the file."""
    runtime = merged.get("runtime")
    if runtime is None:
        return
    if "image" not in runtime.map:
        check.say(runtime.mark, "'image' is missing: a container needs one")
    for node in _entries(runtime, "ports"):
        text = node.value if isinstance(node.value, str) else node.text
        if text is not None and not _is_port(text):
            wanted = "[ADDRESS:][HOST_PORT:]PORT[/tcp|udp]"
            check.say(
                node.mark, f"{text!r} is no port to publish; write {wanted}, such as 127.0.0.1:6006:6006"
            )
    volumes = _entries(runtime, "volumes")
    made = [_volume(node.value, node, check) for node in volumes if isinstance(node.value, str)]
    if made and "runtime" in sparse:
        sparse["runtime"] = {**sparse["runtime"], "volumes": made}
    if "hf-token" in sparse.get("secrets", {}):
        check.say(
            mark_at(merged, merged.mark, "secrets", "hf-token"),
            "llama-server reads hf-token from its environment only, which all users of the engine can see; "
            "fetch the model first (llamaagent models pull) and name its file",
        )


def _entries(runtime: Node, key: str) -> list[Node]:
    found = runtime.get(key)
    return found.items if found is not None else []


def _is_port(text: str) -> bool:
    match = _PORT.fullmatch(text)
    return match is not None and all(int(match[key] or 1) <= _HIGHEST_PORT for key in ("outer", "inner"))


def _volume(text: str, node: Node, check: Checker) -> str:
    match = _VOLUME.fullmatch(text)
    if match is None:
        check.say(node.mark, f"{text!r} is no volume; write FOLDER:/PATH/INSIDE[:ro], or NAME:/PATH/INSIDE")
        return text
    source = match["source"]
    if source.startswith(("./", "../", "~")) or source in {".", ".."}:
        source = check.places.absolute(source, node.mark.file)
    elif not source.startswith("/") and not _NAMED.fullmatch(source):
        hint = f"./{source}" if "/" in source else "a name of letters, digits, '.', '_' and '-'"
        check.say(node.mark, f"{source!r} is neither a folder nor a volume's name; write {hint}")
    return source + text[len(match["source"]) :]
