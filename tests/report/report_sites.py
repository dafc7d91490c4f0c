"""Writes a database and builds the site of it, as several tests need."""

from __future__ import annotations

import os
import zoneinfo
from typing import TYPE_CHECKING, NamedTuple

import small_database

from llamaagent.base.clock import ManualClock
from llamaagent.report.build import BuildResult, build
from llamaagent.report.choices import DEFAULT, Choices
from llamaagent.report.single import build_single
from llamaagent.store.connect import open_database

if TYPE_CHECKING:
    from collections.abc import Callable

    from apsw import Connection

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ZONE = zoneinfo.ZoneInfo("Europe/Berlin")


class Built(NamedTuple):
    """A site and what it was built from."""

    database: str
    directory: str
    result: BuildResult

    def read(self, path: str) -> str:
        """The text of a page."""
        with open(os.path.join(self.directory, path), encoding="utf-8") as file:
            return file.read()

    def pages(self) -> list[str]:
        """All pages, relative to the site."""
        found = []
        for folder, _, names in os.walk(self.directory):
            found += [os.path.join(folder, name) for name in names if name.endswith(".html")]
        return sorted(os.path.relpath(path, self.directory) for path in found)


def build_site(
    folder: str,
    fill: Callable[[Connection], None],
    now: int = small_database.NOW,
    choices: Choices = DEFAULT,
) -> Built:
    """Write a database, and the site of it."""
    database, directory = os.path.join(folder, "state", "llamaagent.db"), os.path.join(folder, "site")
    db = open_database(database)
    fill(db)
    db.close()
    return Built(database, directory, build_again(database, directory, now, choices=choices))


def build_again(
    database: str,
    directory: str,
    now: int = small_database.NOW,
    *,
    public: bool = True,
    choices: Choices = DEFAULT,
) -> BuildResult:
    """Build the site of a database that is there, or the one file of it."""
    make = build if choices.single_file is None else build_single
    return make(
        database,
        directory,
        clock=ManualClock(now),
        zone=ZONE,
        public=public,
        title="test site",
        cache_directory=os.path.join(os.path.dirname(database), "matplotlib"),
        choices=choices,
    )
