"""Cards from the reading to the server's environment: reserved, refused, released, never promised twice.

Only the reading of the cards is scripted. Database, passes and processes are real; after every pass each live
reservation belongs to a live instance, and no card is promised beyond what it has.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from journal_sums import check_journal
from llamaagent.base.clock import SystemClock
from llamaagent.base.paths import places
from llamaagent.cli.site import Opened, claim, context, database
from llamaagent.collect.gpu import GpuReading
from llamaagent.config.load import load_site_cached
from llamaagent.domain import instance as st
from llamaagent.domain.sample import GpuHolder, GpuSample
from llamaagent.launch.process import bury
from llamaagent.reconcile.passes import preview, run_pass
from system.scratch_site import PORTS_PER_SITE, Site, eventually, kill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.passes import PassResult

A, B = "GPU-aaaa", "GPU-bbbb"
HEADROOM = 100


class EndedHereError(Exception):
    """The agent ends here."""


class Cards:
    """What the driver says. `held`: (uuid, pid) -> MiB; free is what is left."""

    def __init__(self, **sizes_mib: int) -> None:
        self.sizes = {f"GPU-{name}": size for name, size in sizes_mib.items()}
        self.held: dict[tuple[str, int], int] = {}
        self.error: str | None = None
        self.kinds: dict[str, str] = {}

    def read(self) -> GpuReading:
        if self.error is not None:
            return GpuReading(available=True, error=self.error)
        return GpuReading(available=True, cards=tuple(self._card(uuid) for uuid in self.sizes))

    def _card(self, uuid: str) -> GpuSample:
        holders = tuple(
            GpuHolder(uuid, pid, mib) for (on, pid), mib in sorted(self.held.items()) if on == uuid
        )
        used = sum(holder.memory_mib or 0 for holder in holders)
        total = self.sizes[uuid]
        return GpuSample(
            uuid=uuid,
            index=list(self.sizes).index(uuid),
            name=self.kinds.get(uuid, "Scripted"),
            memory_total_mib=total,
            memory_used_mib=used,
            memory_free_mib=total - used,
            utilization_percent=50,
            holders=holders,
        )


class Box:
    """A site on a host with scripted cards."""

    def __init__(self, site: Site, cards: Cards) -> None:
        self.site = site
        self.cards = cards

    def profile(self, name: str, mib: int | None = 500, **keys: object) -> None:
        resources = {"gpu_memory": f"{mib}MiB"} if mib is not None else {}
        asked = keys.pop("resources", {})
        assert isinstance(asked, dict)
        self.site.profile(name, resources={**resources, **asked}, **keys)

    @contextmanager
    def context(self) -> Iterator[Context]:
        env = self.site.env
        path = str(self.site.root / "llamaagent.yaml")
        clock = SystemClock()
        found = places(env)
        loaded = load_site_cached(
            config=path, profiles=(), environ=env, cwd=str(self.site.root), cache_dir=found.cache, clock=clock
        )
        assert loaded.faults == ()
        opened = Opened(loaded, found, found.database, os.path.realpath(path), clock)
        with database(opened, write=True) as db:
            claim(db, opened)
            yield context(opened, db)._replace(read_gpus=self.cards.read, environ=env)

    def once(self, checkpoint: Callable[[str], None] = lambda _step: None) -> PassResult:
        """One pass with the laws looked after."""
        with self.context() as ctx:
            result = run_pass(ctx._replace(checkpoint=checkpoint))
        bury()
        self.laws()
        return result

    def until(self, **statuses: str) -> None:
        """Pass until these profiles have these statuses."""
        eventually(
            lambda: self.once() and all(self.row(name)["status"] == want for name, want in statuses.items()),
            f"{statuses}: {self.site.logs()}",
        )

    def row(self, name: str) -> dict[str, object]:
        return self.site.newest()[name]

    def reserved(self) -> dict[str, dict[str, int]]:
        """MiB by profile and card, of the live reservations."""
        found: dict[str, dict[str, int]] = {}
        for row in self.site.rows(
            "SELECT r.holder, g.uuid, r.memory_mib FROM reservations AS r JOIN gpus AS g ON g.id = r.gpu_id "
            "WHERE r.released_ts IS NULL"
        ):
            found.setdefault(str(row["holder"]), {})[str(row["uuid"])] = int(str(row["memory_mib"]))
        return found

    def laws(self) -> None:
        strays = self.site.rows(
            "SELECT r.* FROM reservations AS r LEFT JOIN instances AS i ON i.id = r.instance_id "
            "WHERE r.released_ts IS NULL AND (i.id IS NULL OR i.status NOT IN "
            "('loading', 'running', 'unhealthy', 'stopping'))"
        )
        assert strays == [], "a reservation without a live instance"
        bare = self.site.rows(
            "SELECT i.profile FROM instances AS i WHERE i.status IN ('loading', 'running', 'unhealthy', 'stopping') "
            "AND json_array_length(coalesce(i.gpus, '[]')) != (SELECT count(*) FROM reservations AS r "
            "WHERE r.instance_id = i.id AND r.released_ts IS NULL)"
        )
        assert bare == [], "a live instance on a card without its reservation"
        promised: dict[str, int] = {}
        for shares in self.reserved().values():
            for uuid, mib in shares.items():
                promised[uuid] = promised.get(uuid, 0) + mib
        for uuid, mib in promised.items():
            assert mib + HEADROOM <= self.cards.sizes.get(uuid, mib + HEADROOM), f"{uuid} is promised twice"

    def environment(self, name: str) -> dict[str, str]:
        with open(f"/proc/{self.row(name)['pid']}/environ", encoding="utf-8") as file:
            return dict(word.partition("=")[::2] for word in file.read().split("\0") if word)

    def figures(self, name: str) -> dict[str, object]:
        """The arithmetic of the newest decision about a profile."""
        (row,) = self.site.rows(
            "SELECT arithmetic FROM decisions WHERE profile = ? ORDER BY id DESC LIMIT 1", name
        )
        found = json.loads(str(row["arithmetic"]))
        assert isinstance(found, dict)
        return found


@pytest.fixture
def cards() -> Cards:
    return Cards(aaaa=1000, bbbb=2000)


@pytest.fixture
def box(tmp_path: Path, fake_server: str, cards: Cards) -> Iterator[Box]:
    (tmp_path / "fake.gguf").write_bytes(b"GGUF" + bytes(60))
    base = 8400 + os.getpid() % 20 * PORTS_PER_SITE
    site = Site(tmp_path, (base, base + PORTS_PER_SITE - 1), fake_server, str(tmp_path / "fake.gguf"))
    site.settings(headroom={"gpu_memory": f"{HEADROOM}MiB"})
    yield Box(site, cards)
    site.stop_all()
    check_journal(site.journal())
    bury()


def test_a_server_sees_the_card_that_was_reserved_for_it(box: Box) -> None:
    box.profile("alpha", 500)
    box.until(alpha=st.RUNNING)
    environment = box.environment("alpha")
    assert environment["CUDA_VISIBLE_DEVICES"] == A  # the tightest that fits
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert box.reserved() == {"alpha": {A: 500}}
    row = box.row("alpha")
    assert (json.loads(str(row["gpus"])), row["gpu_memory_declared_mib"]) == ([A], 500)


def test_one_that_wants_no_card_sees_none(box: Box) -> None:
    box.profile("alpha", None, resources={"gpus": "none"})
    box.until(alpha=st.RUNNING)
    assert box.environment("alpha")["CUDA_VISIBLE_DEVICES"] == "-1"
    assert box.reserved() == {}


def test_a_model_too_large_for_one_card_is_spread(box: Box) -> None:
    box.cards.sizes = {A: 1000, B: 1000}
    box.profile("alpha", 1400)
    box.until(alpha=st.RUNNING)
    assert box.environment("alpha")["CUDA_VISIBLE_DEVICES"] == f"{A},{B}"
    assert box.reserved() == {"alpha": {A: 700, B: 700}}


@pytest.mark.parametrize(("step", "there"), [("before-intent", 0), ("after-intent", 1)])
def test_the_intent_and_its_reservation_are_one_transaction(box: Box, step: str, there: int) -> None:
    def end(at: str) -> None:
        if at == step:
            raise EndedHereError

    box.profile("alpha", 500)
    with pytest.raises(EndedHereError):
        box.once(end)
    box.laws()
    assert box.site.count("reservations") == there
    assert len(box.site.rows("SELECT id FROM instances WHERE launch_id IS NOT NULL")) == there
    assert box.site.live() == {}
    box.until(alpha=st.RUNNING)
    assert box.reserved() == {"alpha": {A: 500}}
    assert box.site.count("reservations") == there + 1


def test_what_does_not_fit_waits_with_its_arithmetic_and_starts_when_it_fits(box: Box) -> None:
    del box.cards.sizes[B]
    box.profile("alpha", 500)
    box.until(alpha=st.RUNNING)
    box.profile("beta", 600)
    box.once()
    row = box.row("beta")
    assert (row["status"], row["reason"], row["launch_id"]) == (st.CREATED, "gpu-memory", None)
    figures = box.figures("beta")
    assert (
        figures["gpu0_free_mib"] - figures["gpu0_reserved_unused_mib"] - figures["headroom_mib"]
        == (  # type: ignore[operator]
            figures["gpu0_room_mib"]
        )
    )
    assert (figures["needed_mib"], figures["gpu0_room_mib"]) == (600, 400)
    assert figures["gpu0_holders"] == "alpha has reserved 500 MiB"
    box.once()
    assert box.site.rows("SELECT count FROM decisions WHERE profile = 'beta'") == [{"count": 2}]
    box.profile("alpha", 500, state="stopped")
    box.until(alpha=st.STOPPED, beta=st.RUNNING)
    assert box.reserved() == {"beta": {A: 600}}
    assert box.row("beta")["id"] == row["id"]


def test_what_a_server_really_takes_is_not_counted_twice(box: Box) -> None:
    box.cards.sizes = {A: 1000}
    box.profile("alpha", 500)
    box.until(alpha=st.RUNNING)
    box.cards.held[A, int(str(box.row("alpha")["pid"]))] = 450  # of its 500
    box.profile("beta", 400)
    box.until(beta=st.RUNNING)
    started = box.site.one("SELECT arithmetic FROM decisions WHERE profile = 'beta' AND action = 'start'")
    figures = json.loads(str(started["arithmetic"]))
    assert (figures["gpu0_free_mib"], figures["gpu0_reserved_unused_mib"]) == (550, 50)
    assert box.row("alpha")["gpu_memory_measured_mib"] == 450


@pytest.mark.case("peers 5.13")
def test_a_stranger_on_the_card_counts_and_is_named(box: Box) -> None:
    box.cards.sizes = {A: 1000}
    box.cards.held[A, os.getpid()] = 700
    box.profile("alpha", 500)
    box.once()
    assert box.row("alpha")["reason"] == "gpu-memory"
    assert f"pid {os.getpid()} (" in str(box.figures("alpha")["gpu0_holders"])
    assert "holds 700 MiB" in str(box.figures("alpha")["gpu0_holders"])
    printed = box.site.run("why", "alpha").out
    assert f"pid {os.getpid()} (" in printed
    if os.path.exists("/dev/nvidiactl"):
        return  # `gpus` asks the real driver first
    assert printed_card(box)["holders"] == [(os.getpid(), 700, None)]
    del box.cards.held[A, os.getpid()]
    box.until(alpha=st.RUNNING)
    eventually(lambda: box.once() and printed_card(box)["holders"] == [], "the stranger is gone")
    assert (printed_card(box)["reserved_mib"], printed_card(box)["for"]) == (500, ["alpha"])
    box.cards.held[A, int(str(box.row("alpha")["pid"]))] = 480
    box.once()
    assert printed_card(box)["holders"] == [(box.row("alpha")["pid"], 480, "alpha")]
    assert json.loads(box.site.run("ps", "--json").out)[0]["gpus"] == [A]
    assert f"alpha  {box.row('alpha')['pid']}  480 MiB  500 MiB" in box.site.run("gpus").out


def printed_card(box: Box) -> dict[str, object]:
    """What `gpus` prints of the one scripted card."""
    (card,) = [row for row in json.loads(box.site.run("gpus", "--json").out) if row["uuid"] == A]
    holders = [(one["pid"], one["memory_mib"], one["profile"]) for one in card["holders"]]
    return {**card, "holders": holders, "for": [one["holder"] for one in card["reservations"]]}


@pytest.mark.case("peers 5.14")
def test_a_crash_releases_and_the_next_launch_reserves_anew(box: Box) -> None:
    box.profile("alpha", 500, restart={"backoff": "1m"})
    box.until(alpha=st.RUNNING)
    kill(int(str(box.row("alpha")["pid"])), signal.SIGKILL)
    box.until(alpha=st.ERROR)
    assert box.reserved() == {}
    box.site.edit("UPDATE instances SET retry_ts = unixepoch('now') - 1")
    box.until(alpha=st.RUNNING)
    assert box.reserved() == {"alpha": {A: 500}}
    assert box.site.count("reservations") == 2


@pytest.mark.case("peers 5.4")
def test_a_reboot_releases_what_was_held_before_it(box: Box) -> None:
    box.profile("alpha", 500)
    box.until(alpha=st.RUNNING)
    box.site.stop_all()
    box.site.edit("UPDATE instances SET boot_id = 'another boot'")
    box.until(alpha=st.RUNNING)
    ended = box.site.one("SELECT reason FROM instances WHERE status = 'stopped'")
    assert ended["reason"] == "reboot"
    assert box.reserved() == {"alpha": {A: 500}}


@pytest.mark.case("peers 5.13")
@pytest.mark.case("sqlite 5.14")
def test_a_driver_that_hangs_stops_nothing_and_admits_nothing(box: Box) -> None:
    box.profile("alpha", 500)
    box.until(alpha=st.RUNNING)
    pid = box.row("alpha")["pid"]
    box.cards.error = "NVML did not answer within 4 s"
    box.profile("beta", 100)
    box.profile("gamma", None, resources={"gpus": "none"})
    box.until(gamma=st.RUNNING)
    assert (box.row("alpha")["pid"], box.row("alpha")["status"]) == (pid, st.RUNNING)
    beta = box.row("beta")
    assert (beta["status"], beta["reason"]) == (st.CREATED, "gpu-missing")
    assert "did not answer" in str(beta["detail"])
    assert box.reserved() == {"alpha": {A: 500}}
    assert {row["status"] for row in box.site.rows("SELECT status FROM gpus")} == {"present"}
    box.cards.error = None
    box.until(beta=st.RUNNING)
    assert box.row("alpha")["pid"] == pid


@pytest.mark.case("sqlite 5.14")
def test_a_card_that_vanished_is_gpu_missing_and_what_ran_there_is_left_alone(box: Box) -> None:
    box.profile("alpha", 500, resources={"gpus": [B]})
    box.until(alpha=st.RUNNING)
    assert box.environment("alpha")["CUDA_VISIBLE_DEVICES"] == B
    pid = box.row("alpha")["pid"]
    size = box.cards.sizes.pop(B)
    box.profile("beta", 500, resources={"gpus": [B]})
    box.once()
    assert (box.row("alpha")["pid"], box.row("alpha")["status"]) == (pid, st.RUNNING)
    beta = box.row("beta")
    assert (beta["status"], beta["reason"]) == (st.CREATED, "gpu-missing")
    assert B in str(beta["detail"])
    gone = "SELECT uuid FROM gpus WHERE status = 'gone'"
    eventually(lambda: box.once() and box.site.rows(gone) == [{"uuid": B}], "the card is known to be gone")
    box.cards.sizes[B] = size
    box.until(beta=st.RUNNING)
    assert box.reserved() == {"alpha": {B: 500}, "beta": {B: 500}}


def test_an_exclusive_card_is_nobody_elses(box: Box) -> None:
    box.cards.sizes = {A: 1000}
    box.profile("alpha", 100, resources={"exclusive": True})
    box.until(alpha=st.RUNNING)
    box.profile("beta", 100)
    box.once()
    assert box.row("beta")["reason"] == "gpu-memory"
    box.profile("alpha", 100, resources={"exclusive": True}, state="stopped")
    box.until(beta=st.RUNNING)
    box.profile("alpha", 100, resources={"exclusive": True})
    box.once()
    assert box.row("alpha")["reason"] == "gpu-memory"  # nor is one that others use already


def test_a_card_that_a_watched_server_uses_is_nobodys_alone(box: Box) -> None:
    box.cards.sizes = {A: 1000}
    port = box.site.ports[0] + 10
    argv = [box.site.binary, "--port", str(port)]
    child = subprocess.Popen(argv, env={"PATH": "/usr/bin:/bin"}, stderr=subprocess.DEVNULL)
    try:
        (box.site.root / "profiles" / "theirs.yaml").write_text(
            f"runtime: {{kind: external, port: {port}}}\n"
        )
        box.until(theirs=st.RUNNING)
        box.cards.held = {(A, child.pid): 300}
        box.profile("alpha", 100, resources={"exclusive": True})
        box.once()
        assert box.row("alpha")["reason"] == "gpu-memory"
        holder = box.site.one("SELECT pid, instance_id FROM gpu_holders")
        assert holder == {"pid": child.pid, "instance_id": box.row("theirs")["id"]}
        box.profile("alpha", 100)
        box.until(alpha=st.RUNNING)
    finally:
        child.kill()
        child.wait()


@pytest.mark.case("peers 5.12")
def test_two_in_one_pass_share_what_there_is(box: Box) -> None:
    box.cards.sizes = {A: 1000}
    for name in ("alpha", "beta", "gamma"):
        box.profile(name, 400)
    box.once()
    held = [name for name in ("alpha", "beta", "gamma") if box.row(name)["status"] == st.CREATED]
    assert held == ["gamma"]
    box.until(alpha=st.RUNNING, beta=st.RUNNING)
    assert box.row("gamma")["reason"] == "gpu-memory"


@pytest.mark.case("peers 5.11")
def test_a_stop_that_takes_its_time_keeps_its_memory_until_the_process_is_gone(box: Box) -> None:
    box.cards.sizes = {A: 1000}
    box.profile(
        "alpha", 500, runtime={"env": {"FAKE_MODE": "ignore-sigterm"}}, stop={"drain": "0s", "grace": "8s"}
    )
    box.until(alpha=st.RUNNING)
    box.profile("beta", 600)
    box.profile(
        "alpha",
        500,
        runtime={"env": {"FAKE_MODE": "ignore-sigterm"}},
        stop={"drain": "0s", "grace": "8s"},
        state="stopped",
    )
    box.once()
    assert box.row("alpha")["status"] == st.STOPPING
    assert box.reserved() == {"alpha": {A: 500}}
    assert box.row("beta")["reason"] == "gpu-memory"
    kill(int(str(box.row("alpha")["pid"])))
    box.until(alpha=st.STOPPED, beta=st.RUNNING)


def test_a_preview_promises_nothing(box: Box) -> None:
    box.profile("alpha", 500)
    with box.context() as ctx:
        plan, *_ = preview(ctx)
    assert [action.kind for action in plan.actions] == ["start"]
    assert (box.site.count("reservations"), box.site.count("instances")) == (0, 0)


def test_what_is_free_just_now_is_no_news(box: Box) -> None:
    """A stranger's memory goes up and down; cron is told once that a profile waits for it."""
    from llamaagent.reconcile.problems import news, problems, remember

    box.cards.sizes = {A: 1000}
    box.profile("alpha", 900)
    told = []
    for mib in (300, 310, 305):
        box.cards.held[A, os.getpid()] = mib
        with box.context() as ctx:
            result = run_pass(ctx)
            found = news(ctx, result, problems(ctx, result))
            remember(ctx, found)
            told.append(len(found.appeared))
    assert told == [1, 0, 0]


def test_a_server_whose_row_was_lost_gets_its_reservation_back(box: Box) -> None:
    box.cards.sizes = {A: 1000}
    box.profile("alpha", 500, resources={"exclusive": True})
    box.until(alpha=st.RUNNING)
    pid = box.row("alpha")["pid"]
    database_path = box.site.env.get("LLAMAAGENT_DB_PATH") or places(box.site.env).database
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(database_path + suffix):
            os.unlink(database_path + suffix)
    box.profile("beta", 100)
    box.once()
    assert box.row("alpha")["pid"] == pid
    assert json.loads(str(box.row("alpha")["gpus"])) == [A]
    assert box.reserved() == {"alpha": {A: 500}}
    assert box.row("beta")["reason"] == "gpu-memory"  # the card is alpha's alone


def test_a_change_is_admitted_counting_what_the_old_one_frees(box: Box) -> None:
    box.cards.sizes = {A: 1000}
    box.profile("alpha", 800)
    box.until(alpha=st.RUNNING)
    first = box.row("alpha")["pid"]
    box.cards.held[A, int(str(first))] = 800
    box.profile("alpha", 800, args={"threads": 1})  # fits only because the old one goes
    box.once()
    box.cards.held.clear()
    box.until(alpha=st.RUNNING)
    second = box.row("alpha")["pid"]
    assert second != first
    assert box.reserved() == {"alpha": {A: 800}}


def test_a_change_that_does_not_fit_leaves_the_old_one_running(box: Box) -> None:
    box.cards.sizes = {A: 1000}
    box.profile("alpha", 800)
    box.until(alpha=st.RUNNING)
    pid = box.row("alpha")["pid"]
    box.cards.held[A, int(str(pid))] = 800
    box.profile("alpha", 5000)
    result = box.once()
    assert [(a.kind, a.reason) for a in result.actions] == [("hold", "gpu-memory")]
    assert (box.row("alpha")["pid"], box.row("alpha")["status"]) == (pid, st.RUNNING)
    assert box.reserved() == {"alpha": {A: 800}}


class _Set(SystemClock):
    """A wall clock that somebody has set."""

    def __init__(self, step_s: int) -> None:
        self._step_s = step_s

    def now(self) -> int:
        return super().now() + self._step_s


@pytest.mark.case("sqlite 5.10")
def test_a_wall_clock_that_was_set_is_told_in_the_samples(box: Box) -> None:
    box.once()
    with box.context() as ctx:
        run_pass(ctx._replace(clock=_Set(3600)))
    steps = [
        row["clock_step_s"] for row in box.site.rows("SELECT clock_step_s FROM system_samples ORDER BY ts")
    ]
    assert steps[0] is None
    assert abs(int(str(steps[1])) - 3600) <= 2
