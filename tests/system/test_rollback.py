"""A changed profile that never becomes healthy gives way to what was healthy; a replaced binary restarts nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from scratch_site import Site, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def fake(site: Site, mode: str, name: str = "alpha", **keys: object) -> None:
    """A profile whose server is the fake in this mode."""
    made: dict[str, object] = {"restart": {"backoff": "1s"}, **keys}
    site.profile(name, runtime={"env": {"FAKE_MODE": mode}}, **made)


def rolled_back(site: Site) -> dict[str, object]:
    """Pass until the change was refused and what was healthy runs again; gives its row."""
    eventually(
        lambda: site.once("-q") and ("rollback" in [a for a, _ in site.decisions("alpha")]), "rolled back", 40
    )
    return site.settle()["alpha"]


@pytest.mark.parametrize(("mode", "reason", "more"), [
    ("bad-option", "bad-option", {}),
    ("exit-at-once:3", "crash", {}),
    ("never-healthy", "start-timeout", {"health": {"start_timeout": "1s"}}),
])  # fmt: skip
def test_a_change_that_never_becomes_healthy_is_rolled_back(
    fake_site: Site, mode: str, reason: str, more: dict[str, object]
) -> None:
    fake(fake_site, "none", labels={"tier": "gold"})
    good = fake_site.settle()["alpha"]
    fake(fake_site, mode, **more)
    back = rolled_back(fake_site)
    assert back["launch_hash"] == good["launch_hash"]
    assert back["port"] == good["port"]
    assert ("rollback", reason) in fake_site.decisions("alpha")
    assert ("start", "rollback") in fake_site.decisions("alpha")
    refused = fake_site.one("SELECT * FROM profile_revisions WHERE refused_ts IS NOT NULL")
    assert str(refused["refusal"]).startswith(f"{reason}: ")
    # It is not tried again, and whoever asks is told.
    count = fake_site.count("instances")
    for _ in range(3):
        assert fake_site.once().err == ""
    assert (fake_site.count("instances"), fake_site.live()) == (count, {"alpha": [back["pid"]]})
    status = fake_site.run("status")
    assert (status.rc, "rolled back to the revision declared" in status.out) == (1, True)
    assert json.loads(fake_site.run("status", "--json").out)["rolled_back"].keys() == {"alpha"}
    planned = fake_site.run("plan", "--exit-code")
    assert (planned.rc, planned.out) == (0, "")
    assert "alpha: rolled back to the revision declared" in planned.err
    assert "back to the revision declared" in fake_site.run("why", "alpha").out
    # The next change is tried.
    fake(fake_site, "busy:0")
    mended = fake_site.settle()["alpha"]
    assert mended["launch_hash"] not in {good["launch_hash"], refused["launch_hash"]}
    assert fake_site.run("status").rc == 0


@pytest.fixture(params=["embedded", pytest.param("binary", marks=pytest.mark.binary)])
def true_site(
    request: pytest.FixtureRequest, tmp_path: Path, port_block: tuple[int, int], tiny_model: str
) -> Iterator[Site]:
    """A site of llama.cpp itself, inside Python and as the program."""
    embedded = request.param == "embedded"
    binary = "embedded" if embedded else str(request.getfixturevalue("llama_server_binary"))
    made = Site(tmp_path, port_block, binary, tiny_model)
    yield made
    made.stop_all()


@pytest.mark.embedded
def test_llama_cpp_itself_is_rolled_back_from_a_broken_model(true_site: Site, tmp_path: Path) -> None:
    true_site.profile("alpha")
    good = true_site.settle(deadline_s=60)["alpha"]
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model at all" * 100)
    true_site.profile("alpha", model=str(broken), restart={"backoff": "0s"})
    back = rolled_back(true_site)
    assert back["launch_hash"] == good["launch_hash"]
    bad = true_site.one("SELECT * FROM instances WHERE status = 'error' ORDER BY id DESC LIMIT 1")
    assert bad["reason"] == "bad-model"


def test_a_roll_back_is_told_once_and_its_end_once(fake_site: Site) -> None:
    fake(fake_site, "none")
    fake_site.settle()
    fake(fake_site, "bad-option")
    told: list[str] = []
    eventually(lambda: told.extend(fake_site.once().err.splitlines()) or len(told) > 0, "told")
    for _ in range(4):
        told += fake_site.once().err.splitlines()
    assert len([line for line in told if line.startswith("alpha: rolled back")]) == 1
    fake(fake_site, "none")
    ended = [line for _ in range(4) for line in fake_site.once().err.splitlines()]
    assert [line for line in ended if line.startswith("ended: alpha: rolled back")]


def test_a_roll_back_lasts_while_others_come_and_go(fake_site: Site) -> None:
    fake(fake_site, "none")
    fake(fake_site, "none", "beta")
    fake_site.settle()
    fake(fake_site, "bad-option")
    rolled_back(fake_site)
    fake_site.once()
    fake(fake_site, "none", "beta", state="stopped")
    assert fake_site.once().err == ""  # a pass of several rounds has no news about alpha
    assert fake_site.newest()["beta"]["status"] == "stopped"
    assert "alpha  running" in fake_site.run("status").out


def test_the_same_bad_content_is_known_again_after_a_detour(fake_site: Site) -> None:
    fake(fake_site, "none")
    good = fake_site.settle()["alpha"]
    fake(fake_site, "bad-option")
    rolled_back(fake_site)
    count = fake_site.count("instances")
    fake(fake_site, "none")
    fake_site.once()
    fake(fake_site, "bad-option")
    for _ in range(3):
        fake_site.once("-q")
    assert fake_site.count("instances") == count
    assert fake_site.newest()["alpha"]["launch_hash"] == good["launch_hash"]


def test_restart_tries_the_refused_one_again(fake_site: Site, tmp_path: Path) -> None:
    flag = tmp_path / "sick"
    flag.touch()
    fake(fake_site, "none")
    fake_site.settle()
    fake(fake_site, f"unhealthy-file:{flag}", health={"start_timeout": "1s"})
    rolled_back(fake_site)
    flag.unlink()
    fake_site.run("restart", "alpha", "--timeout", "20s")
    row = fake_site.settle()["alpha"]
    declared = fake_site.one("SELECT * FROM profile_revisions ORDER BY last_seen_ts DESC, id DESC LIMIT 1")
    assert row["profile_hash"] == declared["profile_hash"]
    assert declared["refused_ts"] is None
    assert fake_site.run("status").rc == 0


def test_without_rollback_the_change_stays_in_force(fake_site: Site) -> None:
    fake(fake_site, "none")
    fake_site.settle()
    fake(fake_site, "bad-option", update={"rollback": False})
    for _ in range(4):
        fake_site.once("-q")
    row = fake_site.newest()["alpha"]
    assert (row["status"], row["reason"]) == ("error", "bad-option")
    assert "rollback" not in [action for action, _ in fake_site.decisions("alpha")]
    assert fake_site.live() == {}


def test_what_was_never_changed_has_nothing_to_go_back_to(fake_site: Site) -> None:
    fake(fake_site, "bad-option")
    for _ in range(3):
        fake_site.once("-q")
    fake(fake_site, "bad-option", labels={"a": "b"})
    for _ in range(3):
        fake_site.once("-q")
    assert "rollback" not in [action for action, _ in fake_site.decisions("alpha")]


def test_the_last_of_two_quick_changes_wins(fake_site: Site) -> None:
    """Peers 5.23: stop, seen gone, start; one server at any time, and it is the last revision's."""
    fake(fake_site, "none")
    fake_site.settle()
    for number in (1, 2, 3):
        fake(fake_site, f"busy:{number - 1}", labels={"n": str(number)}, stop={"drain": "0s", "grace": "1s"})
        fake_site.once("-q")
        assert len(fake_site.live().get("alpha", [])) <= 1
    row = fake_site.settle()["alpha"]
    declared = fake_site.one("SELECT * FROM profile_revisions ORDER BY last_seen_ts DESC, id DESC LIMIT 1")
    assert row["launch_hash"] == declared["launch_hash"]
    assert fake_site.live() == {"alpha": [row["pid"]]}


def test_a_change_that_reaches_no_server_restarts_nothing(fake_site: Site) -> None:
    fake(fake_site, "none")
    row = fake_site.settle()["alpha"]
    fake(
        fake_site, "none", labels={"owner": "bob"}, priority=5, project="other", idle={"stop_after": "5h"},
        health={"failures": 9, "timeout": "2s"}, restart={"policy": "on-failure"}, stop={"grace": "5s"},
        resources={"memory": "4GiB", "cpus": 2}, update={"restart": "when_idle"},
    )  # fmt: skip
    for _ in range(3):
        fake_site.once("-q")
    assert fake_site.live() == {"alpha": [row["pid"]]}
    assert fake_site.newest()["alpha"]["id"] == row["id"]


@pytest.mark.parametrize(("rule", "mode", "restarts"), [
    ("now", "busy:0", True), ("when_idle", "busy:0", True), ("when_idle", "busy:2", False), ("manual", "busy:0", False),
])  # fmt: skip
def test_a_change_restarts_as_update_restart_says(
    fake_site: Site, rule: str, mode: str, restarts: bool
) -> None:
    fake(fake_site, mode, update={"restart": rule})
    row = fake_site.settle()["alpha"]
    fake(fake_site, mode, update={"restart": rule}, args={"threads": 1, "parallel": 3})
    for _ in range(3):
        fake_site.once("-q")
    assert (fake_site.newest()["alpha"]["id"] != row["id"]) is restarts
    if not restarts:
        assert "runs as its profile was before" in fake_site.run("status").out
        assert fake_site.run("restart", "alpha", "--timeout", "20s").rc == 0
        assert fake_site.newest()["alpha"]["launch_hash"] != row["launch_hash"]


@pytest.fixture
def own_build(tmp_path: Path, port_block: tuple[int, int], fake_server: str) -> Iterator[Site]:
    """A site whose server program is a file of its own, so that it can be replaced."""
    model = tmp_path / "fake.gguf"
    model.write_bytes(b"GGUF" + bytes(60))
    program = tmp_path / "llama-server"
    write_build(program, fake_server, "")
    made = Site(tmp_path, port_block, str(program), str(model))
    yield made
    made.stop_all()


def write_build(program: Path, server: str, without: str) -> None:
    """Put a build in the program's place whose --help does not know one option."""
    fresh = program.with_suffix(".new")
    fresh.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = --help ]; then {server} --help | grep -v -e "--{without or "no-such"}"; exit; fi\n'
        f'exec {server} "$@"\n'
    )
    fresh.chmod(0o755)
    fresh.replace(program)


def test_a_replaced_binary_restarts_nothing_and_is_rolled_one_by_one(
    own_build: Site, fake_server: str
) -> None:
    site = own_build
    site.profile("alpha", args={"threads": 1, "poll": 10})
    site.profile("beta")
    site.profile("gamma")
    before = site.settle()
    assert "outdated" not in site.run("status").out
    write_build(site.root / "llama-server", fake_server, "poll ")
    for _ in range(2):
        site.run("run", "--once", "-q")
    assert {name: [row["pid"]] for name, row in before.items()} == site.live()
    status = site.run("status")
    assert "outdated: beta runs an old build" in status.out
    assert (
        "outdated: alpha runs an old build: the program was replaced since; the new build would refuse"
        in status.out
    )
    found = {row["profile"]: row for row in json.loads(site.run("status", "--json").out)["outdated"]}
    assert {name: row["because"] for name, row in found.items()} == dict.fromkeys(
        ("alpha", "beta", "gamma"), "build"
    )
    assert "poll" in found["alpha"]["refused"]
    assert found["beta"]["refused"] is None
    assert "beta runs an old build" in site.run("plan").err
    done = site.run("restart", "--outdated", "--timeout", "30s")
    assert done.rc == 0, done
    assert "alpha: left as it runs" in done.err
    after = site.newest()
    assert after["alpha"]["pid"] == before["alpha"]["pid"]
    assert {after[name]["status"] for name in ("beta", "gamma")} == {"running"}
    assert {after[name]["pid"] for name in ("beta", "gamma")}.isdisjoint(
        {before[name]["pid"] for name in ("beta", "gamma")}
    )
    order = site.rows(
        "SELECT profile, action FROM decisions WHERE id > 6 AND action IN ('stop', 'ready') ORDER BY id"
    )
    assert [(row["profile"], row["action"]) for row in order] == [
        ("beta", "stop"), ("beta", "ready"), ("gamma", "stop"), ("gamma", "ready"),
    ]  # fmt: skip
    assert site.run("restart", "--outdated").rc == 0
    assert site.newest()["beta"]["pid"] == after["beta"]["pid"]
