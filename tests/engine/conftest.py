"""Sites with containers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from engine.boxed import Boxed
from system.scratch_site import PORTS_PER_SITE, Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.scratch_engine import ScratchEngine


@pytest.fixture
def site_of_ports(tmp_path: Path, fake_server: str) -> Iterator[Site]:
    """A site with ports of its own."""
    with socket.socket() as guard:
        guard.bind(("127.0.0.1", 0))
        first = guard.getsockname()[1] % 20000 + 34000
        made = Site(tmp_path, (first, first + PORTS_PER_SITE - 1), fake_server, "/nonexistent.gguf")
        yield made
        made.stop_all()


@pytest.fixture
def boxed(site_of_ports: Site, docker: ScratchEngine) -> Iterator[Boxed]:
    """A site on a real engine."""
    made = Boxed(site_of_ports, docker)
    yield made
    made.end()


@pytest.fixture(
    params=[
        pytest.param("docker", marks=pytest.mark.container),
        pytest.param("podman", marks=pytest.mark.podman),
    ]
)
def either(request: pytest.FixtureRequest, site_of_ports: Site) -> Iterator[Boxed]:
    """A site on each of the real engines in turn."""
    made = Boxed(site_of_ports, request.getfixturevalue(request.param))
    yield made
    made.end()
