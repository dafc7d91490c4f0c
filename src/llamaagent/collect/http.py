"""Asking many servers at once: raw non-blocking sockets, one poll loop, one deadline, each with its own time limit.

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
    body: JSON to POST, None = GET. timeout_s: for this question alone, from when it is asked.
    """

    key: int
    host: str
    port: int
    path: str = "/health"
    api_key: str | None = None
    prefix: str = ""
    scheme: str = "http"
    verify: bool | None = None
    body: bytes | None = None
    timeout_s: float | None = None


def probe_all(
    targets: Sequence[Target],
    deadline_s: float,
    monotonic: Callable[[], float],
    follow: Callable[[Target, Answer], Target | None] | None = None,
) -> dict[int, Answer]:
    """Ask all targets together and return one answer for each key.

    deadline_s: for all of them together, so ten that hang cost as much as one. monotonic: the clock's
    function of that name. follow: what is asked next after an answer, at once and without waiting for the
    others. Nothing is raised for a target that does not answer as it should.
    """
    asking = _Round(monotonic() + deadline_s, monotonic, follow)
    try:
        for target in targets:
            asking.ask(target)
        asking.listen()
    finally:
        asking.close()
    return asking.answers


class _Round:
    """The conversations of one call, and the answers so far."""

    def __init__(
        self,
        until: float,
        monotonic: Callable[[], float],
        follow: Callable[[Target, Answer], Target | None] | None,
    ) -> None:
        self.answers: dict[int, Answer] = {}
        self._until = until
        self._monotonic = monotonic
        self._follow = follow
        self._waiting: dict[int, _Conversation] = {}
        self._poll = select.poll()

    def ask(self, target: Target) -> None:
        """Begin a conversation."""
        now = self._monotonic()
        talk = _Conversation(target, now)
        talk.until = min(self._until, now + target.timeout_s) if target.timeout_s is not None else self._until
        answer = talk.open()
        if answer is not None:
            self._end(talk, answer)
            return
        self._waiting[talk.fd] = talk
        self._poll.register(talk.fd, select.POLLOUT)

    def listen(self) -> None:
        """Go on with all conversations until each has ended or its time is up."""
        while self._waiting:
            now = self._monotonic()
            for talk in [one for one in self._waiting.values() if one.until <= now]:
                self._leave(talk, Answer(TIMEOUT))
            if not self._waiting:
                return
            nearest = min(talk.until for talk in self._waiting.values())
            for fd, _events in self._poll.poll(max(1, _ms(nearest - now))):
                talk = self._waiting[fd]
                answer = talk.advance()
                if answer is None:
                    self._poll.modify(fd, talk.wants)
                else:
                    self._leave(talk, answer)

    def _leave(self, talk: _Conversation, answer: Answer) -> None:
        self._poll.unregister(talk.fd)
        del self._waiting[talk.fd]
        self._end(talk, answer)

    def _end(self, talk: _Conversation, answer: Answer) -> None:
        talk.close()
        now = self._monotonic()
        answer = answer._replace(latency_ms=_ms(now - talk.start))
        self.answers[talk.target.key] = answer
        more = self._follow(talk.target, answer) if self._follow is not None and now < self._until else None
        if more is not None:
            self.ask(more)

    def close(self) -> None:
        """Let go of every socket, whatever happened."""
        for talk in self._waiting.values():
            talk.close()


class _Conversation:
    """One connection: connect, send, receive, each as far as it goes without waiting."""

    def __init__(self, target: Target, start: float) -> None:
        self.target = target
        self.start = start
        self.until = start  # set by who asks
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
    method, body = ("GET", b"") if target.body is None else ("POST", target.body)
    content = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    return (
        f"{method} {target.prefix}{target.path} HTTP/1.0\r\nHost: {name}:{target.port}\r\n{key}{content}"
        "Accept: */*\r\nUser-Agent: llamaagent\r\nConnection: close\r\n\r\n"
    ).encode() + body


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
