"""Sites in scratch folders, with real servers or with the fake."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from carded_site import CardedSite, build_nvml
from scratch_site import PORTS_PER_SITE, Site

from journal_sums import check_journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def port_block() -> Iterator[tuple[int, int]]:
    """Ports that no other test run uses: the one before the first is held for as long as the test lasts."""
    first = 20000 + os.getpid() % 600 * PORTS_PER_SITE
    for step in range(600):
        base = 20000 + (first - 20000 + step * PORTS_PER_SITE) % (600 * PORTS_PER_SITE)
        guard = socket.socket()
        try:
            guard.bind(("127.0.0.1", base))
        except OSError:
            guard.close()
            continue
        with guard:
            yield base + 1, base + PORTS_PER_SITE - 1
        return
    pytest.fail("no block of ports is free")


@pytest.fixture
def site(
    tmp_path: Path, port_block: tuple[int, int], llama_server_binary: str, tiny_model: str
) -> Iterator[Site]:
    """A site whose servers are real ones; a test that uses it is marked `binary`."""
    made = Site(tmp_path, port_block, llama_server_binary, tiny_model)
    yield made
    made.stop_all()


@pytest.fixture
def fake_site(tmp_path: Path, port_block: tuple[int, int], fake_server: str) -> Iterator[Site]:
    """A site whose servers are the fake, for what a real one cannot be made to do."""
    model = tmp_path / "fake.gguf"
    model.write_bytes(b"GGUF" + bytes(60))
    made = Site(tmp_path, port_block, fake_server, str(model))
    yield made
    made.stop_all()
    check_journal(made.journal())


@pytest.fixture(scope="session")
def scripted_nvml(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of an NVML whose cards a test writes down."""
    return build_nvml(tmp_path_factory.mktemp("scripted_nvml"))


@pytest.fixture
def carded(fake_site: Site, scripted_nvml: str) -> CardedSite:
    """The fake site on a host with two cards of 1000 and 2000 MiB; 100 MiB of each stay free."""
    fake_site.settings(headroom={"gpu_memory": "100MiB"})
    made = CardedSite(fake_site, scripted_nvml)
    made.say(aaaa=1000, bbbb=2000)
    return made
