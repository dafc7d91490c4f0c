"""`docker run` and `podman run`, as words, to a container profile."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from llamaagent.neighbours.carried import number_of
from llamaagent.neighbours.commandline import take_secret_words
from llamaagent.neighbours.container import (
    put_device,
    put_gpus,
    put_host_network,
    put_mount,
    put_ports,
    put_size,
    put_volume,
)
from llamaagent.neighbours.dockeroptions import SILENT, take_options
from llamaagent.neighbours.environment import Variable, take_variables

if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.neighbours.carried import Draft
    from llamaagent.neighbours.commandline import Command

_SECURITY = "security-opt"


def take_run(draft: Draft, command: Command, *, main: int | None = None, key: str = "cmd") -> bool:
    """Put `docker run …` into a profile; False when it cannot be one, which is noted. main: the port clients use."""
    words = list(command.words)
    if words[:1] == ["container"]:
        del words[0]
    if words[:1] != ["run"]:
        draft.lose(key, f"only `{os.path.basename(command.program)} run` can become a profile")
        return False
    del words[0]
    options = take_options(draft, words, key)
    if options is None or not words:
        draft.lose(key, "no image is named" if options is not None else "the command cannot be read")
        return False
    for name, value in command.variables:
        draft.lose(key, f"{name} is set for the engine's client only" if value else f"{name} is empty")
    draft.put("runtime.kind", "container")
    draft.put("runtime.image", words[0])
    engine = os.path.basename(command.program)
    draft.put("runtime.engine", engine if engine != "docker" else None)
    _variables(draft, options, words)
    draft.put("runtime.command", take_secret_words(draft, words[1:], key) or None)
    put_ports(draft, [value for name, value in options if name == "publish"], main=main)
    for name, value in options:
        _take(draft, name, value, key)
    if draft.get("resources.gpus") is None:
        draft.put("resources.gpus", "none")
    if draft.get("runtime.network") == "host":
        put_host_network(draft, words)
    return True


def _variables(draft: Draft, options: list[tuple[str, str]], words: list[str]) -> None:
    variables = []
    for name, text in options:
        if name == "env":
            variable, equals, value = text.partition("=")
            variables.append(Variable(variable, value if equals else None, draft.line))
    words += take_variables(draft, variables, draft.taking.source.options(None))


def _take(draft: Draft, name: str, value: str, key: str) -> None:
    """One option by its long name."""
    if name in _READERS:
        _READERS[name](draft, value)
    elif name in _LISTS:
        draft.document["runtime"].setdefault(_LISTS[name], []).append(value)
    elif name in _SAME:
        draft.put(_SAME[name], value)
    elif name == _SECURITY and value.partition(":")[0].partition("=")[0] == "no-new-privileges":
        draft.put("runtime.no_new_privileges", not value.endswith("false"))
    elif name == "runtime" and value == "nvidia":
        if draft.get("resources.gpus") is None:
            draft.put("resources.gpus", "all")
    elif name in _SAID:
        draft.lose(key, f"--{name} {_SAID[name]}")
    elif name not in {"env", "publish", *SILENT}:
        draft.lose(key, f"--{name} {value}".removesuffix(" true") + " has no equal here")


def _restart(draft: Draft, value: str) -> None:
    take_restart(draft, value, "cmd")


def take_restart(draft: Draft, value: str, key: str) -> None:
    """A policy of the engine's own."""
    policy = {"no": "never", "false": "never", "on-failure": "on-failure"}.get(
        value.partition(":")[0], "always"
    )
    draft.put("restart.policy", policy if policy != "always" else None)
    if policy != "never":
        draft.lose(
            key,
            f"restart {value}: the agent restarts it; take the engine's policy away, or two supervisors fight over it",
        )


def _label(draft: Draft, value: str) -> None:
    name, _, text = value.partition("=")
    draft.label(name, text)


def _cpus(draft: Draft, value: str) -> None:
    take_cpus(draft, value, "cmd")


def take_cpus(draft: Draft, value: str, key: str) -> None:
    """How many processors, a fraction allowed."""
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0.01 <= number < 100_000:
        draft.lose(key, f"{value!r} is no number of cpus")
    else:
        draft.put("resources.cpus", int(number) if number == int(number) else number)


_LISTS = {"cap-drop": "cap_drop"}
_SAME = {"network": "runtime.network", "user": "runtime.user", "workdir": "runtime.cwd"}
_SAID = {
    "env-file": "is not read; put its variables into `runtime.env`, its secrets into the settings' env_file",
    "name": "is not taken: the agent names a container after its profile and launch",
    "health-cmd": "is not taken: the agent asks the server itself (`health`)",
    "publish-all": "has no equal here; `listen` publishes one port, `runtime.ports` others",
}
_READERS: dict[str, Callable[[Draft, str], None]] = {
    "volume": put_volume,
    "mount": lambda draft, value: put_mount(draft, _fields(value)),
    "device": put_device,
    "gpus": put_gpus,
    "shm-size": lambda draft, value: put_size(draft, "runtime.shm_size", value, "cmd"),
    "memory": lambda draft, value: put_size(draft, "resources.memory", value, "cmd"),
    "cpus": _cpus,
    "restart": _restart,
    "label": _label,
    "entrypoint": lambda draft, value: draft.put("runtime.entrypoint", _split(value)),
    "read-only": lambda draft, value: draft.put("runtime.read_only", value == "true"),
    "pull": lambda draft, value: draft.put("runtime.pull", value if value in {"always", "never"} else None),
    "stop-timeout": lambda draft, value: draft.put("stop.grace", f"{value}s" if number_of(value) else None),
}


def _fields(text: str) -> dict[str, str]:
    return {name: value for name, _, value in (part.partition("=") for part in text.split(","))}


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return [text]
