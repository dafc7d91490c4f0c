"""Limits of projects, from the settings to a launch that is held, and back when there is room."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from scratch_site import eventually

if TYPE_CHECKING:
    from scratch_site import Site


def figures(site: Site, profile: str) -> dict[str, object]:
    """The arithmetic of the newest decision about a profile."""
    row = site.rows("SELECT arithmetic FROM decisions WHERE profile = ? ORDER BY id DESC LIMIT 1", profile)[0]
    found = json.loads(str(row["arithmetic"]))
    assert isinstance(found, dict)
    return found


def adds_up(found: dict[str, object], resource: str, unit: str = "") -> None:
    """The users' amounts are the use, and with what is asked they are more than the limit."""
    used = int(str(found[f"{resource}_used{unit}"]))
    by = re.findall(r": (\d+)", str(found[f"{resource}_used_by{unit}"]))
    assert sum(map(int, by)) == used
    asked = found.get(f"{resource}_asked{unit}")
    limit = int(str(found[f"{resource}_limit{unit}"]))
    assert used >= limit if asked is None else used + int(str(asked)) > limit


def test_one_instance_too_many_is_held_and_starts_when_there_is_room(fake_site: Site) -> None:
    fake_site.settings(projects={"research": {"instances": 1}})
    fake_site.profile("alpha", project="research")
    fake_site.settle("running", "alpha")
    fake_site.profile("beta", project="research")
    fake_site.profile("gamma")  # of another project, which has no limit
    fake_site.settle("running", "alpha", "gamma")
    row = fake_site.newest()["beta"]
    assert (row["status"], row["reason"], row["launch_id"]) == ("created", "quota", None)
    assert row["detail"] == (
        "project research: 1 of 1 instances are used (alpha 1), and this asks for 1 more"
    )
    found = figures(fake_site, "beta")
    assert found == {
        "project": "research",
        "instances_limit": 1,
        "instances_used": 1,
        "instances_asked": 1,
        "instances_used_by": "alpha: 1",
    }
    adds_up(found, "instances")
    fake_site.profile("alpha", project="research", state="stopped")
    fake_site.settle("running", "beta")


def test_a_verb_that_is_refused_exits_77_with_limit_use_and_users(fake_site: Site) -> None:
    fake_site.settings(projects={"research": {"cpus": 1.6, "memory": "8GiB"}})
    fake_site.profile("alpha", project="research", resources={"cpus": 1, "memory": "6GiB"})
    fake_site.settle("running", "alpha")
    fake_site.profile("beta", project="research", resources={"cpus": 0.8, "memory": "3GiB"}, state="stopped")
    done = fake_site.run("start", "beta")
    assert done.rc == 77
    assert "1 of 1.6 CPU cores are used (alpha 1), and this asks for 0.8 more" in done.err
    assert "6GiB of 8GiB of memory are used (alpha 6GiB), and this asks for 3GiB more" in done.err
    found = figures(fake_site, "beta")
    adds_up(found, "cpus", "_milli")
    adds_up(found, "memory", "_mib")
    # A changed profile that would not fit is refused, and what runs goes on.
    pid = fake_site.newest()["alpha"]["pid"]
    fake_site.profile(
        "alpha", project="research", resources={"cpus": 1.8}, args={"threads": 1, "parallel": 3}
    )
    fake_site.once()
    assert (fake_site.newest()["alpha"]["pid"], fake_site.decisions("alpha")[-1]) == (pid, ("hold", "quota"))
    # One that fits counting what it frees is not.
    assert fake_site.run("reset", "beta").rc == 0
    fake_site.profile(
        "alpha", project="research", resources={"cpus": 1.6}, args={"threads": 1, "parallel": 3}
    )
    eventually(
        lambda: fake_site.once() and fake_site.newest()["alpha"]["cpu_limit_milli"] == 1600, "the change"
    )


def test_tokens_used_up_hold_launches_and_stop_nothing(fake_site: Site) -> None:
    fake_site.settings(projects={"research": {"tokens": "1k/day"}})
    fake_site.profile("alpha", project="research")
    fake_site.settle("running", "alpha")
    pid = fake_site.newest()["alpha"]["pid"]
    insert = (
        "INSERT INTO generations (ts, profile, project, prompt_tokens, generated_tokens, total_tokens) "
        "VALUES (unixepoch('now') - ?, ?, 'research', 100, 500, 600)"
    )
    fake_site.edit(insert, 86400, "alpha")  # over, and out of the window
    fake_site.edit(insert, 3600, "alpha")
    fake_site.profile("beta", project="research")
    fake_site.settle("running")
    fake_site.edit(insert, 60, "beta")
    fake_site.profile("gamma", project="research")
    fake_site.once()
    row = fake_site.newest()["gamma"]
    assert (row["status"], row["reason"]) == ("created", "quota")
    assert row["detail"] == "project research: 1200 of 1k tokens per day are used (alpha 600, beta 600)"
    adds_up(figures(fake_site, "gamma"), "tokens")
    assert (fake_site.newest()["alpha"]["status"], fake_site.newest()["alpha"]["pid"]) == ("running", pid)


def test_the_table_follows_the_settings(fake_site: Site) -> None:
    listed = "SELECT project, resource, origin, amount, window_s FROM quotas ORDER BY project, resource"
    fake_site.once()
    assert fake_site.rows(listed) == []
    limits = {"instances": 5, "cpus": 1.5, "memory": "64GiB", "gpus": 2, "gpu_hours": "100/week"}
    fake_site.settings(
        projects={"a": {**limits, "tokens": "5M/day", "energy_kwh": "2.5/hour", "max_priority": 3}}
    )
    fake_site.once()
    assert {row["resource"]: (row["amount"], row["window_s"]) for row in fake_site.rows(listed)} == {
        "instances": (5, None),
        "cpus": (1500, None),
        "memory": (65536, None),
        "gpus": (2, None),
        "gpu_hours": (360_000, 604_800),
        "tokens": (5_000_000, 86_400),
        "energy": (2500, 3600),
        "max_priority": (3, None),
    }
    view = fake_site.one("SELECT * FROM project_quotas WHERE project_path = 'a'")
    assert (view["max_containers"], view["max_cpu_cores"], view["max_memory_gb"], view["max_gpus"]) == (
        5,
        1.5,
        64,
        2,
    )
    before = fake_site.rows("SELECT id, created_ts FROM quotas")
    fake_site.once()
    assert fake_site.rows("SELECT id, created_ts FROM quotas") == before  # the same again changes nothing
    fake_site.settings(projects={"a": {"instances": 6}})
    fake_site.once()
    assert [(row["resource"], row["amount"]) for row in fake_site.rows(listed)] == [("instances", 6)]
    fake_site.settings()
    fake_site.once()
    assert fake_site.rows(listed) == []


@pytest.mark.parametrize("said", ["plan", "check"])
def test_plan_says_it_before_a_pass_and_check_warns_of_nothing(fake_site: Site, said: str) -> None:
    fake_site.settings(projects={"research": {"instances": 0}})
    fake_site.profile("alpha", project="research")
    done = fake_site.run(said)
    assert "projects" not in done.err
    if said == "plan":
        assert "0 of 0 instances are used" in done.out


def test_a_plan_counts_what_the_same_pass_starts_before(fake_site: Site) -> None:
    fake_site.settings(projects={"research": {"instances": 3, "cpus": 1.2}})
    for name, cpus in (("alpha", 0.9), ("beta", 0.6), ("gamma", 0.3)):
        fake_site.profile(name, project="research", resources={"cpus": cpus})
    planned = {row["profile"]: row for row in json.loads(fake_site.run("plan", "--json").out)}
    assert [planned[name]["action"] for name in ("alpha", "beta", "gamma")] == ["start", "hold", "start"]
    assert "0.9 of 1.2 CPU cores are used (alpha 0.9), and this asks for 0.6 more" in str(
        planned["beta"]["detail"]
    )
    fake_site.once()
    rows = fake_site.newest()
    assert [rows[name]["status"] for name in ("alpha", "beta", "gamma")] == ["loading", "created", "loading"]
