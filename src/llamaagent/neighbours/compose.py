"""A compose file to container profiles, one for each service with an image."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from llamaagent.config.foreign import parse_foreign
from llamaagent.config.node import Node
from llamaagent.neighbours.carried import Taking
from llamaagent.neighbours.commandline import take_secret_words
from llamaagent.neighbours.composekeys import READERS, SAID, TAKEN
from llamaagent.neighbours.composeparts import choose_among, device_requests
from llamaagent.neighbours.container import put_host_network
from llamaagent.neighbours.environment import Variable, take_variables
from llamaagent.neighbours.yamlread import is_true, map_of, text_of

if TYPE_CHECKING:
    from llamaagent.neighbours.carried import Draft, Source, Taken

KIND = "compose"
_USE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(:?[-?+])([^{}]*)\}")
_TOP = {
    "networks": "networks are the engine's own; name one in `runtime: {network: NAME}`",
    "secrets": "files of secrets are not read; name them under `secrets`",
    "configs": "mount the file under `runtime: {volumes: …}`",
    "include": "the files that it names are not read; import them too",
}
_PREFIXED = (
    "compose puts its project's name in front; write the whole name into the profile to keep what it holds"
)


def read_compose(source: Source) -> Taken:
    """Every service that has an image; the rest is listed. Raises BadInputError."""
    root = map_of(parse_foreign(source.data, source.name), "the file")
    taking = Taking(source)
    services = map_of(root.get("services") if root else None, "services")
    for key, (mark, node) in root.map.items() if root else ():
        if key in {"services", "name", "version"}:
            continue
        if key == "volumes":
            _volumes(taking, node)
            continue
        said = (
            "what it holds is taken where an alias names it"
            if key.startswith("x-")
            else "this key is not known here"
        )
        taking.lose(key, mark.line, _TOP.get(key, said))
    for name, (mark, node) in services.map.items() if services else ():
        draft = taking.draft(name, f"services.{name}", mark.line)
        if not _take(draft, map_of(node, f"services.{name}") or node):
            draft.drop()
    if services is None or not services.map:
        taking.lose("services", None, "the file names no service")
    return taking.result(KIND)


def _volumes(taking: Taking, node: Node) -> None:
    """Named volumes: compose calls one `PROJECT_NAME`, unless its own options say otherwise."""
    for key, (mark, item) in node.map.items():
        called = text_of(item.get("name")) or (key if is_true(item.get("external")) else None)
        if called is None:
            taking.lose(f"volumes.{key}", mark.line, _PREFIXED)
        elif called != key:
            taking.lose(
                f"volumes.{key}", mark.line, f"the engine calls it {called}; write that into the profile"
            )
        if options := sorted(item.map.keys() - {"name", "external"}):
            taking.lose(f"volumes.{key}", mark.line, f"{', '.join(options)}: options are the engine's own")


def _take(draft: Draft, written: Node) -> bool:
    node = _interpolated(draft, written, "")
    image = text_of(node.get("image"))
    if image is None:
        draft.lose("image", "a profile needs an image; build it first, then name it")
        return False
    draft.put("state", "stopped")
    draft.put("runtime.kind", "container")
    draft.put("runtime.image", image)
    words = _words(draft, node.get("command"), "command")
    words += take_variables(draft, _variables(node.get("environment")), draft.taking.source.options(None))
    draft.put("runtime.command", take_secret_words(draft, words, "command") or None)
    draft.put("runtime.entrypoint", _words(draft, node.get("entrypoint"), "entrypoint") or None)
    for key, (mark, item) in node.map.items():
        if key in READERS:
            READERS[key](draft, item)
        elif key not in TAKEN:
            said = (
                "its content is taken where an alias names it"
                if key.startswith("x-")
                else "it has no equal here"
            )
            draft.lose(key, SAID.get(key, said), mark.line)
    seen = draft.get("resources.gpus")
    device_requests(draft, node)
    choose_among(draft, seen)
    if draft.get("resources.gpus") is None:
        draft.put("resources.gpus", "none")
    if draft.get("runtime.network") == "host":
        put_host_network(draft, words)
    if node.get("restart") is None:
        draft.lose(
            "", "it is written with `state: stopped`: take the service down before you start the profile"
        )
    return True


def _words(draft: Draft, node: Node | None, key: str) -> list[str]:
    """A list as it is; text split as in a shell."""
    if node is None:
        return []
    if isinstance(node.value, list):
        return [text_of(item) or "" for item in node.items]
    try:
        return shlex.split(text_of(node) or "")
    except ValueError as error:
        draft.lose(key, f"it cannot be split into words: {error}", node.mark.line)
        return []


def _variables(node: Node | None) -> list[Variable]:
    """A map or a list of `NAME=value`; a name alone comes from outside."""
    if node is None:
        return []
    if isinstance(node.value, list):
        found = []
        for item in node.items:
            name, equals, value = (text_of(item) or "").partition("=")
            found.append(Variable(name, value if equals else None, item.mark.line))
        return found
    return [Variable(name, text_of(item), mark.line) for name, (mark, item) in node.map.items()]


def _interpolated(draft: Draft, node: Node, path: str) -> Node:
    """`$$` to a dollar; `${V:-d}` to its default, which is noted. What has no default stays a reference."""
    if isinstance(node.value, dict):
        entries = {
            key: (mark, _interpolated(draft, item, f"{path}.{key}".lstrip(".")))
            for key, (mark, item) in node.value.items()
        }
        return node.with_entries(entries)
    if isinstance(node.value, list):
        return Node([_interpolated(draft, item, path) for item in node.items], node.mark)
    if not isinstance(node.value, str) or "$" not in node.value:
        return node

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if "-" not in match[2]:
            return f"${{{match[1]}}}" if "?" in match[2] else match[0]
        draft.lose(
            path, f"{match[1]} may come from outside; its default was taken, for a profile expands no variables",
            node.mark.line,
        )  # fmt: skip
        return match[3]

    return node._replace(value=_USE.sub(value, node.value))
