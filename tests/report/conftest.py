"""Built sites that several tests look at."""

from __future__ import annotations

import demo_database
import pytest
import small_database
from report_sites import Built, build_site


@pytest.fixture(scope="session")
def small_site(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The site of small_database; not to be changed."""
    return build_site(str(tmp_path_factory.mktemp("small")), small_database.fill)


@pytest.fixture(scope="session")
def demo_site(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The site of demo_database; not to be changed."""
    return build_site(str(tmp_path_factory.mktemp("demo")), demo_database.fill, demo_database.NOW)
