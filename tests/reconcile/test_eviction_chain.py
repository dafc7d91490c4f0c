"""Making way, from the decision to the server that runs in the room: real passes, real processes, scripted cards.

The cards of this file forget what a process held when it is gone, at once or, where a test says so, late.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from test_gpu_chain import HEADROOM, A, B, Box, Cards, EndedHereError

from journal_sums import check_journal
from llamaagent.domain import instance as st
from llamaagent.launch.process import bury
from llamaagent.reconcile.passes import preview
from system.scratch_site import PORTS_PER_SITE, Site, eventually, kill, living

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.sample import GpuSample
    from llamaagent.reconcile.passes import PassResult

AT_ONCE = {"evict": {"min_residency": "0s"}}


class Living(Cards):
    """Only what lives holds memory. late: what the dead held stays in use, and is nobody's."""

    def __init__(self, **sizes_mib: int) -> None:
        super().__init__(**sizes_mib)
        self.late = False

    def read(self) -> GpuReading:
        bury()
        gone = {key: mib for key, mib in self.held.items() if not living(key[1])}
        self.held = {key: mib for key, mib in self.held.items() if key not in gone}
        if self.late:
            for (uuid, _), mib in gone.items():
                self.lost[uuid] = self.lost.get(uuid, 0) + mib
        return super().read()

    @property
    def lost(self) -> dict[str, int]:
        return self.__dict__.setdefault("_lost", {})

    def _card(self, uuid: str) -> GpuSample:
        card = super()._card(uuid)
        ghost = self.lost.get(uuid, 0)
        used, free = card.memory_used_mib or 0, card.memory_free_mib or 0
        return card._replace(memory_used_mib=used + ghost, memory_free_mib=free - ghost)


@pytest.fixture
def box(tmp_path: Path, fake_server: str) -> Iterator[Box]:
    (tmp_path / "fake.gguf").write_bytes(b"GGUF" + bytes(60))
    base = 7600 + os.getpid() % 20 * PORTS_PER_SITE
    site = Site(tmp_path, (base, base + PORTS_PER_SITE - 1), fake_server, str(tmp_path / "fake.gguf"))
    site.settings(headroom={"gpu_memory": f"{HEADROOM}MiB"})
    yield Box(site, Living(aaaa=1000))
    site.stop_all()
    check_journal(site.journal())
    bury()


def runs(box: Box, name: str, mib: int, **keys: object) -> int:
    """Declare it, have it run, and hold its memory; gives its pid."""
    box.profile(name, mib, **(AT_ONCE | keys))
    box.until(**{name: st.RUNNING})
    pid = int(str(box.row(name)["pid"]))
    (uuid,) = box.reserved()[name]
    box.cards.held[uuid, pid] = mib
    return pid


def state(box: Box, name: str) -> str:
    (row,) = [one for one in json.loads(box.site.run("ps", "--json").out) if one["profile"] == name]
    return str(row["state"])


def decisions(box: Box, action: str) -> list[dict[str, object]]:
    found = box.site.rows("SELECT * FROM decisions WHERE action = ? ORDER BY id", action)
    return [row | {"arithmetic": json.loads(str(row["arithmetic"] or "{}"))} for row in found]


def test_the_more_important_one_gets_the_room_and_the_other_comes_back_when_there_is_some(box: Box) -> None:
    pid = runs(box, "low", 500)
    box.profile("high", 800, priority=10)
    result = box.once()
    assert [(a.kind, a.profile) for a in result.actions][:2] == [("evict", "low"), ("wait", "high")]
    box.until(high=st.RUNNING)
    assert not living(pid)
    low = box.row("low")
    assert (low["status"], low["reason"]) == (st.CREATED, "evicted")
    assert state(box, "low") == "held: evicted for high"
    assert box.reserved() == {"high": {A: 800}}
    assert re.search(r"^! low  held: evicted for high  for \d+s  ", box.site.run("status").out, re.MULTILINE)
    (held,) = json.loads(box.site.run("status", "--json").out)["problems"]
    assert (held["profile"], held["since"]) == ("low", low["since_ts"])

    (evicted,) = decisions(box, "evict")
    assert (evicted["profile"], evicted["reason"]) == ("low", "evicted")
    assert str(evicted["detail"]).startswith("evicted for high; ")
    figures = evicted["arithmetic"]
    assert isinstance(figures, dict)
    assert figures["gpu0_room_mib"] + figures["gpu0_freed_by_low_mib"] == figures["gpu0_room_then_mib"]
    assert (figures["needed_mib"], figures["gpu0_room_mib"], figures["gpu0_room_then_mib"]) == (800, 400, 900)
    (waited,) = decisions(box, "wait")
    assert (waited["profile"], waited["reason"]) == ("high", "gpu-memory")
    assert waited["arithmetic"]["waits_for"] == "low"  # type: ignore[index]
    ends = box.site.rows("SELECT status, reason, detail FROM instances WHERE profile = 'low' ORDER BY id")
    assert (ends[0]["status"], ends[0]["reason"]) == (st.STOPPED, "evicted")

    count = box.site.count("decisions")
    for _ in range(3):
        box.once()
    assert box.site.count("decisions") == count  # nothing new, and nobody swaps back
    assert decisions(box, "evict") == [evicted]

    box.profile("high", 800, priority=10, state="stopped")
    box.until(high=st.STOPPED, low=st.RUNNING)
    assert state(box, "low") == "running"


@pytest.mark.case("peers 5.18")
def test_a_busy_one_is_spared_and_goes_when_it_is_idle(box: Box) -> None:
    busy = box.site.root / "busy"
    busy.write_text("1")
    pid = runs(box, "low", 500, runtime={"env": {"FAKE_MODE": f"busy-file:{busy}"}})
    box.profile("high", 800, priority=10)
    for _ in range(3):
        box.once()
    assert living(pid)
    assert box.row("high")["reason"] == "gpu-memory"
    assert "low (is busy)" in str(box.figures("high")["would_fit"])
    busy.write_text("0")
    box.until(high=st.RUNNING)
    assert not living(pid)


def test_a_busy_one_goes_where_its_profile_allows_that(box: Box) -> None:
    pid = runs(
        box,
        "low",
        500,
        runtime={"env": {"FAKE_MODE": "busy:1"}},
        evict={"when_busy": True, "min_residency": "0s"},
    )
    box.profile("high", 800, priority=10)
    box.until(high=st.RUNNING)
    assert not living(pid)


@pytest.mark.parametrize(
    ("keys", "priority", "why"),
    [
        ({"evict": {"pinned": True, "min_residency": "0s"}}, 10, "is pinned"),
        ({"evict": {"min_residency": "1h"}}, 10, "is younger than 3600 s"),
        ({"priority": 10}, 10, "has the same priority"),
        ({"priority": 11}, 10, "has a higher priority"),
    ],
)
def test_who_is_spared_runs_on_and_the_refusal_says_why(
    box: Box, keys: dict[str, object], priority: int, why: str
) -> None:
    pid = runs(box, "kept", 500, **keys)
    box.profile("other", 800, priority=priority)
    for _ in range(2):
        box.once()
    assert living(pid)
    assert box.row("other")["reason"] == "gpu-memory"
    assert box.figures("other")["would_fit"] == f"with 400 MiB or less; or without kept ({why})"
    assert f"would fit: with 400 MiB or less; or without kept ({why})" in box.site.run("why", "other").out
    assert decisions(box, "evict") == []


def test_only_the_card_where_it_helps_is_touched(box: Box) -> None:
    box.cards.sizes = {A: 1000, B: 2000}
    small = runs(box, "small", 700, resources={"gpus": [A]})
    large = runs(box, "large", 1700, resources={"gpus": [B]})
    box.profile("high", 1500, priority=10)
    box.until(high=st.RUNNING)
    assert living(small)
    assert not living(large)
    assert box.reserved()["high"] == {B: 1500}


@pytest.mark.case("peers 5.11")
def test_memory_that_comes_back_late_is_waited_for_and_nobody_else_goes_for_it(box: Box) -> None:
    box.cards.late = True  # type: ignore[attr-defined]
    box.cards.sizes = {A: 2000}
    keeps = runs(box, "keeps", 900, priority=1)
    runs(box, "low", 900)
    box.profile("high", 900, priority=10)
    for _ in range(4):
        box.once()
    assert box.row("low")["reason"] == "evicted"
    assert (box.row("high")["status"], box.row("high")["reason"]) == (st.CREATED, "gpu-releasing")
    assert living(keeps)
    box.cards.lost.clear()  # type: ignore[attr-defined]
    box.until(high=st.RUNNING)
    assert living(keeps)
    assert [row["profile"] for row in decisions(box, "evict")] == ["low"]


def test_a_small_one_does_not_take_the_room_that_is_made_for_a_large_one(box: Box) -> None:
    box.site.profile("high", resources={"gpus": "none"}, state="stopped")
    runs(
        box, "low", 500, runtime={"env": {"FAKE_MODE": "ignore-sigterm"}}, stop={"drain": "0s", "grace": "1m"}
    )
    box.profile("high", 800, priority=10)
    box.profile("small", 200)
    box.once()
    assert box.row("low")["status"] == st.STOPPING
    small = box.row("small")
    assert (small["status"], small["reason"]) == (
        st.CREATED,
        "queued",
    )  # 400 MiB are free, and 300 of them promised
    assert state(box, "small") == "held: waits its turn"
    kill(int(str(box.row("low")["pid"])))
    box.until(high=st.RUNNING)
    box.once()
    assert box.row("small")["reason"] == "gpu-memory"


def test_held_ones_start_by_priority_then_by_how_long_they_wait(box: Box) -> None:
    runs(box, "first", 800, priority=9)
    for name in ("zeta", "eta", "alpha"):
        box.profile(name, 800)
        box.once()
        box.site.edit("UPDATE instances SET since_ts = since_ts - 10 WHERE status = 'created'")
    box.profile("urgent", 800, priority=5)
    box.once()
    order = []
    for _ in range(4):
        before = set(box.reserved())
        box.profile(*before, 800, state="stopped")

        def next_one(old: set[str] = before) -> bool:
            box.once()
            return bool(set(box.reserved()) - old)

        eventually(next_one, "the next one")
        (name,) = set(box.reserved()) - before
        box.until(**{name: st.RUNNING})
        order.append(name)
    assert order == ["urgent", "zeta", "eta", "alpha"]


@pytest.mark.parametrize("step", ["evict", "gone", "intent"])
def test_killed_in_the_middle_it_goes_on_where_it_was(box: Box, step: str) -> None:
    """Killed for good, in a process of its own: after the decision, when the victim is gone, before the start."""
    pid = runs(box, "low", 500)
    box.profile("high", 800, priority=10)
    ended = run_and_die(box, step)
    assert ended == -9
    box.laws()
    box.until(high=st.RUNNING)
    assert not living(pid)
    assert state(box, "low") == "held: evicted for high"
    assert len(decisions(box, "evict")) == 1
    assert box.reserved() == {"high": {A: 800}}


DYING = """
import os, signal, sys
sys.path[:0] = {path!r}
from test_eviction_chain import Living
from test_gpu_chain import Box
from system.scratch_site import Site
import llamaagent.store.instances as instances
from llamaagent.reconcile.passes import run_pass

class Here(Site):
    def __init__(self, root, env):
        self.root, self.env = root, env

def dies():
    os.kill(os.getpid(), signal.SIGKILL)

class Clock:
    "The real one, that ends the agent at the moment that is asked for."
    def __init__(self, real, db): self.real, self.db = real, db
    def __getattr__(self, name): return getattr(self.real, name)
    def now(self):
        found = self.db.execute({when!r}).get
        if found: dies()
        return self.real.now()

from pathlib import Path
cards = Living(aaaa=1000)
cards.held = {held!r}
box = Box(Here(Path({root!r}), {env!r}), cards)
with box.context() as ctx:
    if {step!r} == "intent":
        run_pass(ctx._replace(checkpoint=lambda at: dies() if at == "before-intent" else None))
    else:
        run_pass(ctx._replace(clock=Clock(ctx.clock, ctx.db)))
"""
WHEN = {
    "evict": "SELECT 1 FROM decisions WHERE action = 'evict'",
    "gone": "SELECT 1 FROM decisions WHERE profile = 'low' AND action = 'end'",
    "intent": "SELECT 0",
}


def run_and_die(box: Box, step: str) -> int:
    """One pass in a process of its own that is killed at this step."""
    here = os.path.dirname(os.path.abspath(__file__))
    program = DYING.format(
        path=[here, os.path.dirname(here)],
        when=WHEN[step],
        held=box.cards.held,
        root=str(box.site.root),
        env=box.site.env,
        step=step,
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **box.site.env},
        cwd=box.site.root,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert b"Error" not in done.stderr, done.stderr.decode()
    return done.returncode


def test_two_passes_at_once_evict_once(box: Box) -> None:
    """The pass lock lets in one after the other; the second finds the first one's decision."""
    runs(box, "low", 500)
    box.profile("high", 800, priority=10)

    def second(at: str) -> None:
        if at == "before-intent":
            raise EndedHereError  # the first ends here without its lock's blessing, the second goes on

    with pytest.raises(EndedHereError):
        box.once(second)
    box.until(high=st.RUNNING)
    assert len(decisions(box, "evict")) == 1


def test_a_pass_for_some_evicts_none_of_the_others(box: Box) -> None:
    pid = runs(box, "low", 500)
    box.profile("high", 800, priority=10)
    result = only(box, "high")
    assert [(a.kind, a.profile) for a in result.actions] == [("hold", "high")]
    assert "the next pass for all evicts low for it" in str(box.row("high")["detail"])
    assert living(pid)
    box.until(high=st.RUNNING)


def test_a_pass_for_some_jumps_no_line(box: Box) -> None:
    pid = runs(
        box,
        "going",
        500,
        runtime={"env": {"FAKE_MODE": "ignore-sigterm"}},
        stop={"drain": "0s", "grace": "1m"},
    )
    box.profile("high", 800, priority=10)
    box.once()
    box.profile("small", 200)
    only(box, "small")
    assert (box.row("small")["status"], box.row("small")["reason"]) == (st.CREATED, "queued")
    kill(pid)
    box.until(high=st.RUNNING)


def only(box: Box, *names: str) -> PassResult:
    from llamaagent.reconcile.passes import run_pass

    with box.context() as ctx:
        return run_pass(ctx._replace(only=frozenset(names)))


def test_a_project_may_cap_the_priority(box: Box) -> None:
    box.site.settings(headroom={"gpu_memory": f"{HEADROOM}MiB"}, projects={"research": {"max_priority": 1}})
    pid = runs(box, "low", 500, priority=1)
    box.profile("high", 800, priority=99, project="research")
    box.once()
    assert living(pid)
    assert "has the same priority" in str(box.figures("high")["would_fit"])


def test_plan_shows_where_each_goes_whom_it_takes_and_what_is_lacking(box: Box) -> None:
    from llamaagent.cli.plan import described, foresee, remedies

    runs(box, "low", 500)
    box.profile("high", 700, priority=10)
    box.profile("huge", 5000, priority=5)
    box.profile("small", 100)
    box.profile("tiny", 50, priority=20)
    with box.context() as ctx:
        rows = described(ctx, foresee(ctx)[0])
    told = {row["profile"]: row for row in rows}
    assert (told["tiny"]["action"], told["tiny"]["placement"]) == ("start", "gpu0 50 MiB")
    assert (told["tiny"]["gpus"], told["tiny"]["memory_mib"]) == ([A], 50)
    assert (told["low"]["action"], told["low"]["for"]) == ("evict", "high")
    assert told["low"]["placement"] == "frees gpu0 500 MiB"
    assert (told["high"]["action"], told["high"]["placement"]) == ("wait", "then gpu0 700 MiB")
    assert (told["huge"]["action"], told["huge"]["reason"]) == ("hold", "gpu-memory")
    assert told["huge"]["would_fit"] == (
        "with 400 MiB or less; or on a larger card (the most that one here can give is 900 MiB)"
    )
    assert told["small"]["placement"] == "gpu0 100 MiB"  # 850 MiB for tiny, high and small
    lines = remedies(rows)
    assert f"huge would fit {told['huge']['would_fit']}" in lines
    assert any(line.startswith("huge: on gpu0 low holds 500 MiB") for line in lines)
    assert box.site.count("decisions") == len(box.site.decisions("low"))  # it wrote nothing


def test_the_preview_says_what_the_pass_does(box: Box) -> None:
    runs(box, "low", 500)
    box.profile("high", 800, priority=10)
    with box.context() as ctx:
        plan, *_ = preview(ctx)
    foreseen = [(a.kind, a.profile, a.reason, a.cards, a.partner) for a in plan.actions]
    assert foreseen == [
        ("evict", "low", "evicted", ((A, 500),), "high"),
        ("wait", "high", "gpu-memory", ((A, 800),), None),
    ]
    assert box.row("low")["status"] == st.RUNNING
    done = box.once().actions
    assert [(a.kind, a.profile, a.reason, a.cards, a.partner) for a in done][:2] == foreseen


def test_a_change_that_grows_on_a_card_does_not_overtake_one_that_waits_for_that_room(box: Box) -> None:
    alpha = runs(box, "alpha", 200)
    runs(box, "beta", 500, priority=2, idle={"stop_after": "1h"})
    box.profile("gamma", 600)
    box.once()
    assert box.row("gamma")["reason"] == "gpu-memory"
    box.profile("alpha", 350, args={"threads": 2})  # 200 MiB are free besides its own
    for _ in range(2):
        box.once()
    assert living(alpha)
    (held,) = [one for one in decisions(box, "hold") if one["profile"] == "alpha"]
    assert held["reason"] == "queued"
    assert held["arithmetic"]["behind"] == "gamma"  # type: ignore[index]
    box.profile("alpha", 200, args={"threads": 3})
    eventually(lambda: box.once() and not living(alpha), "one that needs no more than it has goes on")
    box.until(alpha=st.RUNNING)
    assert box.reserved()["alpha"] == {A: 200}


def test_a_change_that_grows_evicts_a_lower_one_and_runs_on_until_there_is_room(box: Box) -> None:
    alpha, low = runs(box, "alpha", 300, priority=5), runs(box, "low", 500)
    box.profile("alpha", 800, args={"threads": 2}, priority=5)
    first = [(action.kind, action.profile, action.reason) for action in box.once().actions][:2]
    assert first == [("evict", "low", "evicted"), ("wait", "alpha", "gpu-memory")]
    box.until(alpha=st.RUNNING)
    eventually(lambda: box.once() and not living(alpha), "launched anew")
    box.until(alpha=st.RUNNING)
    assert not living(low)
    assert box.reserved() == {"alpha": {A: 800}}
    kinds = [
        row["action"]
        for row in box.site.rows("SELECT action FROM decisions WHERE profile = 'alpha' ORDER BY id")
    ]
    assert kinds.index("wait") < kinds.index("stop")
    assert state(box, "low") == "held: evicted for alpha"


def test_a_larger_change_that_nobody_makes_room_for_is_refused_with_what_it_has_counted_as_its_own(
    box: Box,
) -> None:
    alpha = runs(box, "alpha", 300)
    kept = runs(box, "kept", 500)
    box.profile("alpha", 600, args={"threads": 2})
    for _ in range(2):
        box.once()
    assert living(alpha)
    assert living(kept)
    (held,) = [one for one in decisions(box, "hold") if one["profile"] == "alpha"]
    figures = held["arithmetic"]
    assert isinstance(figures, dict)
    assert (held["reason"], figures["needed_mib"], figures["gpu0_room_mib"]) == ("gpu-memory", 600, 400)
    assert figures["would_fit"] == "with 400 MiB or less; or without kept (has the same priority)"
