"""The folder of a site as a fixture."""

from pathlib import Path

import pytest
from site_folder import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A fresh site with settings and no profiles."""
    return Folder(tmp_path)
