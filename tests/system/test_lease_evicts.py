"""A lease that evicts: who makes way, who is spared, and what is left when it ends half-way."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from scratch_site import eventually, kill, living

from llamaagent.base.clock import SystemClock
from llamaagent.store.locks import Lock

if TYPE_CHECKING:
    import subprocess

    from carded_site import CardedSite

A = "GPU-aaaa"
NOW = {"min_residency": "0s"}


@pytest.fixture
def one_card(carded: CardedSite) -> CardedSite:
    """The site on a host with one card of 1000 MiB."""
    carded.say(aaaa=1000)
    return carded


def up(
    carded: CardedSite, name: str, mib: int, *, evict: dict[str, object] | None = None, **keys: object
) -> int:
    """A profile that runs and holds what it said; its pid."""
    keys |= {"resources": {"gpu_memory": f"{mib}MiB"}, "evict": NOW | (evict or {})}
    carded.site.profile(name, **keys)
    settle(carded, name, "running")
    return int(str(carded.site.newest()[name]["pid"]))


def settle(carded: CardedSite, name: str, status: str) -> None:
    def there() -> bool:
        carded.once()
        return carded.site.newest()[name]["status"] == status

    eventually(there, f"{name} is {status}")


def stopping(carded: CardedSite, name: str, child: subprocess.Popen[bytes]) -> None:
    """Wait until an eviction is on."""

    def on() -> bool:
        assert child.poll() is None, child.communicate()
        return carded.site.newest()[name]["status"] == "stopping"

    eventually(on, f"{name} is stopped")


def test_an_idle_one_makes_way_and_comes_back_after_the_release(one_card: CardedSite) -> None:
    server = up(one_card, "alpha", 500)
    refused = one_card.run("gpus", "allocate", "--reason", "training")
    assert (refused.rc, "alpha has reserved 500 MiB" in refused.err) == (77, True), refused
    assert living(server)
    done = one_card.run("gpus", "allocate", "--reason", "training", "--evict")
    assert done.rc == 0, done
    assert f"export CUDA_VISIBLE_DEVICES={A}" in done.out
    assert "evicts alpha" in done.err
    assert not living(server)
    (lease,) = one_card.leases()
    row = one_card.site.newest()["alpha"]
    assert (row["status"], row["reason"]) == ("stopped", "evicted")
    decided = one_card.site.one("SELECT detail, arithmetic FROM decisions WHERE action = 'evict'")
    assert str(decided["detail"]) == f"evicted for a lease of {lease['holder']}"
    figures = json.loads(str(decided["arithmetic"]))
    assert (figures["gpu0_freed_by_alpha_mib"], figures["gpu0_room_then_mib"]) == (500, 900)
    audit = one_card.site.one("SELECT details FROM audit_log WHERE action = 'gpus allocate'")
    assert json.loads(str(audit["details"]))["evicted"] == ["alpha"]
    for _ in range(2):  # not before the lease ends
        one_card.once()
        row = one_card.site.newest()["alpha"]
        assert (row["status"], row["reason"]) == ("created", "evicted")
    assert "held: evicted for a lease of" in one_card.run("ps").out
    assert one_card.run("gpus", "release", "--mine").rc == 0
    settle(one_card, "alpha", "running")


def test_no_more_go_than_the_lease_needs_whatever_their_priority(one_card: CardedSite) -> None:
    up(one_card, "alpha", 300, priority=50)
    up(one_card, "beta", 300, priority=10)
    done = one_card.run("gpus", "allocate", "--gpu-memory", "500MiB", "--evict", "--quiet")
    assert (done.rc, done.err) == (0, ""), done
    rows = one_card.site.newest()
    assert (rows["alpha"]["status"], rows["beta"]["status"]) == ("running", "stopped")
    done = one_card.run("gpus", "allocate", "--gpu-memory", "100MiB", "--evict")
    assert done.rc == 0, done  # it fits as it is, so nobody goes
    assert one_card.site.newest()["alpha"]["status"] == "running"
    # Of all that may go together there is not enough: nobody goes at all.
    refused = one_card.run("gpus", "allocate", "--gpu-memory", "800MiB", "--evict")
    assert refused.rc == 77
    assert "without alpha it would not fit either" in refused.err
    assert one_card.site.newest()["alpha"]["status"] == "running"


def test_pinned_busy_and_young_ones_are_spared_and_named(carded: CardedSite) -> None:
    busy = carded.site.root / "busy"
    busy.write_text("1")
    carded.say(aaaa=2000)
    servers = {
        "alpha": up(carded, "alpha", 300, evict={"pinned": True}),
        "beta": up(carded, "beta", 300, runtime={"env": {"FAKE_MODE": f"busy-file:{busy}"}}),
        "gamma": up(carded, "gamma", 300, evict={"min_residency": "1h"}),
    }
    refused = carded.run("gpus", "allocate", "--evict")
    assert refused.rc == 77, refused
    for words in (
        "alpha is pinned",
        "beta is busy",
        "gamma is younger than 3600 s",
        "gamma has reserved 300",
    ):
        assert words in refused.err, refused
    assert all(living(pid) for pid in servers.values())
    assert carded.leases() == []
    busy.write_text("0")
    done = carded.run("gpus", "allocate", "--gpu-memory", "1300MiB", "--evict")
    assert done.rc == 0, done
    assert [living(pid) for pid in servers.values()] == [True, False, True]


def test_a_command_waits_for_memory_that_is_back_late(one_card: CardedSite) -> None:
    server = up(one_card, "alpha", 500)
    one_card.hold(A, server, 450)
    words = ("gpus", "run", "--evict", "--gpu-memory", "800MiB", "--", sys.executable, "-c", "print('hello')")
    child = one_card.start(*words)
    eventually(lambda: one_card.site.newest()["alpha"]["status"] == "stopped", "alpha has ended")
    assert child.poll() is None  # the driver has its memory still
    assert one_card.leases() == []
    passed = one_card.run("run", "--once")  # and no pass takes what is made free
    assert (passed.rc, "another pass is on" in passed.err) == (0, True), passed
    one_card.hold(A, server, 0)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (0, b"hello\n"), err
    settle(one_card, "alpha", "running")


def test_memory_that_does_not_come_back_in_time_is_a_refusal(one_card: CardedSite) -> None:
    server = up(one_card, "alpha", 500)
    one_card.hold(A, server, 450)
    refused = one_card.run("gpus", "allocate", "--gpu-memory", "800MiB", "--evict", "--timeout", "2s")
    assert (refused.rc, living(server)) == (77, False), refused
    one_card.hold(A, server, 0)
    settle(one_card, "alpha", "running")


def test_one_that_does_not_end_in_time_comes_back_all_the_same(one_card: CardedSite) -> None:
    server = up(
        one_card, "alpha", 500, runtime={"env": {"FAKE_MODE": "ignore-sigterm"}}, stop={"grace": "3s"}
    )
    refused = one_card.run("gpus", "allocate", "--evict", "--timeout", "1s")
    assert (refused.rc, "alpha has not ended in time" in refused.err) == (77, True), refused
    settle(one_card, "alpha", "running")
    assert not living(server)
    assert one_card.leases() == []


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_ended_between_eviction_and_lease_it_loses_nothing(
    one_card: CardedSite, signum: signal.Signals
) -> None:
    server = up(one_card, "alpha", 500, runtime={"env": {"FAKE_MODE": "slow-term:2"}}, stop={"grace": "4s"})
    child = one_card.start("gpus", "allocate", "--evict")
    stopping(one_card, "alpha", child)
    kill(child.pid, signum)
    assert child.wait(20) == (-9 if signum == signal.SIGKILL else 130)
    assert one_card.leases() == []
    settle(one_card, "alpha", "running")  # it ends as it was told, and nobody has its room
    assert not living(server)
    decided = [action for action, _ in one_card.site.decisions("alpha")]
    assert [word for word in decided if word in {"start", "evict", "end"}] == [
        "start",
        "evict",
        "end",
        "start",
    ]


def test_killed_while_the_memory_is_late_it_leaves_the_evicted_to_the_next_pass(one_card: CardedSite) -> None:
    server = up(one_card, "alpha", 500)
    one_card.hold(A, server, 450)
    child = one_card.start("gpus", "allocate", "--evict")
    eventually(lambda: one_card.site.newest()["alpha"]["status"] == "stopped", "alpha has ended")
    kill(child.pid)
    assert child.wait(20) == -9
    assert one_card.leases() == []
    one_card.hold(A, server, 0)
    settle(one_card, "alpha", "running")


def test_a_busy_one_goes_where_its_profile_allows_that(one_card: CardedSite) -> None:
    busy = {"env": {"FAKE_MODE": "busy:1"}}
    server = up(one_card, "alpha", 500, evict={"when_busy": True}, runtime=busy)
    done = one_card.run("gpus", "allocate", "--evict")
    assert (done.rc, living(server)) == (0, False), done


def test_what_is_going_anyway_is_waited_for_and_nobody_else_goes(carded: CardedSite) -> None:
    carded.say(aaaa=1000)
    up(carded, "alpha", 400, runtime={"env": {"FAKE_MODE": "slow-term:2"}}, stop={"grace": "20s"})
    beta = up(carded, "beta", 400)
    assert carded.run("stop", "alpha", "--no-wait").rc == 0
    done = carded.run("gpus", "allocate", "--gpu-memory", "450MiB", "--evict")
    assert (done.rc, done.err.startswith("lease")) == (0, True), done
    assert living(beta)
    assert carded.site.newest()["alpha"]["reason"] == "override"


def test_a_quota_is_no_reason_to_evict(one_card: CardedSite) -> None:
    one_card.site.settings(headroom={"gpu_memory": "100MiB"}, projects={"research": {"gpus": 0}})
    server = up(one_card, "alpha", 500)
    refused = one_card.run("gpus", "allocate", "--project", "research", "--evict")
    assert (refused.rc, "quota" in refused.err) == (77, True), refused
    assert living(server)


def test_it_evicts_where_the_quota_leaves_it(carded: CardedSite) -> None:
    """The project has a card already and may have no other: room is made there, though another card has some."""
    carded.site.settings(headroom={"gpu_memory": "100MiB"}, projects={"research": {"gpus": 1}})
    ask = ("gpus", "allocate", "--project", "research", "--gpu-memory")
    assert carded.run(*ask, "300MiB", "--gpus", A).rc == 0
    alpha = up(carded, "alpha", 500)
    assert carded.site.newest()["alpha"]["gpus"] == f'["{A}"]'
    assert carded.run(*ask, "500MiB").rc == 77
    done = carded.run(*ask, "500MiB", "--evict")
    assert (done.rc, living(alpha)) == (0, False), done
    assert {lease["uuid"] for lease in carded.leases()} == {A}


def test_a_pass_that_is_on_is_waited_for(one_card: CardedSite) -> None:
    server = up(one_card, "alpha", 500)
    with Lock(one_card.site.database, "pass").take(SystemClock()):
        done = one_card.run("gpus", "allocate", "--evict", "--timeout", "1s")
    assert (done.rc, living(server)) == (75, True), done
    assert one_card.run("gpus", "allocate", "--timeout", "1s").rc == 2
    assert one_card.run("gpus", "allocate", "--evict", "--timeout", "soon").rc == 2
