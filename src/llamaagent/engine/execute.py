"""A command in a running container: with a terminal as with `ssh -t`, or with plain streams that a pipe understands.

`python -m llamaagent.engine.execute ENGINE CONTAINER COMMAND…` is the same without input, for a probe that is given a
time limit by whoever starts it. Source: the Docker Engine API, "Attach to a container", stream format.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import sys
from contextlib import contextmanager

from llamaagent.base.errors import LlamaAgentError, ServiceUnavailableError
from llamaagent.base.writing import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from llamaagent.engine.client import Engine

_CHUNK = 65536
_HEADER = struct.Struct(">BxxxL")
_STDERR = 2


class Frames:
    """Takes the engine's stream apart: each piece has a header with its length and whose output it is."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """(1 = standard output, 2 = standard error, bytes) of every piece that is whole by now."""
        self._held += data
        while len(self._held) >= _HEADER.size:
            kind, size = _HEADER.unpack_from(self._held)
            if len(self._held) < _HEADER.size + size:
                return
            yield kind, bytes(self._held[_HEADER.size : _HEADER.size + size])
            del self._held[: _HEADER.size + size]


def execute(
    engine: Engine, container_id: str, command: Sequence[str], *, stdin: int | None, tty: bool
) -> int:
    """Run it to its end and give its exit status. stdin: a descriptor to read from, None = nothing comes in.

    Raises EngineError, and ServiceUnavailableError when the container does not run.
    """
    found = engine.inspect(container_id)
    if found is None or not found.alive:
        raise ServiceUnavailableError(f"container {container_id[:12]} does not run")
    with engine.translated():
        api = engine.api
        made = api.exec_create(container_id, list(command), stdin=stdin is not None, tty=tty)
        link = _socket(api.exec_start(made["Id"], tty=tty, socket=True))
    with _raw_terminal(stdin if tty else None):
        if tty:
            _fit_terminal(api, made["Id"])
        _talk(link, stdin, tty=tty)
    with engine.translated():
        code = api.exec_inspect(made["Id"]).get("ExitCode")
    return code if isinstance(code, int) else 1


def _socket(found: Any) -> socket.socket:
    """The package gives a file around the socket, of which only the socket can be shut down half-way."""
    link: socket.socket = getattr(found, "_sock", found)
    return link


def _talk(link: socket.socket, stdin: int | None, *, tty: bool) -> None:
    frames, chooser = Frames(), selectors.DefaultSelector()
    chooser.register(link, selectors.EVENT_READ)
    if stdin is not None:
        try:
            chooser.register(stdin, selectors.EVENT_READ)
        except PermissionError:  # a plain file is always ready, and not for a selector
            link.sendall(_all_of(stdin))
            link.shutdown(socket.SHUT_WR)
    with chooser:
        while True:
            for key, _ in chooser.select():
                if key.fileobj is link:
                    data = link.recv(_CHUNK)
                    if not data:
                        return
                    for kind, piece in [(1, data)] if tty else frames.feed(data):
                        write_all(2 if kind == _STDERR else 1, piece)
                else:
                    data = os.read(key.fd, _CHUNK)
                    if data:
                        link.sendall(data)
                    else:
                        chooser.unregister(key.fileobj)
                        link.shutdown(socket.SHUT_WR)


def _all_of(fd: int) -> bytes:
    parts = []
    while data := os.read(fd, _CHUNK):
        parts.append(data)
    return b"".join(parts)


@contextmanager
def _raw_terminal(fd: int | None) -> Iterator[None]:
    """Every key goes through; the terminal is as before afterwards, whatever happens."""
    if fd is None:
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _fit_terminal(api: Any, exec_id: str) -> None:
    """As large as the one here; again whenever that changes."""
    import contextlib
    import signal

    def fit(*_: object) -> None:
        with contextlib.suppress(OSError, Exception):  # a terminal of the wrong size is no reason to end
            size = os.get_terminal_size()
            api.exec_resize(exec_id, height=size.lines, width=size.columns)

    signal.signal(signal.SIGWINCH, fit)
    fit()


def main(argv: list[str]) -> int:
    """For a probe: the command's exit status, 125 when the engine cannot run it."""
    from llamaagent.engine.client import Engine

    url, container_id, *command = argv
    try:
        return execute(Engine(url), container_id, command, stdin=None, tty=False)
    except LlamaAgentError as error:
        sys.stderr.write(f"{error}\n")
        return 125


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
