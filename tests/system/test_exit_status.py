"""How a server ended is stored alike, whoever its parent is: a pass of cron's that is long gone, or the loop."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from scratch_site import eventually, kill

if TYPE_CHECKING:
    from scratch_site import Site

ENDS = {
    "exit-3": ({"FAKE_MODE": "exit-at-once:3"}, None, (3, None)),
    "exit-0": ({"FAKE_MODE": "exit-at-once:0"}, None, (0, None)),
    "abort": ({"FAKE_MODE": "exit-after:0.3"}, None, (None, 6)),
    "segv": ({}, signal.SIGSEGV, (None, 11)),
    "kill": ({}, signal.SIGKILL, (None, 9)),
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("mode", ["cron", "loop"])
def test_exit_code_and_signal_are_the_same_in_both_modes(fake_site: Site, mode: str, how: str) -> None:
    env, signum, expected = ENDS[how]
    fake_site.profile("alpha", runtime={"env": env}, restart={"policy": "never"})
    loop = fake_site.start("run") if mode == "loop" else None

    def row() -> dict[str, object]:
        if loop is None:
            fake_site.once()
        try:
            return fake_site.newest().get("alpha", {})
        except Exception:  # noqa: BLE001 - the loop has not made its tables yet
            return {}

    if signum is not None:
        eventually(lambda: row().get("status") == "running", "running")
        kill(int(str(row()["pid"])), signum)
    eventually(lambda: row().get("ended_ts"), "ended")
    found = row()
    assert (found["exit_code"], found["exit_signal"]) == expected
    if loop is not None:
        with open(f"/proc/{loop.pid}/task/{loop.pid}/children", encoding="ascii") as file:
            eventually(lambda: not file.seek(0) and not file.read().split(), "buried")
        loop.send_signal(signal.SIGTERM)
        assert loop.wait(20) == 0
