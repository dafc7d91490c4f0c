"""What a service manager hears: real datagram sockets, by path and by abstract name."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from llamaagent.base.sdnotify import manager

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_a_message_is_one_datagram(tmp_path: Path, kind: str) -> None:
    name = str(tmp_path / "n") if kind == "path" else f"@llamaagent-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if kind == "abstract" else name)
        listener.settimeout(5)
        found = manager({"NOTIFY_SOCKET": name}, 1)
        assert found is not None
        assert found.tell("READY=1", "STATUS=fine")
        assert listener.recv(4096) == b"READY=1\nSTATUS=fine"


def test_a_manager_that_does_not_listen_or_read_is_no_trouble(tmp_path: Path) -> None:
    found = manager({"NOTIFY_SOCKET": str(tmp_path / "nobody")}, 1)
    assert found is not None
    assert not found.tell("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "n"))
        full = manager({"NOTIFY_SOCKET": str(tmp_path / "n")}, 1)
        assert full is not None
        assert not all(
            full.tell("WATCHDOG=1") for _ in range(10_000)
        )  # its queue is full, and we did not wait


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"WATCHDOG_USEC": "20000000"}, 10.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "7"}, 10.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "often"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_at_half_its_limit(environ: dict[str, str], expected: float | None) -> None:
    found = manager({"NOTIFY_SOCKET": "/n", **environ}, 7)
    assert found is not None
    assert found.watchdog_s == expected


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234", "/", "@"])
def test_what_is_no_address_of_ours_is_no_manager(address: str) -> None:
    assert manager({"NOTIFY_SOCKET": address}, 1) is None
