"""What is on this host already: GGUF files in the usual places, llama-servers that run."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.base.errors import LlamaAgentError
from llamaagent.launch.identity import LINUX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from llamaagent.base.clock import Clock
    from llamaagent.base.paths import HostPaths
    from llamaagent.config.catalogue import Catalogue
    from llamaagent.launch.foreign import Foreign

_DEPTH = 6  # a model of the Hugging Face cache lies five folders deep
_TIME_S = 3.0
_MOST = 500
_SKIPPED = frozenset({".git", "node_modules", "__pycache__", ".venv", "proc", "sys"})
_PART = re.compile(r"-(\d{5})-of-\d{5}\.gguf$")  # only the first part is named to llama-server


class Running(NamedTuple):
    """A llama-server of anybody. words: its options without the model, secrets as `***`; secrets: which these are."""

    pid: int
    user: str | None
    model: str | None
    words: tuple[str, ...]
    secrets: tuple[str, ...]
    fault: str | None = None  # why its command line cannot be taken over


def model_places(folder: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where people keep GGUF files, absolute, most likely first."""
    home = environ.get("HOME", "/")
    cache = environ.get("XDG_CACHE_HOME") or f"{home}/.cache"
    hub = environ.get("HF_HOME") or f"{cache}/huggingface"
    places = (folder, f"{home}/models", environ.get("LLAMA_CACHE") or f"{cache}/llama.cpp", hub, "/models")
    return tuple(dict.fromkeys(os.path.abspath(place) for place in places))


def find_models(folder: str, environ: Mapping[str, str], clock: Clock) -> list[str]:
    """GGUF files in the usual places, by place; bounded in depth, number and time (three seconds)."""
    until = clock.monotonic() + _TIME_S
    found: dict[str, None] = {}
    for place in model_places(folder, environ):
        for path in _models_below(place, _DEPTH, lambda: clock.monotonic() > until):
            found.setdefault(path)
            if len(found) >= _MOST:
                return list(found)
    return list(found)


def _models_below(folder: str, depth: int, is_late: Callable[[], bool]) -> Iterator[str]:
    if is_late():
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        part = _PART.search(entry.name)
        if entry.name.endswith(".gguf") and entry.is_file():
            if not entry.name.startswith(("mmproj", "ggml-vocab")) and (part is None or part[1] == "00001"):
                yield entry.path
        elif depth > 0 and entry.name not in _SKIPPED and entry.is_dir(follow_symlinks=False):
            yield from _models_below(entry.path, depth - 1, is_late)


def find_running(host: HostPaths = LINUX) -> list[Running]:
    """llama-servers that run now and that no llamaagent launched, by pid."""
    from llamaagent.config.catalogue import load_catalogue
    from llamaagent.launch.foreign import find_foreign

    found = find_foreign(host)
    catalogue = load_catalogue() if found else None
    return [_running(server, catalogue) for server in found if catalogue is not None]


def _running(server: Foreign, catalogue: Catalogue) -> Running:
    from llamaagent.config.serverline import read_server_line, without_secrets

    pid, words = server.identity.pid, server.words[1:]
    try:
        kept, secrets = without_secrets(words, catalogue)
        line = read_server_line(words, f"server-{pid}", catalogue, cwd=server.cwd)
    except LlamaAgentError as error:
        return Running(pid, server.user, None, (), (), str(error))
    if line.faults:
        return Running(pid, server.user, None, (), (), line.faults[0])
    path = line.model[1] if line.model is not None and line.model[0] == "path" else None
    return Running(pid, server.user, path, tuple(kept), tuple(secrets))
