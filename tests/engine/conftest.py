"""Sites with containers."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.boxed import Boxed
from engine.scratch_engine import ScratchEngine
from system.scratch_site import PORTS_PER_SITE, Site

if TYPE_CHECKING:
    from collections.abc import Iterator


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


@pytest.fixture(scope="session")
def bridge() -> Iterator[ScratchEngine]:
    """An engine with a bridge, in a network namespace of its own: ports are published there and nowhere else."""
    folder = Path(tempfile.mkdtemp(prefix="la-bridge-", dir="/tmp"))
    made = ScratchEngine(folder, bridge=True)
    try:
        made.start()
        made.make_image()
        yield made
    finally:
        made.end()
        shutil.rmtree(folder)


@pytest.fixture
def bridged(site_of_ports: Site, bridge: ScratchEngine) -> Iterator[Boxed]:
    """A site on it."""
    made = Boxed(site_of_ports, bridge)
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


@pytest.fixture
def on_docker(site_of_ports: Site, docker: ScratchEngine) -> Iterator[Boxed]:
    """Where a module runs on either, and Docker alone does this."""
    made = Boxed(site_of_ports, docker)
    yield made
    made.end()
