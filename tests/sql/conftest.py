"""A database with the small site of tests/fixtures/seed_queries/site.sql in it."""

import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from llamaagent.store import open_database

SITE = Path(__file__).resolve().parents[1] / "fixtures" / "seed_queries" / "site.sql"


@pytest.fixture
def now() -> int:
    return int(time.time())


@pytest.fixture
def site(tmp_path: Path, now: int) -> Iterator[apsw.Connection]:
    db = open_database(str(tmp_path / "site.db"))
    with db:
        db.execute(SITE.read_text(encoding="utf-8"), {"now": now})
    yield db
    db.close()
