"""What holds for every launch, whatever runs it: one set of promises, asked of a process and of a container."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from system.scratch_site import Site, eventually, kill, living

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.boxed import Boxed

WRITE = {"well": "echo here; while :; do sleep 0.1; done", "deaf": "trap '' TERM; while :; do sleep 0.1; done",
         "ends": "echo going; exit 3"}  # fmt: skip
FAKE = {"well": "", "deaf": "ignore-sigterm", "ends": "exit-at-once:3"}


class Kind:
    """A site, and how a profile of its kind of launch is written. mode: well, deaf (to SIGTERM), ends (with 3)."""

    def __init__(self, site: Site, write: Callable[..., Any]) -> None:
        self.site = site
        self.write = write

    def pid(self, name: str = "alpha") -> int:
        """Of the first process of the newest launch."""
        return int(str(self.site.newest()[name]["pid"]))


@pytest.fixture(params=["process", pytest.param("container", marks=pytest.mark.container)])
def kind(request: pytest.FixtureRequest, site_of_ports: Site, tmp_path: Any) -> Kind:
    """Either."""
    site = site_of_ports
    if request.param == "process":
        site.model = str(tmp_path / "fake.gguf")
        (tmp_path / "fake.gguf").write_bytes(b"GGUF" + bytes(60))

        def write(mode: str = "well", **keys: Any) -> None:
            site.profile("alpha", runtime={"env": {"FAKE_MODE": FAKE[mode]}}, **{"stop": STOP, **keys})

        return Kind(site, write)
    boxed: Boxed = request.getfixturevalue("boxed")

    def write_box(mode: str = "well", **keys: Any) -> None:
        boxed.box("alpha", WRITE[mode], **{"stop": STOP, **keys})

    return Kind(site, write_box)


STOP = {"drain": "0s", "grace": "1s"}


def test_it_starts_is_seen_and_stops(kind: Kind) -> None:
    kind.write()
    kind.site.settle()
    pid = kind.pid()
    assert living(pid)
    shown = json.loads(kind.site.run("ps", "--json").out)[0]
    assert (shown["state"], shown["pid"]) == ("running", pid)
    assert kind.site.run("stop", "alpha").rc == 0
    assert not living(pid)
    assert kind.site.newest()["alpha"]["status"] == "stopped"
    kind.site.once()
    assert kind.site.newest()["alpha"]["status"] == "stopped"


def test_a_pass_with_nothing_to_do_does_nothing(kind: Kind) -> None:
    kind.write()
    kind.site.settle()
    before = kind.site.newest()["alpha"]
    kind.site.once()
    after = kind.site.newest()["alpha"]
    assert (after["id"], after["pid"], after["status"]) == (before["id"], before["pid"], "running")
    assert len(kind.site.decisions("alpha")) == 2  # started, healthy


def test_one_that_ignores_sigterm_is_killed(kind: Kind) -> None:
    kind.write("deaf")
    kind.site.settle()
    pid = kind.pid()
    assert kind.site.run("stop", "alpha").rc == 0
    row = kind.site.newest()["alpha"]
    assert (living(pid), row["status"], row["exit_signal"]) == (False, "stopped", 9)


def test_one_that_ends_is_told_with_its_status_and_tried_again(kind: Kind) -> None:
    kind.write("ends")
    eventually(lambda: kind.site.once() and len(kind.site.rows("SELECT id FROM instances")) > 1, "again")
    first = kind.site.rows("SELECT * FROM instances ORDER BY id")[0]
    assert (first["status"], first["exit_code"]) == ("error", 3)
    assert first["reason"] in {"crash", "failed"}


def test_one_that_is_killed_comes_back(kind: Kind) -> None:
    kind.write()
    kind.site.settle()
    pid = kind.pid()
    kill(pid)
    kind.site.once()
    kind.site.settle()
    assert kind.pid() != pid
    first = kind.site.rows("SELECT * FROM instances ORDER BY id")[0]
    assert (first["status"], first["exit_signal"]) == ("error", 9)


def test_a_change_is_another_launch_and_no_change_is_none(kind: Kind) -> None:
    kind.write()
    kind.site.settle()
    pid = kind.pid()
    kind.write(labels={"owner": "ann"})  # reaches nobody
    kind.site.once()
    assert kind.pid() == pid
    kind.write(resources={"memory": "48MiB", "gpus": "none"}, listen={"host": "localhost"})
    kind.site.once()
    kind.site.settle()
    assert (living(pid), living(kind.pid())) == (False, True)


def test_one_whose_pid_was_not_stored_is_found_again(kind: Kind) -> None:
    kind.write()
    kind.site.settle()
    pid = kind.pid()
    kind.site.edit(
        "UPDATE instances SET pid = NULL, start_ticks = NULL, wrapper_pid = NULL, wrapper_start_ticks = NULL,"
        " status = 'loading' WHERE profile = 'alpha'"
    )
    kind.site.settle()
    assert kind.pid() == pid


def test_one_whose_row_was_lost_is_taken_back(kind: Kind) -> None:
    kind.write()
    kind.site.settle()
    pid = kind.pid()
    for suffix in ("", "-wal", "-shm"):
        os.unlink(kind.site.database + suffix)
    kind.site.once()
    kind.site.settle()
    assert kind.pid() == pid
    assert ("adopt", "adopted") in kind.site.decisions("alpha")
    assert kind.site.run("stop", "alpha").rc == 0
    assert not living(pid)


def test_detached_it_runs_on_and_is_not_taken_back(kind: Kind) -> None:
    kind.write()
    kind.site.settle()
    pid = kind.pid()
    assert kind.site.run("detach", "alpha").rc == 0
    kind.site.once()
    assert living(pid)
    assert kind.site.newest()["alpha"]["status"] == "stopped"
    if kind.site.newest()["alpha"]["kind"] == "process":
        kill(pid)
