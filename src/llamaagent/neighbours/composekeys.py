"""What each key of a compose service becomes, or why it becomes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.neighbours import composeparts as parts
from llamaagent.neighbours.container import put_size
from llamaagent.neighbours.dockerrun import take_cpus, take_restart
from llamaagent.neighbours.yamlread import is_true, text_of, texts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.config.node import Node
    from llamaagent.neighbours.carried import Draft

    Reader = Callable[[Draft, Node], None]

TAKEN = frozenset(
    {"image", "command", "entrypoint", "environment", "gpus", "runtime"}
)  # read by compose.py itself
_PULL = {"always": "always", "never": "never", "missing": "missing", "if_not_present": "missing"}
SAID = {
    "build": "nothing is built here; the image must be there or be pulled",
    "env_file": "it is not read; put its variables into `runtime.env`, its secrets into the settings' env_file",
    "container_name": "the agent names a container after its profile and launch",
    "depends_on": "profiles do not wait for each other",
    "extends": "the service that it names is not read; write what it brings into the profile",
    "profiles": "choose with `hosts`, or with `state`",
    "networks": "name one in `runtime: {network: NAME}`",
    "secrets": "name them under `secrets`",
    "stop_signal": "SIGTERM, then SIGKILL after `stop.grace`",
    "logging": "the agent reads the log itself",
}


def _texts(path: str) -> Reader:
    def read(draft: Draft, node: Node) -> None:
        draft.put(path, [text for text, _ in texts_of(node)] or None)

    return read


def _text(path: str) -> Reader:
    def read(draft: Draft, node: Node) -> None:
        draft.put(path, text_of(node))

    return read


def _size(path: str, key: str) -> Reader:
    def read(draft: Draft, node: Node) -> None:
        put_size(draft, path, text_of(node) or "", key)

    return read


def _restart(draft: Draft, node: Node) -> None:
    take_restart(draft, text_of(node) or "no", "restart")


def _pull(draft: Draft, node: Node) -> None:
    policy = _PULL.get(text_of(node) or "")
    if policy is None:
        draft.lose("pull_policy", f"{text_of(node)} has no equal here", node.mark.line)
    draft.put("runtime.pull", policy)


READERS: dict[str, Reader] = {
    "ports": parts.ports,
    "volumes": parts.volumes,
    "devices": parts.devices,
    "deploy": parts.deploy,
    "healthcheck": parts.healthcheck,
    "security_opt": parts.security,
    "labels": parts.labels,
    "restart": _restart,
    "pull_policy": _pull,
    "user": _text("runtime.user"),
    "working_dir": _text("runtime.cwd"),
    "network_mode": _text("runtime.network"),
    "read_only": lambda draft, node: draft.put("runtime.read_only", is_true(node)),
    "cap_drop": _texts("runtime.cap_drop"),
    "shm_size": _size("runtime.shm_size", "shm_size"),
    "mem_limit": _size("resources.memory", "mem_limit"),
    "cpus": lambda draft, node: take_cpus(draft, text_of(node) or "", "cpus"),
    "stop_grace_period": lambda draft, node: parts.put_duration(
        draft, "stop.grace", node, "stop_grace_period"
    ),
}
