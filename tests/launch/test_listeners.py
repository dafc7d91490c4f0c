"""Health on a port means something only when the listener is ours."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from llamaagent.base.paths import HostPaths
from llamaagent.launch.listeners import (
    Endpoint,
    listener_pids,
    listener_state,
    listener_states,
    listeners,
    port_free,
    socket_inodes,
)

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

    from conftest import Ground

ME = (os.getpid(),)
HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


@pytest.fixture
def listening() -> Iterator[int]:
    """A port of 127.0.0.1 on which this very process listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_ours_stranger_and_none(listening: int) -> None:
    assert listener_state("127.0.0.1", listening, ME) == "ours"
    assert listener_state("localhost", listening, ME) == "ours"
    assert listener_state("127.0.0.1", listening, (os.getppid(),)) == "stranger"
    assert listener_state("127.0.0.1", listening, ()) == "stranger"
    assert listener_state("127.0.0.2", listening, ME) == "none"
    assert listener_state("::1", listening, ME) == "none"


def test_a_listener_on_every_address_answers_for_each() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        assert listener_state("127.0.0.1", port, ME) == "ours"
        assert listener_state("0.0.0.0", port, ME) == "ours"
        assert listener_state("127.0.0.1", port, ()) == "stranger"


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_ipv6_is_seen() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        assert listener_state("::1", port, ME) == "ours"
        assert listener_state("127.0.0.1", port, ME) == "none"


def test_a_stranger_beside_us_on_one_port_is_a_stranger(ground: Ground) -> None:
    program = (
        "import socket, sys, time; s = socket.socket(); s.setsockopt(1, socket.SO_REUSEPORT, 1);"
        "s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen(); print('up', flush=True); time.sleep(60)"
    )
    with socket.socket() as mine:
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        mine.bind(("127.0.0.1", 0))
        mine.listen()
        port = mine.getsockname()[1]
        launched = ground.launch(sys.executable, "-S", "-c", program, str(port))
        server = launched.joined()
        ground.until(lambda: "up" in launched.log())
        assert listener_state("127.0.0.1", port, ME) == "stranger"
        assert listener_state("127.0.0.1", port, (*ME, server.pid)) == "ours"


def test_many_are_answered_in_order(listening: int) -> None:
    wanted = [Endpoint("127.0.0.1", 1, ME), Endpoint("127.0.0.1", listening, ME), Endpoint("x.sock", 0, ME)]
    assert listener_states(wanted) == ("none", "ours", "unknown")


def test_all_listeners_agree_with_psutil(listening: int) -> None:
    seen = {
        one.laddr.port
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr.port != 0
    }
    found = listeners(range(1, 65536))
    assert found is not None
    assert listening in {one.port for one in found}
    assert {one.port for one in found} ^ seen <= set(range(1024, 65536)), "only what came or went meanwhile"


def test_reading_stops_at_the_first_socket_that_does_not_listen(tmp_path: pathlib.Path) -> None:
    (tmp_path / "net").mkdir()
    row = "   {n}: 0100007F:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  0  0 {n} 1\n"
    rows = [row.format(n=n, port=8000 + n, state="0A") for n in range(500)]
    rows += [row.format(n=n, port=8000 + n, state="01") for n in range(500, 900)]
    (tmp_path / "net/tcp").write_text(HEADING + "".join(rows))
    found = listeners(range(8000, 8900), HostPaths(proc=str(tmp_path)))
    assert found is not None
    assert [one.port for one in found] == list(range(8000, 8500))


def test_without_proc_the_answer_is_unknown(tmp_path: pathlib.Path) -> None:
    assert listener_state("127.0.0.1", 80, ME, HostPaths(proc=str(tmp_path))) == "unknown"


def test_a_process_that_is_gone_holds_nothing() -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    assert socket_inodes(process.pid) == set()


def test_the_holder_of_a_port_is_named(listening: int) -> None:
    (holder,) = [one for one in listener_pids(listening) if one.pid == os.getpid()]
    assert "python" in holder.command
    assert listener_pids(1) == ()


def test_a_port_is_free_when_a_server_could_bind_it(listening: int, free_port: int) -> None:
    assert port_free("127.0.0.1", free_port)
    assert port_free("127.0.0.1", free_port), "looking leaves nothing behind"
    assert not port_free("127.0.0.1", listening)
    assert not port_free("0.0.0.0", listening)
    assert not port_free("192.0.2.1", free_port), "not an address of this host"


def test_a_connection_that_lingers_does_not_occupy_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()  # the server closes first: its side stays in TIME_WAIT
            assert client.recv(1) == b""
    assert port_free("127.0.0.1", port)
