"""Several agents at once: one pass at a time, one loop, and never two servers of one profile."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scratch_site import Site

pytestmark = pytest.mark.binary


@contextmanager
def locked(site: Site, name: str) -> Iterator[None]:
    """Hold a lock as another agent would."""
    fd = os.open(f"{site.database}.{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)


@pytest.mark.case("peers 5.23")
def test_a_second_pass_leaves_at_once_with_one_line(site: Site) -> None:
    site.profile("alpha")
    assert site.run("db", "init").rc == 0
    with locked(site, "pass"):
        done = site.run("run", "--once")
        assert (done.rc, done.out, len(done.err.splitlines())) == (0, "", 1)
        done = site.run("run", "--once", "--require-lock")
        assert (done.rc, done.out) == (75, "")
        assert site.live() == {}
        assert site.count("instances") == 0
    site.settle()


def test_a_verb_waits_for_the_pass_and_then_says_try_again(site: Site) -> None:
    site.profile("alpha")
    site.settle()
    with locked(site, "pass"):
        done = site.run("stop", "alpha", "--timeout", "1s")
        assert done.rc == 75
        assert site.live()["alpha"]
    # The wish itself was recorded, so the next pass carries it out.
    site.settle("stopped")
    assert site.live() == {}


@pytest.mark.case("sqlite 5.8")
def test_eight_at_once_on_no_database_start_each_profile_once(site: Site) -> None:
    names = ["alpha", "beta", "gamma"]
    for name in names:
        site.profile(name)
    children = [site.start("run", "--once") for _ in range(8)]
    for child in children:
        _, err = child.communicate(timeout=60)
        assert child.returncode == 0, err.decode()
        assert b"Traceback" not in err
    rows = site.settle()
    assert {name: len(pids) for name, pids in site.live().items()} == dict.fromkeys(names, 1)
    assert site.count("instances") == len(names)
    assert len({row["port"] for row in rows.values()}) == len(names)
