"""A server that somebody else runs: found by the port it listens on, or by its systemd unit. Only looked at.

Source: /proc/net/tcp and /proc/PID/fd (launch/listeners.py), `systemctl show` (launch/systemd.py).
"""

from __future__ import annotations

import os
import sys

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.base.record import NamedTuple
from llamaagent.launch.identity import LINUX, identify, pids, read_small
from llamaagent.launch.listeners import Listener, listeners, socket_inodes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.base.paths import HostPaths
    from llamaagent.domain.instance import Identity

_SYSTEMD = "systemd:"
_SECRET_WORDS = ("token", "api-key", "api_key", "secret", "password")
_SECRET_SHORT = frozenset({"-hft"})
HIDDEN = "***"


class Outside(NamedTuple):
    """What was found. server None: it is not there now, and fault says in which way."""

    server: Identity | None
    host: str | None = None  # an address at which clients of this host reach it
    port: int | None = None
    fault: str | None = None


def find_outside(port: int | None, pid_from: str | None, paths: HostPaths = LINUX) -> Outside:
    """Find it by its unit where one is named, else by the port. Raises nothing: what is missing is told."""
    if pid_from is not None:
        return _by_unit(pid_from.removeprefix(_SYSTEMD), port, paths)
    if port is None:
        return Outside(None, fault="neither a port nor a unit is named")
    return _by_port(port, paths)


def _by_port(port: int, paths: HostPaths) -> Outside:
    sockets = listeners([port], paths)
    if sockets is None:
        return Outside(None, fault="this host does not say who listens on a port")
    if not sockets:
        return Outside(None, fault=f"nothing listens on port {port}")
    inodes = {one.inode: one for one in sockets}
    found: list[tuple[Identity, Listener]] = []
    for pid in pids(paths):
        held = (socket_inodes(pid, paths) or set()) & inodes.keys()
        server = identify(pid, paths) if held else None
        if server is not None:
            found.append((server, inodes[min(held)]))
    if not found:
        text = f"port {port} is held by a program of another user, which only root can see; name its unit by pid_from"
        return Outside(None, fault=text)
    server, socket = min(found, key=lambda one: (one[0].start_ticks, one[0].pid))  # a child may share it
    return Outside(server, address_text(socket.address), port)


def _by_unit(unit: str, port: int | None, paths: HostPaths) -> Outside:
    from llamaagent.launch.systemd import find_unit

    try:
        known = find_unit(unit)
    except ServiceUnavailableError as error:
        return Outside(None, fault=str(error))
    if not known.loaded:
        return Outside(None, fault=f"systemd knows no unit {unit}")
    server = identify(known.main_pid, paths) if known.main_pid is not None else None
    if server is None:
        return Outside(None, fault=f"unit {unit} has no running process")
    if port is not None:
        return Outside(server, "127.0.0.1", port)
    socket = listening(server.pid, paths)
    if socket is None:
        return Outside(server)
    return Outside(server, address_text(socket.address), socket.port)


def listening(pid: int, paths: HostPaths = LINUX) -> Listener | None:
    """Where a process listens: the port of its command line if it does there, else its lowest. None: nowhere seen."""
    held = socket_inodes(pid, paths)
    mine = [one for one in (listeners(None, paths) or ()) if one.inode in (held or ())]
    named = option_value(command_words(pid, paths), "--port")
    return min(mine, key=lambda one: (str(one.port) != named, one.port, len(one.address)), default=None)


def command_words(pid: int, paths: HostPaths = LINUX) -> list[str]:
    """The command line of a process; empty when it is gone or a kernel thread."""
    try:
        text = read_small(f"{paths.proc}/{pid}/cmdline").decode("utf-8", "surrogateescape")
    except OSError:
        return []
    return text.removesuffix("\0").split("\0") if text else []


def option_value(words: list[str], name: str) -> str | None:
    """The word after the last use of a long option, however its dashes are written."""
    value = None
    for at, word in enumerate(words[:-1]):
        if word.replace("_", "-") == name:
            value = words[at + 1]
    return value


def own_log(pid: int, words: list[str], paths: HostPaths = LINUX) -> str | None:
    """The log file that its command line names and that is there; None when there is none."""
    named = option_value(words, "--log-file")
    if named is None:
        return None
    try:
        path = os.path.normpath(os.path.join(os.readlink(f"{paths.proc}/{pid}/cwd"), named))
    except OSError:
        path = named
    return path if os.path.isabs(path) and os.path.isfile(path) else None


def without_secrets(words: Iterable[str]) -> list[str]:
    """A command line as it may be stored: what follows an option for a key or a token is `***`.

    >>> without_secrets(["llama-server", "--api-key", "k", "-hft=t", "--api-key-file", "/f", "-c", "1"])
    ['llama-server', '--api-key', '***', '-hft=***', '--api-key-file', '/f', '-c', '1']
    """
    kept: list[str] = []
    secret = False
    for word in words:
        option, equals, _ = word.partition("=")
        names_one = word.startswith("-") and _is_secret(option)
        kept.append(HIDDEN if secret else f"{option}={HIDDEN}" if names_one and equals else word)
        secret = names_one and not equals
    return kept


def _is_secret(option: str) -> bool:
    low = option.lower()
    return low in _SECRET_SHORT or (
        any(word in low for word in _SECRET_WORDS) and not low.endswith(("-file", "_file"))
    )


def address_text(address: str) -> str:
    """The kernel's form of an address as text; any address of this host becomes its loopback.

    >>> address_text("00000000"), address_text("0" * 32)
    ('127.0.0.1', '::1')
    """
    from _socket import AF_INET, AF_INET6, inet_ntop

    words = (address[at : at + 8] for at in range(0, len(address), 8))
    packed = b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)
    if not any(packed):
        return "127.0.0.1" if len(packed) == 4 else "::1"
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed)
