"""Asking real sockets: servers that refuse, hang, trickle, lie, close early, speak TLS, listen on a path."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamaagent.collect.answer import Answer, parse_answer
from llamaagent.collect.http import MAX_BYTES, Target, probe_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n" + b'{"status":"ok"}'


class Server:
    """Accepts connections one after another and gives each to `behave`, which may take its time."""

    def __init__(self, behave: Callable[[socket.socket, bytes], None], listener: socket.socket) -> None:
        self.listener = listener
        self.asked: list[bytes] = []
        self._behave = behave
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            try:
                asked = connection.recv(65536)
                self.asked.append(asked)
                self._behave(connection, asked)
            except OSError:
                pass  # the prober went away, which is what some tests are about

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._accepting.join(10)
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers with a behaviour; all of them are gone afterwards."""
    started: list[Server] = []

    def start(
        behave: Callable[[socket.socket, bytes], None], family: int = socket.AF_INET, at: object = None
    ) -> Server:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.bind(at or ("127.0.0.1", 0))
        listener.listen(20)
        started.append(Server(behave, listener))
        return started[-1]

    yield start
    for server in started:
        server.close()


def say(data: bytes) -> Callable[[socket.socket, bytes], None]:
    return lambda connection, _asked: connection.sendall(data)


def hang(connection: socket.socket, _asked: bytes) -> None:
    connection.recv(1)  # ends when the prober closes


def ask(server: Server, deadline_s: float = 10, **more: object) -> Answer:
    target = Target(key=1, host="127.0.0.1", port=server.port)._replace(**more)
    return probe_all([target], deadline_s, time.monotonic)[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_healthy_server_is_read(serve: Callable[..., Server]) -> None:
    server = serve(say(OK))
    answer = ask(server)
    assert (answer.kind, answer.status, answer.body) == ("http", 200, b'{"status":"ok"}')
    assert answer.latency_ms < 5000


def test_the_question_is_plain_and_carries_key_and_prefix(serve: Callable[..., Server]) -> None:
    server = serve(say(OK))
    ask(server, path="/metrics", prefix="/llm", api_key="s3cret")
    (asked,) = server.asked
    assert asked.startswith(b"GET /llm/metrics HTTP/1.0\r\n")
    assert b"\r\nAuthorization: Bearer s3cret\r\n" in asked
    assert b"\r\nConnection: close\r\n" in asked
    ask(server)
    assert b"Authorization" not in server.asked[1]


def test_loading_is_a_status_like_any_other(serve: Callable[..., Server]) -> None:
    server = serve(say(b"HTTP/1.1 503 Service Unavailable\r\n\r\n{}"))
    answer = ask(server)
    assert (answer.kind, answer.status, answer.body) == ("http", 503, b"{}")


def test_nobody_there_is_refused_and_not_a_timeout() -> None:
    answer = probe_all([Target(1, "127.0.0.1", free_port())], 5, time.monotonic)[1]
    assert answer.kind == "refused"


def test_silence_is_a_timeout(serve: Callable[..., Server]) -> None:
    answer = ask(serve(hang), deadline_s=0.3)
    assert answer.kind == "timeout"
    assert answer.latency_ms >= 290


def test_a_backlog_that_nobody_accepts_is_a_timeout() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        answer = probe_all([Target(1, "127.0.0.1", listener.getsockname()[1])], 0.3, time.monotonic)[1]
    assert answer.kind == "timeout"


def test_ten_that_hang_cost_one_deadline_and_do_not_hold_up_others(serve: Callable[..., Server]) -> None:
    hanging, healthy = serve(hang), serve(say(OK))
    targets = [Target(n, "127.0.0.1", hanging.port) for n in range(10)]
    targets += [Target(n, "127.0.0.1", healthy.port) for n in range(10, 15)]
    targets.append(Target(99, "127.0.0.1", free_port()))
    start = time.monotonic()
    answers = probe_all(targets, 0.6, time.monotonic)
    assert time.monotonic() - start < 3
    assert {answers[n].kind for n in range(10)} == {"timeout"}
    assert {answers[n].status for n in range(10, 15)} == {200}
    assert answers[99].kind == "refused"
    assert max(answers[n].latency_ms for n in range(10, 15)) < 600


def test_a_slow_trickle_is_put_together(serve: Callable[..., Server]) -> None:
    def trickle(connection: socket.socket, _asked: bytes) -> None:
        for position in range(len(OK)):
            connection.sendall(OK[position : position + 1])
            time.sleep(0.002)

    assert ask(serve(trickle)).body == b'{"status":"ok"}'


def test_a_trickle_beyond_the_deadline_is_a_timeout(serve: Callable[..., Server]) -> None:
    def drip(connection: socket.socket, _asked: bytes) -> None:
        connection.sendall(OK[:20])
        hang(connection, b"")

    assert ask(serve(drip), deadline_s=0.3).kind == "timeout"


def test_a_known_length_does_not_wait_for_the_end(serve: Callable[..., Server]) -> None:
    def keep_open(connection: socket.socket, _asked: bytes) -> None:
        connection.sendall(OK)
        hang(connection, b"")

    assert ask(serve(keep_open)).status == 200


def test_chunks_are_joined(serve: Callable[..., Server]) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = ask(serve(say(head + b"5\r\nhello\r\n1;x=y\r\n \r\n5\r\nworld\r\n0\r\n\r\n")))
    assert answer.body == b"hello world"


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        (b"", "closed without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
        (b"HTTP/1.1 okay\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "closed within the header"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "closed within the body"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_BYTES + 1), "longer than"),
    ],
)
def test_what_is_no_answer_is_an_error_with_words(
    serve: Callable[..., Server], said: bytes, detail: str
) -> None:
    answer = ask(serve(say(said)))
    assert (answer.kind, answer.status) == ("error", None)
    assert detail in answer.detail


def test_a_reset_connection_is_an_error(serve: Callable[..., Server]) -> None:
    def reset(connection: socket.socket, _asked: bytes) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    assert ask(serve(reset)).kind == "error"


def test_two_paths_of_one_server_are_two_keys(serve: Callable[..., Server]) -> None:
    def route(connection: socket.socket, asked: bytes) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + asked.split()[1])

    server = serve(route)
    targets = [Target(n, "127.0.0.1", server.port, path) for n, path in enumerate(("/health", "/metrics"))]
    answers = probe_all(targets, 10, time.monotonic)
    assert (answers[0].body, answers[1].body) == (b"/health", b"/metrics")


def test_a_server_on_every_address_is_asked_on_loopback(serve: Callable[..., Server]) -> None:
    server = serve(say(OK), socket.AF_INET, ("0.0.0.0", 0))
    assert ask(server, host="0.0.0.0").status == 200
    assert ask(server, host="localhost").status == 200


def test_version_six_addresses_work(serve: Callable[..., Server]) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        server = serve(say(OK), socket.AF_INET6, ("::1", 0))
    except OSError:
        pytest.skip("no IPv6 loopback here")
    assert ask(server, host="::1").status == 200
    assert b"Host: [::1]:" in server.asked[0]


def test_a_unix_socket_is_asked_by_its_path(serve: Callable[..., Server], tmp_path: object) -> None:
    path = f"{tmp_path}/s.sock"
    answers = probe_all([Target(1, path, 0)], 5, time.monotonic)
    assert answers[1].kind == "refused"
    listener = serve(say(OK), socket.AF_UNIX, path)
    assert probe_all([Target(1, path, 0)], 5, time.monotonic)[1].status == 200
    assert listener.asked[0].startswith(b"GET /health HTTP/1.0\r\nHost: localhost")


def test_an_address_that_cannot_be_is_an_error() -> None:
    answers = probe_all([Target(1, "999.1.1.1", 80), Target(2, "127.0.0.1", 99999)], 5, time.monotonic)
    assert {answer.kind for answer in answers.values()} == {"error"}


def test_no_targets_are_no_answers() -> None:
    assert probe_all([], 5, time.monotonic) == {}


@pytest.fixture
def certificate(tmp_path: object) -> tuple[str, str]:
    cert, key = f"{tmp_path}/cert.pem", f"{tmp_path}/key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def test_tls_with_a_certificate_of_ones_own(
    certificate: tuple[str, str], serve: Callable[..., Server]
) -> None:
    """Answers on loopback, is refused when verification is asked for, and plain text is an error."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    long = b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 200_000

    class Tls(Server):
        def _serve(self, connection: socket.socket) -> None:
            try:
                super()._serve(context.wrap_socket(connection, server_side=True))
            except OSError:
                connection.close()

    listener = socket.create_server(("127.0.0.1", 0))
    server = Tls(say(long), listener)
    try:
        assert ask(server, scheme="https").body == b"x" * 200_000
        refused = ask(server, scheme="https", verify=True)
        assert refused.kind == "error"
        assert "certificate" in refused.detail.lower()
    finally:
        server.close()
    assert ask(serve(say(OK)), scheme="https").kind == "error"
    assert ask(serve(hang), scheme="https", deadline_s=0.3).kind == "timeout"


@settings(max_examples=100, deadline=None)
@given(cut=st.integers(0, len(OK)))
def test_an_answer_cut_anywhere_is_waited_for(cut: int) -> None:
    early = parse_answer(OK[:cut], ended=False)
    assert early is None or cut == len(OK)
    assert parse_answer(OK, ended=False) == Answer("http", 200, b'{"status":"ok"}')


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200), ended=st.booleans())
def test_any_bytes_are_survived(data: bytes, ended: bool) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        answer = parse_answer(start + data, ended=ended)
        assert isinstance(answer, Answer) or (answer is None and not ended)


def test_a_question_has_a_time_limit_of_its_own(serve: Callable[..., Server]) -> None:
    def slow(connection: socket.socket, _: bytes) -> None:
        time.sleep(1.5)
        connection.sendall(OK)

    server = serve(slow)
    targets = [
        Target(1, "127.0.0.1", server.port, timeout_s=0.2),
        Target(2, "127.0.0.1", server.port, timeout_s=9.0),
    ]
    answers = probe_all(targets, 10.0, time.monotonic)
    assert (answers[1].kind, answers[2].status) == ("timeout", 200)
    assert 150 <= answers[1].latency_ms < 1000


def test_what_follows_is_asked_at_once_beside_the_others(serve: Callable[..., Server]) -> None:
    """One that hangs holds up nobody's second question."""
    hanging = serve(lambda connection, _: time.sleep(1.0))
    server = serve(lambda connection, _: connection.sendall(OK))

    def follow(target: Target, answer: Answer) -> Target | None:
        more = target.key < 5 and answer.status == 200
        return target._replace(key=target.key + 1, path="/next", body=b'{"a":1}') if more else None

    targets = [Target(100, "127.0.0.1", hanging.port), Target(1, "127.0.0.1", server.port)]
    answers = probe_all(targets, 0.8, time.monotonic, follow)
    assert [answers[key].status for key in range(1, 6)] == [200] * 5
    assert answers[100].kind == "timeout"
    head, _, body = server.asked[-1].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /next HTTP/1.0\r\n")
    assert b"Content-Length: 7" in head
    assert b"application/json" in head
    assert body == b'{"a":1}'
