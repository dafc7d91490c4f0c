"""Who listens on a port: one of ours, a stranger, or nobody.

Health answered on a port says nothing about whose answer it was, so the socket's inode is compared with
what the processes hold. Source: sock_diag(7), else /proc/net/tcp and tcp6 (proc_net(5)), where the kernel prints the
listening sockets before all others; and /proc/PID/fd.
"""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple
from llamaagent.launch.identity import LINUX, pids, read_small
from llamaagent.launch.sockdiag import listening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llamaagent.base.paths import HostPaths

OURS = "ours"
STRANGER = "stranger"
NONE = "none"
UNKNOWN = "unknown"
_LISTEN = b"0A"
_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})


class Endpoint(NamedTuple):
    """Where one of ours should listen, and which pids may. host: as in the profile."""

    host: str
    port: int
    owners: tuple[int, ...]


class Listener(NamedTuple):
    """One listening TCP socket. address: the kernel's hexadecimal form, 8 digits for IPv4, 32 for IPv6."""

    address: str
    port: int
    inode: int


class Holder(NamedTuple):
    """A process that listens on a port; command is cut to 200 characters."""

    pid: int
    command: str


def listener_state(host: str, port: int, owners: Iterable[int], paths: HostPaths = LINUX) -> str:
    """Whether `ours`, a `stranger`, or `none` listens there; `unknown` when we cannot tell."""
    return listener_states([Endpoint(host, port, tuple(owners))], paths)[0]


def listener_states(wanted: Sequence[Endpoint], paths: HostPaths = LINUX) -> tuple[str, ...]:
    """The same for many at the price of one look at the sockets; answers in the order asked.

    `unknown`: a Unix socket, no /proc, or an owner whose descriptors we may not read.
    """
    sockets = listeners({one.port for one in wanted}, paths)
    if sockets is None:
        return (UNKNOWN,) * len(wanted)
    return tuple(_state(one, sockets, paths) for one in wanted)


def _state(wanted: Endpoint, sockets: Sequence[Listener], paths: HostPaths) -> str:
    if wanted.host.endswith(".sock"):
        return UNKNOWN
    addresses = _reachable(wanted.host)
    inodes = {
        one.inode
        for one in sockets
        if one.port == wanted.port and (addresses is None or one.address in addresses)
    }
    if not inodes:
        return NONE
    readable = True
    for pid in wanted.owners:
        held = socket_inodes(pid, paths)
        readable = readable and held is not None
        inodes -= held or set()
        if not inodes:  # with SO_REUSEPORT a stranger may stand beside us: all of them must be ours
            return OURS
    return STRANGER if readable else UNKNOWN


def listeners(ports: Iterable[int] | None, paths: HostPaths = LINUX) -> list[Listener] | None:
    """Listening TCP sockets on these ports (None: on any); None where the kernel does not say."""
    if paths == LINUX:
        told = listening()
        if told is not None:
            some = None if ports is None else frozenset(ports)
            return [
                Listener(_kernel_form(one.address), one.port, one.inode)
                for one in told
                if some is None or one.port in some
            ]
    return _written(ports, paths)


def _written(ports: Iterable[int] | None, paths: HostPaths) -> list[Listener] | None:
    """The same as /proc tells it."""
    wanted = {} if ports is None else {f"{port:04X}".encode(): port for port in ports}
    found: list[Listener] = []
    known = False
    for name in ("tcp", "tcp6"):
        try:
            lines = _listening_lines(f"{paths.proc}/net/{name}")
        except OSError:  # tcp6 is missing on a host without IPv6
            continue
        known = True
        for line in lines:
            fields = line.split(None, 10)
            address, _, port = fields[1].partition(b":")
            if ports is None or port in wanted:
                found.append(Listener(address.decode("ascii"), int(port, 16), int(fields[9])))
    return found if known else None


def _listening_lines(path: str) -> list[bytes]:
    """Lines of the listening sockets, reading no further than the first that is not one."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        lines: list[bytes] = []
        rest = b""
        heading = True
        while data := os.read(fd, 16384):
            *whole, rest = (rest + data).split(b"\n")
            for line in whole[1:] if heading else whole:
                fields = line.split(None, 4)
                if len(fields) < 4 or fields[3] != _LISTEN:
                    return lines
                lines.append(line)
            heading = heading and not whole
        return lines
    finally:
        os.close(fd)


def socket_inodes(pid: int, paths: HostPaths = LINUX) -> set[int] | None:
    """Inodes of the sockets a process holds, empty when it is gone, None when we may not look."""
    folder = f"{paths.proc}/{pid}/fd"
    found: set[int] = set()
    try:
        names = os.listdir(folder)
    except PermissionError:
        return None
    except OSError:
        return found
    for name in names:
        try:
            target = os.readlink(f"{folder}/{name}")
        except OSError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            found.add(int(target[8:-1]))
    return found


def listener_pids(port: int, paths: HostPaths = LINUX) -> tuple[Holder, ...]:
    """Who listens on a port, as far as we may look: another user's process is seen by root only."""
    inodes = {one.inode for one in listeners([port], paths) or ()}
    if not inodes:
        return ()
    holders = [pid for pid in sorted(pids(paths)) if inodes & (socket_inodes(pid, paths) or set())]
    return tuple(Holder(pid, _command(pid, paths)) for pid in holders)


def _command(pid: int, paths: HostPaths) -> str:
    try:
        words = read_small(f"{paths.proc}/{pid}/cmdline").decode("utf-8", "replace")
    except OSError:
        return "?"
    return words.replace("\0", " ").strip()[:200] or "?"


def port_free(host: str, port: int) -> bool:
    """Whether a server could listen there now, found out by binding as llama-server does and letting go.

    It sets SO_REUSEADDR: connections that linger after an earlier server do not matter, a listener does.
    A host that cannot be resolved, or is not ours, is not free.
    """
    import socket

    if host.endswith(".sock"):
        return not os.path.exists(host)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return False
    for family, kind, protocol, _, address in found[:1]:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                return True
        except OSError:
            return False
    return False


def _reachable(host: str) -> frozenset[str] | None:
    """Kernel forms of the addresses at which a listener answers for this host; None = any will do."""
    from _socket import AF_INET, AF_INET6, inet_pton  # socket.py costs an idle pass more than all else here

    if host in _LOOPBACK_NAMES:
        return (_reachable("127.0.0.1") or frozenset()) | (_reachable("::1") or frozenset())
    wildcards = frozenset({"0" * 8, "0" * 32})
    for family in (AF_INET, AF_INET6):
        try:
            packed = inet_pton(family, host)
        except OSError:
            continue
        if not any(packed):
            return None
        return wildcards | {_kernel_form(packed)}
    return None


def _kernel_form(packed: bytes) -> str:
    """The kernel prints each group of four bytes as one number of the host's own byte order."""
    import sys

    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)
