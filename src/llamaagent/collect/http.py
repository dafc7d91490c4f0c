"""Asking many servers at once: raw non-blocking sockets, one poll loop, one deadline.

HTTP/1.0 with `Connection: close`, so that the end of the answer is the end of the connection. Uses the C
module `_socket` because importing `socket` costs half a Python start. Never ask for /slots: it wakes a
sleeping llama-server and starts its idle timer anew.
"""

from __future__ import annotations

import _socket
import errno
import os
import select

from llamaagent.base.record import NamedTuple
from llamaagent.collect.answer import REFUSED, TIMEOUT, Answer, failed, parse_answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llamaagent.collect.tls import TlsLayer

MAX_BYTES = 1 << 20  # of one answer; /metrics has some 3 KiB
_CHUNK = 65536
_IN_PROGRESS = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR})
_REFUSED_BY = frozenset({errno.ECONNREFUSED, errno.ENOENT})  # ENOENT: a unix socket that is not there yet
# A server listens everywhere, a client asks one address.
_EVERYWHERE = {
    "0.0.0.0": "127.0.0.1",  # noqa: S104
    "::": "::1",
    "": "127.0.0.1",
    "*": "127.0.0.1",
    "localhost": "127.0.0.1",
}


class Target(NamedTuple):
    """One question. `key` is unique in one call: /health and /metrics of an instance are two targets.

    host: an address as the server's --host takes it, so also "0.0.0.0", or the path of a unix socket. A
    name other than localhost is looked up, which may take longer than the deadline.
    prefix: the server's --api-prefix. verify: whether a certificate is checked; None = not on loopback.
    """

    key: int
    host: str
    port: int
    path: str = "/health"
    api_key: str | None = None
    prefix: str = ""
    scheme: str = "http"
    verify: bool | None = None


def probe_all(
    targets: Sequence[Target], deadline_s: float, monotonic: Callable[[], float]
) -> dict[int, Answer]:
    """Ask all targets together and return one answer for each key.

    deadline_s: for all of them together, so ten that hang cost as much as one. monotonic: the clock's
    function of that name. Nothing is raised for a target that does not answer as it should.
    """
    start = monotonic()
    answers: dict[int, Answer] = {}
    waiting: dict[int, _Conversation] = {}
    poll = select.poll()
    try:
        for target in targets:
            talk = _Conversation(target, start)
            answer = talk.open()
            if answer is not None:
                answers[target.key] = answer._replace(latency_ms=_ms(monotonic() - start))
                talk.close()
                continue
            waiting[talk.fd] = talk
            poll.register(talk.fd, select.POLLOUT)
        _converse(poll, waiting, answers, start + deadline_s, monotonic)
        for talk in waiting.values():
            answers[talk.target.key] = Answer(TIMEOUT, latency_ms=_ms(monotonic() - start))
    finally:
        for talk in waiting.values():
            talk.close()
    return answers


def _converse(
    poll: select.poll,
    waiting: dict[int, _Conversation],
    answers: dict[int, Answer],
    until: float,
    monotonic: Callable[[], float],
) -> None:
    while waiting and (left := until - monotonic()) > 0:
        for fd, _events in poll.poll(max(1, _ms(left))):
            talk = waiting[fd]
            answer = talk.advance()
            if answer is None:
                poll.modify(fd, talk.wants)
                continue
            answers[talk.target.key] = answer._replace(latency_ms=_ms(monotonic() - talk.start))
            poll.unregister(fd)
            waiting.pop(fd).close()


class _Conversation:
    """One connection: connect, send, receive, each as far as it goes without waiting."""

    def __init__(self, target: Target, start: float) -> None:
        self.target = target
        self.start = start
        self.wants = select.POLLOUT
        self.fd = -1
        self._socket: _socket.socket | None = None
        self._connected = False
        self._to_send = _request(target)
        self._received = b""
        self._tls: TlsLayer | None = None

    def open(self) -> Answer | None:
        """Begin to connect. An answer only when that failed at once."""
        try:
            family, address = _address(self.target)
            self._socket = _socket.socket(family, _socket.SOCK_STREAM)
            self._socket.setblocking(False)
            self.fd = self._socket.fileno()
            code = self._socket.connect_ex(address)
            if self.target.scheme == "https":
                from llamaagent.collect.tls import TlsLayer

                self._tls = TlsLayer(self.target.host, verify=_verify(self.target))
        except (OSError, ValueError, OverflowError) as error:  # no such name, address or port
            return failed(str(error))
        return None if code in _IN_PROGRESS else _from_errno(code)

    def advance(self) -> Answer | None:
        """Do what can be done now: None while there is more to come."""
        sock = self._socket
        if sock is None:  # never polled without one
            return failed("not connected")
        try:
            if not self._connected:
                code = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
                if code:
                    return _from_errno(code)
                self._connected = True
            return self._exchange(sock)
        except BlockingIOError:
            return None
        except OSError as error:  # ssl.SSLError is one too
            return _from_errno(error.errno, str(error))

    def _exchange(self, sock: _socket.socket) -> Answer | None:
        if self._tls is not None:
            return self._exchange_tls(sock, self._tls)
        if self._to_send:
            self._to_send = self._to_send[sock.send(self._to_send) :]
            if self._to_send:
                return None
            self.wants = select.POLLIN
            return None
        return self._take(sock.recv(_CHUNK))

    def _exchange_tls(self, sock: _socket.socket, tls: TlsLayer) -> Answer | None:
        if self.wants == select.POLLIN:
            tls.feed(sock.recv(_CHUNK))
        plain, ended = tls.work(self._to_send)
        self._to_send = b""
        if tls.outgoing:
            tls.sent(sock.send(tls.outgoing))
        self.wants = select.POLLOUT if tls.outgoing else select.POLLIN
        answer = self._take(plain) if plain else None
        return self._take(b"") if answer is None and ended else answer

    def _take(self, data: bytes) -> Answer | None:
        self._received += data
        if len(self._received) > MAX_BYTES:
            return failed(f"answer is longer than {MAX_BYTES} bytes")
        return parse_answer(self._received, ended=not data)

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _request(target: Target) -> bytes:
    key = f"Authorization: Bearer {target.api_key}\r\n" if target.api_key else ""
    host = "localhost" if _is_unix(target.host) else target.host
    name = f"[{host}]" if ":" in host else host
    return (
        f"GET {target.prefix}{target.path} HTTP/1.0\r\nHost: {name}:{target.port}\r\n{key}"
        "Accept: */*\r\nUser-Agent: llamaagent\r\nConnection: close\r\n\r\n"
    ).encode()


def _is_unix(host: str) -> bool:
    return host.startswith("/") or host.endswith(".sock")  # the second is llama-server's own rule


def _address(target: Target) -> tuple[int, str | tuple[str, int]]:
    """Family and address; `connect` itself turns a name into an IPv4 address, and literals cost nothing."""
    if _is_unix(target.host):
        return _socket.AF_UNIX, target.host
    host = _EVERYWHERE.get(target.host, target.host)
    return (_socket.AF_INET6 if ":" in host else _socket.AF_INET), (host, target.port)


def _verify(target: Target) -> bool:
    if target.verify is not None:
        return target.verify
    host = _EVERYWHERE.get(target.host, target.host)
    return not (_is_unix(host) or host == "::1" or host.startswith("127."))


def _from_errno(code: int | None, text: str = "") -> Answer:
    if code in _REFUSED_BY:
        return Answer(REFUSED, detail=os.strerror(code or 0))
    return failed(text or os.strerror(code or 0))


def _ms(seconds: float) -> int:
    return max(0, int(seconds * 1000))
