"""The listening TCP sockets, asked of the kernel by netlink: it looks at those alone.

/proc/net/tcp tells them too, but to fill a reader's buffer the kernel goes on through the table of all connections,
which on a host with much memory has half a million places. Source: sock_diag(7).
"""

from __future__ import annotations

import sys

from llamaagent.base.record import NamedTuple

_NETLINK, _SOCK_DIAG, _TCP = 16, 4, 6  # AF_NETLINK, NETLINK_SOCK_DIAG, IPPROTO_TCP
_BY_FAMILY, _ERROR, _DONE = 20, 2, 3
_REQUEST_DUMP = 0x301
_LISTENING = 1 << 10
_HEAD, _MESSAGE = 16, 72  # bytes of nlmsghdr, of inet_diag_msg
_DEADLINE_S = 1.0


class DiagSocket(NamedTuple):
    """One listening socket. address: 4 bytes for IPv4, 16 for IPv6."""

    address: bytes
    port: int
    inode: int


def listening() -> list[DiagSocket] | None:
    """All of them, of IPv4 and IPv6; None where the kernel does not answer so."""
    from _socket import AF_INET, AF_INET6, SOCK_CLOEXEC, SOCK_RAW, socket

    found: list[DiagSocket] = []
    try:
        asking = socket(_NETLINK, SOCK_RAW | SOCK_CLOEXEC, _SOCK_DIAG)
    except OSError:
        return None
    try:
        asking.settimeout(_DEADLINE_S)
        for family, width in ((AF_INET, 4), (AF_INET6, 16)):
            asking.send(_request(family))
            while True:
                more, over = read_answer(asking.recv(1 << 16), width)
                found += more
                if over:
                    break
    except (OSError, ValueError):
        return None
    finally:
        asking.close()
    return found


def _request(family: int) -> bytes:
    def number(value: int, width: int) -> bytes:
        return value.to_bytes(width, sys.byteorder)

    body = bytes((family, _TCP, 0, 0)) + number(_LISTENING, 4) + bytes(48)  # of any address and port
    head = number(_HEAD + len(body), 4) + number(_BY_FAMILY, 2) + number(_REQUEST_DUMP, 2) + bytes(8)
    return head + body


def read_answer(data: bytes, width: int) -> tuple[list[DiagSocket], bool]:
    """The sockets of one datagram, and whether it was the last. width: bytes of an address. Raises ValueError."""
    found: list[DiagSocket] = []
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], sys.byteorder)
        kind = int.from_bytes(data[at + 4 : at + 6], sys.byteorder)
        if kind == _DONE:
            return found, True
        if kind != _BY_FAMILY or length < _HEAD + _MESSAGE or at + length > len(data):
            raise ValueError(f"netlink message of kind {kind}, {length} bytes")
        port = int.from_bytes(data[at + 20 : at + 22], "big")
        inode = int.from_bytes(data[at + 84 : at + 88], sys.byteorder)
        found.append(DiagSocket(data[at + 24 : at + 24 + width], port, inode))
        at += (length + 3) & ~3
    if not data:
        raise ValueError("an empty answer")
    return found, False
