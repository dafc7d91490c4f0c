"""The child that fetches one image, and the file by which it tells how far it is.

`python -m llamaagent.engine.pulling ENGINE IMAGE FILE`. A lock on FILE.lock says that it lives; the kernel lets go of
it whatever ends the child. Layers that were fetched stay with the engine, so the next try goes on where this one ended.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time

from llamaagent.base.errors import LlamaAgentError
from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

AGAIN_S = 60  # after a failure, and for how long what was fetched counts as fresh
_TELL_S = 1.0
_SILENT_S = 120.0  # an engine that says nothing for so long has lost its registry
_WHOLE = frozenset(
    {"Download complete", "Verifying Checksum", "Pull complete", "Already exists", "Extracting"}
)


class State(NamedTuple):
    """How far a fetch is, or how it ended. ts: when it ended."""

    got_bytes: int = 0
    total_bytes: int = 0
    done: bool = False
    error: str | None = None
    ts: int | None = None


def read_state(path: str) -> State:
    """What the file says; nothing when there is none, or nothing that makes sense."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        return State(
            int(found["got"]), int(found["total"]), found["done"] is True, found["error"], found["ts"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return State()


def write_state(path: str, state: State) -> None:
    """All of it or nothing, mode 0600."""
    text = json.dumps(
        {
            "got": state.got_bytes,
            "total": state.total_bytes,
            "done": state.done,
            "error": state.error,
            "ts": state.ts,
        }
    )
    part = f"{path}.{os.getpid()}.part"
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(part, path)


class Progress:
    """Bytes of the layers that an engine's messages name."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}

    def take(self, line: dict[str, Any]) -> State:
        """Read one message."""
        layer, detail = line.get("id"), line.get("progressDetail") or {}
        if isinstance(layer, str):
            got, total = self._layers.get(layer, (0, 0))
            if line.get("status") == "Downloading":
                got, total = int(detail.get("current") or got), int(detail.get("total") or total)
            elif line.get("status") in _WHOLE:
                got = total
            self._layers[layer] = (got, total)
        return State(sum(got for got, _ in self._layers.values()), sum(n for _, n in self._layers.values()))


def main(argv: list[str]) -> int:
    """Fetch, telling; 0 when the engine has the image."""
    url, image, path = argv
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return 0  # another fetches it
    from llamaagent.engine.client import Engine

    progress, state, told = Progress(), State(), 0.0
    write_state(path, state)
    try:
        for line in Engine(url, timeout_s=_SILENT_S).pull(image):
            state = progress.take(line)
            if time.monotonic() - told >= _TELL_S:
                told = time.monotonic()
                write_state(path, state)
    except LlamaAgentError as error:
        write_state(path, state._replace(error=str(error), ts=_now()))
        return 1
    write_state(path, state._replace(done=True, ts=_now()))
    return 0


def _now() -> int:
    from llamaagent.base.clock import SystemClock

    return SystemClock().now()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
