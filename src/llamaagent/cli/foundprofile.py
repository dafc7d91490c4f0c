"""The profile of a server that runs now: its command line and its environment as the keys that say the same.

No value of a secret is in what comes out: a key becomes a reference, and each is named.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.cli.profiletext import document_text
from llamaagent.config.serverline import ServerLine, read_server_line, read_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llamaagent.config.catalogue import Catalogue, Option
    from llamaagent.launch.foreign import Foreign

_CARRIED = ("GGML_", "CUDA_", "HIP_", "ROCR_", "HSA_", "OMP_", "VK_", "GOMP_", "KMP_", "NCCL_", "LLAMA_")
_CARRIED_NAMES = frozenset({"LD_LIBRARY_PATH", "LD_PRELOAD", "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT"})
_OWN = ("LLAMA_ARG_", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
_TRUE = frozenset({"on", "enabled", "true", "1"})
_FALSE = frozenset({"off", "disabled", "false", "0"})
_DEFAULT_PORT = 8080  # llama-server's own


class FoundProfile(NamedTuple):
    """What would be written. document is empty when the command line cannot be taken over: faults say why."""

    document: dict[str, object]
    notes: tuple[str, ...]
    faults: tuple[str, ...]

    def text(self, heading: str) -> str:
        """The whole file."""
        return f"# {heading}\n{document_text(self.document)}"


def found_profile(
    server: Foreign, name: str, catalogue: Catalogue, *, binary: str | None, defaults: Iterable[str] = ()
) -> FoundProfile:
    """Make it.

    binary: the file that the settings' `binary` means. defaults: options that the settings give to every profile:
    one that this server does not have is taken away again, so that the profile is what runs.
    """
    environment = server.environment or {}
    words = [*_from_environment(environment, server.words[1:], catalogue), *server.words[1:]]
    line = read_server_line(words, name, catalogue, cwd=server.cwd or "/")
    notes = [*line.notes, *_not_readable(server)]
    faults = list(line.faults)
    if line.model is None:
        faults.append("it names no model, so it is a router, which supervises servers of its own")
    if faults:
        return FoundProfile({}, tuple(notes), tuple(faults))
    document: dict[str, object] = {"state": "running"}
    kind, value = line.model or ("path", "")
    document["model"] = value if kind == "path" else {kind: value}
    runtime = _runtime(server, environment, binary, notes)
    if runtime:
        document["runtime"] = runtime
    cards = environment.get("CUDA_VISIBLE_DEVICES")
    if cards is not None:
        document["resources"] = {"gpus": _cards(cards)}
    document["listen"] = _listen(line, server)
    if line.secrets:
        document["secrets"] = {option: {kind: value} for option, (kind, value) in line.secrets.items()}
    args = {**dict.fromkeys(sorted(defaults)), **dict(line.args)}
    if args:
        document["args"] = args
    return FoundProfile(document, tuple(notes), ())


def watched_profile(port: int | None, unit: str | None) -> dict[str, object]:
    """The profile that only watches it."""
    runtime: dict[str, object] = {"kind": "external"}
    if unit is not None:
        runtime["pid_from"] = f"systemd:{unit}"
    elif port is not None:
        runtime["port"] = port
    return {"runtime": runtime}


def _from_environment(
    environment: Mapping[str, str], words: Iterable[str], catalogue: Catalogue
) -> list[str]:
    """Options that its environment sets and its command line does not: there the command line wins."""
    given = {word.option.name for word in read_words(list(words), catalogue)[0]}
    by_variable = {option.env: option for option in catalogue.options.values() if option.env}
    made: list[str] = []
    for variable, text in sorted(environment.items()):
        negated = variable.startswith("LLAMA_ARG_NO_")
        option = by_variable.get(variable.replace("LLAMA_ARG_NO_", "LLAMA_ARG_", 1) if negated else variable)
        if (
            option is None
            or option.name in given
            or (option.name == "hf-token" and not _from_hub(given, environment))
        ):
            continue
        made += _as_words(option, text, negated=negated)
    return made


def _from_hub(given: set[str], environment: Mapping[str, str]) -> bool:
    return "hf-repo" in given or "LLAMA_ARG_HF_REPO" in environment


def _as_words(option: Option, text: str, *, negated: bool) -> list[str]:
    if option.value != "none":
        return [] if negated else [option.names[-1], text]
    off = negated or text.lower() in _FALSE
    if off:
        return [option.negations[-1]] if option.negations else []
    return [option.names[-1]] if text.lower() in _TRUE else []


def _not_readable(server: Foreign) -> list[str]:
    if server.environment is None:
        return ["its environment cannot be read: what was set there is not known"]
    return []


def _runtime(
    server: Foreign, environment: Mapping[str, str], binary: str | None, notes: list[str]
) -> dict[str, object]:
    from llamaagent.config.special import looks_secret

    made: dict[str, object] = {}
    if server.exe is None:
        notes.append(
            "its program cannot be seen or was replaced: the next start takes the settings' `binary`"
        )
    elif binary is None or os.path.realpath(server.exe) != os.path.realpath(binary):
        made["binary"] = server.exe
    carried = {}
    for variable, text in sorted(environment.items()):
        known = variable in _CARRIED_NAMES or variable.startswith(_CARRIED)
        if not known or variable.startswith(_OWN) or variable == "LLAMA_API_KEY":
            continue
        if looks_secret(variable):
            notes.append(f"{variable} was not carried over: it looks like a secret")
        else:
            carried[variable] = text
    if carried:
        made["env"] = carried
    return made


def _cards(text: str) -> object:
    named = [word.strip() for word in text.split(",") if word.strip()]
    return "none" if named in ([], ["-1"]) else named


def _listen(line: ServerLine, server: Foreign) -> dict[str, object]:
    listen: dict[str, object] = {} if line.host is None else {"host": line.host}
    return {**listen, "port": server.port or line.port or _DEFAULT_PORT}
