"""`quota`: what is printed, what is set for a time, and who did it."""

from __future__ import annotations

import json
import os
import pwd
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from scratch_site import Site

ME = pwd.getpwuid(os.getuid()).pw_name


def listed(site: Site, *words: str) -> dict[tuple[str, str], dict[str, object]]:
    done = site.run("quota", *(words or ("list",)), "--json")
    assert done.rc == 0, done
    return {(row["project"], row["resource"]): row for row in json.loads(done.out)}


def test_limits_use_and_users_are_shown_before_any_pass_and_after(fake_site: Site) -> None:
    fake_site.settings(
        projects={"research": {"instances": 3, "cpus": 1.6, "memory": "8GiB", "tokens": "5M/day"}}
    )
    assert listed(fake_site)["research", "cpus"]["amount"] == 1600
    assert not os.path.exists(fake_site.database)  # looking makes nothing
    fake_site.profile("alpha", project="research", resources={"cpus": 1, "memory": "6GiB"})
    fake_site.profile("beta", project="research", resources={"cpus": 0.4})
    fake_site.profile("other")
    fake_site.settle()
    rows = listed(fake_site)
    assert set(rows) == {("research", name) for name in ("instances", "cpus", "memory", "tokens")}
    cpus = rows["research", "cpus"]
    assert (cpus["used"], cpus["unit"], cpus["used_by"]) == (1400, "milli", {"alpha": 1000, "beta": 400})
    assert (cpus["origin"], cpus["settings_amount"], cpus["until_ts"]) == ("settings", 1600, None)
    assert rows["research", "tokens"]["window_s"] == 86400
    printed = fake_site.run("quota").out.splitlines()
    assert "research  instances  2     3       ######....  settings  alpha 1, beta 1" in printed
    assert "research  cpus       1.4   1.6     ########..  settings  alpha 1, beta 0.4" in printed
    assert (
        "default   instances  1     none    -           -         other 1" in printed
    )  # used without a limit
    assert [line.split()[0] for line in fake_site.run("quota", "show", "default").out.splitlines()[1:]] == [
        "default"
    ]
    assert fake_site.run("quota", "show", "nobody").rc == 2
    # The settings change, and what is printed is today's, not the last pass's.
    fake_site.settings(projects={"research": {"instances": 9}})
    assert {key: row["amount"] for key, row in listed(fake_site).items()} == {("research", "instances"): 9}


def test_an_override_holds_for_its_time_and_says_who_and_why(fake_site: Site) -> None:
    fake_site.settings(projects={"research": {"instances": 1}})
    fake_site.profile("alpha", project="research")
    fake_site.profile("beta", project="research")
    fake_site.settle("running", "alpha")
    assert fake_site.newest()["beta"]["reason"] == "quota"
    done = fake_site.run("quota", "set", "research", "instances", "2", "--for", "7d", "--reason", "deadline")
    assert done.rc == 0, done
    fake_site.settle("running")
    row = listed(fake_site)["research", "instances"]
    assert (row["amount"], row["settings_amount"], row["origin"]) == (2, 1, "override")
    assert (row["username"], row["reason"]) == (ME, "deadline")
    stored = fake_site.one("SELECT * FROM v_quotas")
    assert int(str(stored["until_ts"])) - int(str(stored["created_ts"])) == 7 * 86400
    assert f"research instances: 2 by {ME} until " in fake_site.run("quota").out
    assert "instead of 1: deadline" in fake_site.run("quota").out
    view = fake_site.one("SELECT max_containers, current_containers FROM project_quotas")
    assert view == {"max_containers": 2, "current_containers": 2}
    # Its time is up: what runs goes on, nothing new is started.
    fake_site.edit("UPDATE quotas SET until_ts = unixepoch('now') - 1 WHERE origin = 'override'")
    assert listed(fake_site)["research", "instances"]["origin"] == "settings"
    fake_site.profile("gamma", project="research")
    fake_site.once()
    assert {name: row["status"] for name, row in fake_site.newest().items()} == {
        "alpha": "running",
        "beta": "running",
        "gamma": "created",
    }


def test_unset_is_back_to_the_settings_and_both_are_audited(fake_site: Site) -> None:
    fake_site.settings(projects={"research": {"gpu_hours": "100/week"}})
    for words in (
        ("set", "research", "gpu-hours", "200/week", "--until", "23:59"),
        ("set", "research", "memory", "64GiB"),
        ("set", "research", "energy", "2.5/day"),
        ("set", "research", "cpus", "1.5"),
        ("set", "research", "tokens", "none"),
        ("unset", "research", "memory"),
        ("unset", "research"),
        ("unset", "research"),
    ):
        assert fake_site.run("quota", *words).rc == 0, words
    assert listed(fake_site)["research", "gpu_hours"]["origin"] == "settings"
    rows = fake_site.rows(
        "SELECT a.action, a.resource_id, a.details, u.uid FROM audit_log AS a JOIN users AS u ON u.id = a.user_id "
        "WHERE a.resource_type = 'quota' ORDER BY a.id"
    )
    assert {row["uid"] for row in rows} == {os.getuid()}
    done = [(str(row["action"]).removeprefix("quota "), str(row["resource_id"]).split()[1]) for row in rows]
    assert done[:6] == [
        ("set", "gpu_hours"), ("set", "memory"), ("set", "energy"), ("set", "cpus"), ("set", "tokens"),
        ("unset", "memory"),
    ]  # fmt: skip
    assert sorted(done[6:]) == [("unset", name) for name in ("cpus", "energy", "gpu_hours", "tokens")]
    told = [json.loads(str(row["details"])) for row in rows[:5]]
    assert [one["limit"] for one in told] == ["200/week", "64GiB", "2.5/day", "1.5", "none"]
    assert [(one.get("amount"), one.get("window_s")) for one in told] == [
        (720_000, 604_800), (65536, None), (2500, 86_400), (1500, None), (None, None),
    ]  # fmt: skip
    assert fake_site.run("quota", "unset", "research", "memory").err == "research: already_unset\n"


def test_no_limit_may_be_said_for_a_time(fake_site: Site) -> None:
    fake_site.settings(projects={"default": {"instances": 0}})
    fake_site.profile("alpha")
    fake_site.once()
    assert fake_site.newest()["alpha"]["reason"] == "quota"
    assert fake_site.run("status").rc == 1
    assert "held: quota" in fake_site.run("status").out
    assert fake_site.run("quota", "set", "default", "instances", "none", "--for", "1h").rc == 0
    assert listed(fake_site)["default", "instances"]["amount"] is None
    assert f"default instances: none by {ME} until " in fake_site.run("quota").out
    fake_site.settle()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("research", "gpu_hour", "1/week"), "did you mean gpu_hours?"),
        (("research", "gpu_hours", "100"), "100/week"),
        (("research", "memory", "64"), "64GiB"),
        (("research", "instances", "1.5"), "not a whole number"),
        (("research", "instances", "-1"), "no such option"),
        (("Research", "instances", "1"), "no name of a project"),
        (("research", "instances", "1", "--for", "7"), "7d"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(fake_site: Site, words: tuple[str, ...], said: str) -> None:
    done = fake_site.run("quota", "set", *words)
    assert done.rc == 2
    assert said.lower() in done.err.lower()
    assert not os.path.exists(fake_site.database)
