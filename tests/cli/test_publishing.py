"""The loop starts a report and goes on; a later beat sees how it ended."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from llamaagent.base.clock import SystemClock
from llamaagent.base.paths import places
from llamaagent.cli.publishing import Publisher
from llamaagent.cli.site import Opened, database
from llamaagent.cli.spec import Values
from llamaagent.config.load import load_site

if TYPE_CHECKING:
    from pathlib import Path


def opened(folder: Path, **reports: str) -> Opened:
    """A site in a folder of its own."""
    env = {f"XDG_{name}_HOME": str(folder / name) for name in ("DATA", "STATE", "CACHE", "CONFIG")}
    text = "".join(f"  {key}: {value}\n" for key, value in reports.items())
    (folder / "llamaagent.yaml").write_text(f"profiles: profiles/\nreports:\n{text}", encoding="utf-8")
    (folder / "profiles").mkdir(exist_ok=True)
    clock = SystemClock()
    site = load_site(
        config=str(folder / "llamaagent.yaml"), profiles=(), environ=env, cwd=str(folder), now=clock.now()
    )
    assert site.faults == ()
    found = places(env)
    return Opened(site, found, found.database, str(folder), clock)


def test_the_loop_does_not_wait_for_the_report(tmp_path: Path) -> None:
    site = opened(tmp_path, directory=str(tmp_path / "site"), every="5m")
    index = tmp_path / "site" / "index.html"
    publisher = Publisher()
    with database(site, write=True) as db:
        publisher.beat(Values({}), site, db)
        assert not index.exists()  # the child has just been started
        until = time.monotonic() + 60
        while not index.exists():
            assert time.monotonic() < until
            time.sleep(0.05)
            publisher.beat(Values({}), site, db)
        first = os.stat(index).st_mtime_ns
        publisher.beat(Values({}), site, db)  # not due again
        assert os.stat(index).st_mtime_ns == first


def test_a_report_that_cannot_be_built_is_recorded_on_a_later_beat(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("in the way", encoding="utf-8")
    site = opened(tmp_path, directory=str(tmp_path / "site"), every="5m")
    publisher = Publisher()
    with database(site, write=True) as db:
        until = time.monotonic() + 60
        while not (found := db.execute("SELECT message FROM logs WHERE source = 'report'").fetchall()):
            assert time.monotonic() < until
            publisher.beat(Values({}), site, db)
            time.sleep(0.05)
    assert found[0][0].startswith("not built: ")


def test_never_means_never(tmp_path: Path) -> None:
    site = opened(tmp_path, every="never")
    with database(site, write=True) as db:
        Publisher().beat(Values({}), site, db)
        assert db.execute("SELECT count(*) FROM metadata WHERE key = 'report_ts'").fetchall() == [(0,)]
