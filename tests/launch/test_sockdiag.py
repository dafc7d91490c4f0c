"""Listening sockets by netlink: the same as /proc tells, and nothing where the kernel is not to be asked."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamaagent.base.paths import HostPaths
from llamaagent.launch import sockdiag
from llamaagent.launch.listeners import listeners

# The same paths by another name, so that /proc is read.
WRITTEN = HostPaths(proc="/proc/")
REFUSED = """
import _socket, resource
from llamaagent.launch import sockdiag
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
print(sockdiag.listening())
"""


def test_it_is_what_proc_tells() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
        socket.create_server(("", 0)) as every,
    ):
        ports = {server.getsockname()[1] for server in (four, six, every)}
        asked, written = listeners(ports), listeners(ports, WRITTEN)
        assert asked is not None
        assert written is not None
        assert sorted(asked) == sorted(written)
        assert {one.port for one in asked} == ports
        told = sockdiag.listening()
        assert told is not None
        assert {(one.address, one.port) for one in told} >= {
            (socket.inet_pton(server.family, server.getsockname()[0]), server.getsockname()[1])
            for server in (four, six, every)
        }


def test_a_connection_is_no_listener() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as caller,
    ):
        found = listeners({caller.getsockname()[1]})
        assert found == []


def test_where_no_socket_is_to_be_had_there_is_no_answer() -> None:
    done = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"


@given(st.binary(max_size=400), st.sampled_from([4, 16]))
def test_any_bytes_are_read_or_refused(data: bytes, width: int) -> None:
    try:
        found, _ = sockdiag.read_answer(data, width)
    except ValueError:
        return
    assert len(found) <= len(data) // 88


@pytest.mark.parametrize("kind", [2, 7])
def test_an_error_of_the_kernel_is_no_list(kind: int) -> None:
    head = (36).to_bytes(4, sys.byteorder) + kind.to_bytes(2, sys.byteorder)
    with pytest.raises(ValueError, match=f"kind {kind}"):
        sockdiag.read_answer(head + bytes(30), 4)
