"""Sites for the proofs; the environment and the folder of the test run are put back afterwards."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"))

from passer import Passer
from scratch_site import PORTS_PER_SITE, Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def put_back() -> Iterator[None]:
    """Environment and working folder as they were."""
    environ, folder = dict(os.environ), os.getcwd()
    yield
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)


@pytest.fixture
def passer(tmp_path: Path, fake_server: str, put_back: None) -> Iterator[Passer]:
    """A site of fake servers with its passes in this process."""
    model = tmp_path / "fake.gguf"
    model.write_bytes(b"GGUF" + bytes(60))
    first = 34000 + os.getpid() % 400 * PORTS_PER_SITE
    site = Site(tmp_path, (first, first + PORTS_PER_SITE - 1), fake_server, str(model))
    yield Passer(site)
    site.stop_all()
