"""A pass on a disk that fails at the n-th write, sync, truncation or deletion, for every n."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import apsw
import pytest
from disk import told_disk
from scratch_site import eventually, living

from llamaagent.base.errors import StorageError, StoreBusyError

if TYPE_CHECKING:
    from pathlib import Path

    from passer import Passer
    from scratch_site import Site

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
FAULTS = [(apsw.FullError, False), (apsw.IOError, True)]
NAMES = ("", "-wal", "-shm")


def put(site: Site, origin: Path) -> None:
    """The database as it was when `origin` was kept."""
    for suffix in NAMES:
        if os.path.exists(site.database + suffix):
            os.unlink(site.database + suffix)
    shutil.copyfile(origin, site.database)


def check(site: Site) -> None:
    """Whole, and true to what lives: at most one server, and a row for it."""
    db = apsw.Connection(site.database)
    assert db.pragma("integrity_check") == "ok"
    assert db.pragma("foreign_key_check") is None
    db.close()
    live = site.live()
    assert all(len(pids) == 1 for pids in live.values()), live
    for name in live:
        assert site.newest()[name]["launch_id"] is not None


def settle(passer: Passer) -> None:
    """Passes on a sound disk until the one profile runs; then a pass with nothing to do does nothing."""

    def runs() -> bool:
        passer()
        return passer.site.newest()["alpha"]["status"] == "running"

    eventually(runs, "running again", 30)
    row = passer.site.newest()["alpha"]
    assert passer.site.live() == {"alpha": [row["pid"]]}
    assert living(int(str(row["pid"])))
    before = passer.site.count("decisions")
    passer()
    assert passer.site.count("decisions") == before


@pytest.mark.case("sqlite 5.1")
@pytest.mark.parametrize(("error", "once"), FAULTS)
def test_a_first_launch_on_a_failing_disk_never_makes_two_servers(
    passer: Passer, tmp_path: Path, error: type[apsw.Error], once: bool
) -> None:
    site = passer.site
    site.profile("alpha", state="stopped")
    passer()
    origin = tmp_path / "origin.db"
    shutil.copyfile(site.database, origin)
    site.profile("alpha")
    for number in range(1, 400):
        put(site, origin)
        with told_disk() as disk:
            disk.fails_at, disk.once, disk.error = number, once, error
            told = passer.failing()
        assert told is None or isinstance(told, StorageError | StoreBusyError), told
        check(site)
        if number % 5 == 1 or not disk.failed:  # what follows is the same for most: a fifth of them is enough
            settle(passer)
        else:
            passer()
            check(site)
        site.stop_all()
        passer.forget_children()
        if not disk.failed:
            break
    assert 20 < number < 399, "there was something to fail, and in the end nothing more"


@pytest.mark.case("sqlite 5.1")
@pytest.mark.parametrize(("error", "once"), FAULTS)
def test_a_steady_pass_on_a_failing_disk_leaves_the_server_alone(
    passer: Passer, tmp_path: Path, error: type[apsw.Error], once: bool
) -> None:
    site = passer.site
    site.profile("alpha")
    settle(passer)
    pid = site.newest()["alpha"]["pid"]
    origin = tmp_path / "origin.db"
    shutil.copyfile(site.database, origin)
    for number in range(1, 400):
        put(site, origin)
        with told_disk() as disk:
            disk.fails_at, disk.once, disk.error = number, once, error
            told = passer.failing()
        assert told is None or isinstance(told, StorageError), told
        check(site)
        assert site.live() == {"alpha": [pid]}
        passer()
        assert site.live() == {"alpha": [pid]}
        assert site.newest()["alpha"]["status"] == "running"
        if not disk.failed:
            break
    assert 5 < number < 399


@pytest.mark.case("sqlite 5.1")
@pytest.mark.parametrize(("error", "once"), FAULTS)
def test_a_stop_on_a_failing_disk_is_finished_by_the_next_pass(
    passer: Passer, tmp_path: Path, error: type[apsw.Error], once: bool
) -> None:
    site = passer.site
    site.profile("alpha")
    settle(passer)
    for number in range(1, 400):
        origin = tmp_path / "origin.db"
        shutil.copyfile(site.database, origin)
        site.profile("alpha", state="stopped")
        with told_disk() as disk:
            disk.fails_at, disk.once, disk.error = number, once, error
            told = passer.failing()
        assert told is None or isinstance(told, StorageError), told
        check(site)

        def stopped() -> bool:
            passer()
            return site.newest()["alpha"]["status"] == "stopped"

        eventually(stopped, "stopped", 30)
        assert site.live() == {}
        if not disk.failed:
            break
        site.profile("alpha")
        settle(passer)
    assert 5 < number < 399
