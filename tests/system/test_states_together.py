"""States that meet: what one rule stopped, another one gave up on or rolled back; every reader says the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scratch_site import eventually
from test_idle_and_schedule import CLOSED, OPEN, schedule, shown

if TYPE_CHECKING:
    from pathlib import Path

    from scratch_site import Site

ONCE = {"backoff": "1s", "max_backoff": "1s", "give_up_after": {"failures": 1, "within": "15m"}}


def problems(site: Site) -> list[dict[str, object]]:
    found = json.loads(site.run("status", "--json").out)["problems"]
    assert isinstance(found, list)
    return found


def page(site: Site, tmp_path: Path) -> str:
    """The first page of the report."""
    out = tmp_path / "site"
    done = site.run("report", "build", "-o", str(out))
    assert done.rc == 0, done
    return (out / "index.html").read_text(encoding="utf-8")


def gave_up(site: Site) -> bool:
    site.once("-q")
    return shown(site)["state"] == "gave up"


def events(site: Site) -> list[str]:
    found = site.rows("SELECT event FROM notifications ORDER BY id")
    return [str(row["event"]) for row in found]


def test_giving_up_outranks_a_schedule_that_closes(fake_site: Site, tmp_path: Path) -> None:
    """The contract's precedence: stop, start, give-up, schedule. So it stays a problem, told once."""
    fake_site.settings(notify={"command": "true"})
    failing = {"runtime": {"env": {"FAKE_MODE": "exit-at-once:3"}}, "restart": ONCE}
    fake_site.profile("alpha", schedule=schedule(*OPEN), **failing)
    eventually(lambda: gave_up(fake_site), "gave up")
    assert [one["state"] for one in problems(fake_site)] == ["gave up"]
    fake_site.profile("alpha", schedule=schedule(*CLOSED), **failing)
    for _ in range(2):
        done = fake_site.once()
        assert done.err == "", "no end of it, and no news"
    assert shown(fake_site)["state"] == "gave up"
    assert [one["state"] for one in problems(fake_site)] == ["gave up"]
    assert fake_site.run("status").rc == 1
    text = page(fake_site, tmp_path)
    assert "gave up" in text
    assert "outside its schedule" not in text
    fake_site.profile("alpha", schedule=schedule(*OPEN), **failing)
    assert fake_site.once().err == ""
    assert events(fake_site).count("gave_up") == 1
    assert "recovered" not in events(fake_site)
    assert fake_site.run("stop", "alpha").rc == 0, "an operator's stop is stronger"
    assert shown(fake_site)["state"].startswith("stopped by")
    assert fake_site.run("status").rc == 0


def test_a_roll_back_is_told_by_whoever_tells(fake_site: Site, tmp_path: Path) -> None:
    fake_site.settings(notify={"command": "true"})
    fake_site.profile("alpha", labels={"owner": "ann"})
    fake_site.settle()
    fake_site.profile("alpha", runtime={"env": {"FAKE_MODE": "bad-option"}})
    eventually(lambda: ("rollback", "bad-option") in passed(fake_site), "rolled back")
    fake_site.settle()
    done = fake_site.run("status")
    assert done.rc == 1
    assert "never became healthy" in done.out
    assert json.loads(fake_site.run("status", "--json").out)["rolled_back"].keys() == {"alpha"}
    assert "never became healthy" in fake_site.run("plan").err
    assert fake_site.run("plan", "--exit-code").rc == 0
    assert [row["profile"] for row in json.loads(fake_site.run("why", "alpha", "--json").out)]
    assert shown(fake_site)["state"] == "running"
    assert "its newest revision was refused" in page(fake_site, tmp_path)
    assert events(fake_site) == ["config_broken"]
    fake_site.profile("alpha", labels={"owner": "bob"})
    fake_site.settle()
    assert events(fake_site) == ["config_broken", "recovered"]
    assert fake_site.run("status").rc == 0
    assert "newest revision was refused" not in page(fake_site, tmp_path)


def passed(site: Site) -> list[tuple[str, str]]:
    """Decisions after one more pass."""
    site.once("-q")
    return site.decisions("alpha")


def test_a_rolled_back_server_may_still_be_idle_and_closed(fake_site: Site) -> None:
    """The revision in force is the one whose hours and idleness count."""
    fake_site.profile("alpha", idle={"stop_after": "2s"})
    fake_site.settle()
    fake_site.profile("alpha", idle={"stop_after": "2s"}, runtime={"env": {"FAKE_MODE": "bad-option"}})
    eventually(lambda: ("stop", "idle") in passed(fake_site), "rolled back, and idle")
    eventually(lambda: shown_after_a_pass(fake_site) == "idle", "idle")
    row = fake_site.newest()["alpha"]
    fake_site.once()
    assert fake_site.newest()["alpha"]["id"] == row["id"], "neither revision comes back by itself"
    assert fake_site.run("plan", "--exit-code").rc == 0
    assert fake_site.run("status").rc == 1, "the change is still refused"


def shown_after_a_pass(site: Site) -> object:
    site.once("-q")
    return shown(site)["state"]


def test_a_stuck_server_reads_so_everywhere(fake_site: Site, tmp_path: Path) -> None:
    fake_site.settings(notify={"command": "true"})
    fake_site.profile(
        "alpha",
        health={"stuck_after": "1s", "probe": "health"},
        restart={"policy": "never"},
        runtime={"env": {"FAKE_MODE": "busy:4"}},
    )
    fake_site.settle()
    eventually(lambda: shown_after_a_pass(fake_site) == "stuck", "stuck")
    assert [one["state"] for one in problems(fake_site)] == ["stuck"]
    assert "is stuck" in page(fake_site, tmp_path)
    assert events(fake_site) == ["crash"]
    found = shown(fake_site)
    assert (found["status"], found["state"], found["reason"]) == ("unhealthy", "stuck", "stuck")
    assert fake_site.run("why", "alpha").out.count("stuck")


def test_what_failed_for_an_operator_and_was_stopped_is_not_said_to_run_again(fake_site: Site) -> None:
    """A verb's pass prints to its user, not to cron; by the next pass of cron nobody wants it."""
    fake_site.profile("alpha", state="stopped", runtime={"env": {"FAKE_MODE": "exit-at-once:3"}})
    fake_site.once()
    assert fake_site.run("start", "alpha", "--timeout", "5s").rc == 1
    assert fake_site.run("stop", "alpha").rc == 0
    assert fake_site.once().err == ""
