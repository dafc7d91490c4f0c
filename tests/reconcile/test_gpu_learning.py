"""What launches were measured to take counts for the next one, and how a launch is told to keep to what it has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from test_gpu_chain import HEADROOM, A, B, Box, Cards

from journal_sums import check_journal
from llamaagent.domain import instance as st
from llamaagent.domain.projection import FIT_PARAMS, Projection
from llamaagent.gguf.find import look_at
from llamaagent.launch.process import bury
from llamaagent.reconcile.passes import run_pass
from llamaagent.reconcile.problems import problems
from llamaagent.reconcile.projecting import parameters_of
from llamaagent.store.fits import FitStore
from modelfiles.sparse_models import Shape, write_sparse
from system.scratch_site import PORTS_PER_SITE, Site, ask, eventually, kill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def box(tmp_path: Path, fake_server: str, tiny_model: str) -> Iterator[Box]:
    """A site with a real model and two large cards."""
    shutil.copy(tiny_model, tmp_path / "model.gguf")
    base = 13400 + os.getpid() % 20 * PORTS_PER_SITE
    site = Site(tmp_path, (base, base + PORTS_PER_SITE - 1), fake_server, str(tmp_path / "model.gguf"))
    site.settings(headroom={"gpu_memory": f"{HEADROOM}MiB"})
    yield Box(site, Cards(aaaa=3000, bbbb=3000))
    site.stop_all()
    check_journal(site.journal())
    bury()


def pid_of(box: Box, name: str = "alpha") -> int:
    return int(str(box.row(name)["pid"]))


def words_after(box: Box, option: str, name: str = "alpha") -> str | None:
    with open(f"/proc/{pid_of(box, name)}/cmdline", encoding="utf-8") as file:
        argv = file.read().split("\0")
    return argv[argv.index(option) + 1] if option in argv else None


def started(box: Box, name: str = "alpha") -> dict[str, object]:
    """The arithmetic of the newest start."""
    rows = box.site.rows(
        "SELECT arithmetic FROM decisions WHERE profile = ? AND action = 'start' ORDER BY id DESC", name
    )
    found = json.loads(str(rows[0]["arithmetic"]))
    assert isinstance(found, dict)
    return found


def observed(box: Box, gpu: str = A) -> dict[str, object]:
    return box.site.one("SELECT peak_mib, n, estimated_mib FROM memory_observations WHERE gpu = ?", gpu)


def again(box: Box, name: str = "alpha") -> None:
    """End it, and let it be launched again."""
    box.cards.held.clear()
    kill(pid_of(box, name))
    box.until(**{name: st.ERROR})
    box.site.edit("UPDATE instances SET retry_ts = 1")
    box.until(**{name: st.RUNNING})


def test_what_was_measured_is_reserved_the_next_time_with_a_margin(box: Box) -> None:
    box.profile("alpha", None)
    box.until(alpha=st.RUNNING)
    first = box.row("alpha")
    box.cards.held[A, pid_of(box)] = 700
    box.once()
    kept = observed(box)
    assert (kept["peak_mib"], kept["n"]) == (700, 1)
    assert kept["estimated_mib"] == first["gpu_memory_estimated_mib"]
    box.cards.held[A, pid_of(box)] = 650  # a peak stays one
    box.once()
    box.once()
    assert (observed(box)["peak_mib"], observed(box)["n"]) == (700, 1)
    host = box.site.one("SELECT peak_mib, n FROM memory_observations WHERE gpu = 'host'")
    assert int(str(host["peak_mib"])) > 0
    assert host["n"] == 1
    again(box)
    assert box.reserved() == {"alpha": {A: 764}}
    figures = started(box)
    assert (figures["measured_mib"], figures["margin_mib"], figures["needed_mib"]) == (700, 64, 764)
    assert "header_estimate_mib" in figures
    box.cards.held[A, pid_of(box)] = 600
    box.once()
    assert (observed(box)["peak_mib"], observed(box)["n"]) == (700, 2)


def test_what_was_measured_counts_on_cards_of_that_kind_only(box: Box) -> None:
    box.cards.kinds = {A: "Small", B: "Large"}
    box.profile("alpha", None)
    box.until(alpha=st.RUNNING)
    estimated = box.reserved()["alpha"][A]
    box.cards.held[A, pid_of(box)] = 700
    box.once()

    def on(uuid: str, other: str) -> None:
        """Launched once more, with a stranger on the other card."""
        box.cards.held.clear()
        box.cards.held[other, os.getpid()] = 2900
        kill(pid_of(box))
        box.until(alpha=st.ERROR)
        box.site.edit("UPDATE instances SET retry_ts = 1")
        box.until(alpha=st.RUNNING)
        assert set(box.reserved()["alpha"]) == {uuid}

    on(B, A)
    assert box.reserved()["alpha"] == {B: estimated}  # of this kind nothing is known yet
    assert "measured_mib" not in started(box)
    assert started(box)["needed_mib"] == estimated
    box.cards.held[B, pid_of(box)] = 900
    box.once()
    assert (observed(box, A)["peak_mib"], observed(box, B)["peak_mib"]) == (700, 900)
    on(A, B)
    assert (box.reserved()["alpha"], started(box)["measured_mib"]) == ({A: 764}, 700)
    on(B, A)
    assert (box.reserved()["alpha"], started(box)["measured_mib"]) == ({B: 964}, 900)
    box.cards.kinds = {
        A: "Large",
        B: "Large",
    }  # the first one was replaced: what the other took counts there too
    on(A, B)
    assert started(box)["measured_mib"] == 900


def test_another_temperature_is_the_same_launch_and_another_context_is_not(box: Box) -> None:
    box.profile("alpha", None, args={"ctx-size": 1024})
    box.until(alpha=st.RUNNING)
    box.cards.held[A, pid_of(box)] = 700
    box.once()
    box.profile("alpha", None, args={"ctx-size": 1024, "temp": 0.1}, state="stopped")
    box.until(alpha=st.STOPPED)
    box.cards.held.clear()
    box.profile("alpha", None, args={"ctx-size": 1024, "temp": 0.1})
    box.until(alpha=st.RUNNING)
    assert started(box)["measured_mib"] == 700
    box.profile("alpha", None, args={"ctx-size": 2048})
    eventually(lambda: box.once() and words_after(box, "--ctx-size") == "2048", "the change is launched")
    assert "measured_mib" not in started(box)


def test_the_larger_of_declared_and_measured_is_reserved_and_both_are_shown(box: Box) -> None:
    box.profile("alpha", 500)
    box.until(alpha=st.RUNNING)
    box.cards.held[A, pid_of(box)] = 800
    box.once()
    again(box)
    assert box.reserved() == {"alpha": {A: 800}}
    figures = started(box)
    assert (figures["declared_mib"], figures["measured_mib"], figures["needed_mib"]) == (500, 800, 800)
    box.cards.held[A, pid_of(box)] = 790
    box.once()
    (row,) = json.loads(box.site.run("ps", "--json").out)
    shown = [row[f"gpu_memory_{name}_mib"] for name in ("declared", "estimated", "measured")]
    assert shown == [500, figures["sized_mib"], 790]
    wide = box.site.run("ps", "-o", "wide").out
    assert "GPU MEMORY MEASURED MIB" in wide
    told = box.site.run("show", "alpha").out
    assert f"declared_mib 500, estimated_mib {figures['sized_mib']}, measured_mib 790" in told
    assert "measured_mib" in box.site.run("why", "alpha").out


def test_memory_of_its_children_is_its_own(box: Box) -> None:
    box.profile("alpha", 500, runtime={"env": {"FAKE_MODE": "fork-grandchild"}})
    box.until(alpha=st.RUNNING)
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid_of(box))], capture_output=True, check=False)
    child = int(found.stdout.split()[0])
    box.cards.held = {(A, pid_of(box)): 100, (A, child): 250}
    box.once()
    assert observed(box)["peak_mib"] == 350
    assert box.site.rows("SELECT pid FROM gpu_holders WHERE instance_id IS NULL") == []


def test_what_was_never_healthy_teaches_nothing(box: Box) -> None:
    box.profile("alpha", 500, runtime={"env": {"FAKE_MODE": "never-healthy"}})
    box.once()
    box.cards.held[A, pid_of(box)] = 40
    box.once()
    kill(pid_of(box))
    box.until(alpha=st.ERROR)
    assert box.site.count("memory_observations") == 0


def test_a_launch_is_told_its_context_and_layers_and_does_not_fit_itself(box: Box) -> None:
    box.profile("alpha", None)
    box.until(alpha=st.RUNNING)
    assert words_after(box, "--fit") == "off"
    row = box.row("alpha")
    assert (words_after(box, "--ctx-size"), words_after(box, "--gpu-layers")) == (
        str(row["sized_context"]),
        str(row["sized_gpu_layers"]),
    )
    assert box.site.run("show", "alpha", "--diff").out == ""


def test_max_is_the_largest_context_within_the_memory(box: Box) -> None:
    box.site.model = str(write_sparse(box.site.root / "large.gguf", Shape(context=131072)))
    args = {"ctx-size": "max", "parallel": 1}
    contexts = []
    for mib in (600, 900, 2500):
        box.profile("alpha", mib, args=args)
        eventually(
            lambda mib=mib: box.once() and box.reserved() == {"alpha": {A: mib}},  # type: ignore[misc]
            f"launched with {mib} MiB",
        )
        box.until(alpha=st.RUNNING)
        figures = started(box)
        contexts.append(int(str(words_after(box, "--ctx-size"))))
        assert figures["sized_context_tokens"] == contexts[-1]
        assert mib * 0.9 < int(str(figures["sized_mib"])) <= mib or contexts[-1] == 131072
        assert words_after(box, "--gpu-layers") == "9"  # the context gives way first
    assert contexts == sorted(set(contexts))
    assert contexts[-1] == 131072


def test_without_a_card_max_is_the_models_own_context_and_nothing_else_is_said(box: Box) -> None:
    box.cards.sizes.clear()
    box.profile("alpha", None, args={"ctx-size": "max"})
    box.until(alpha=st.RUNNING)
    assert words_after(box, "--ctx-size") == "0"
    for option in ("--fit", "--fit-target", "--gpu-layers", "--tensor-split"):
        assert words_after(box, option) is None


def test_a_stored_fit_is_followed_to_the_letter(box: Box) -> None:
    box.profile("alpha", None, args={"threads": 1})
    box.cards.sizes = {A: 1}
    box.once()
    with box.context() as ctx:
        (profile,) = ctx.site.profiles
        file = look_at(box.site.model)
        found = Projection(FIT_PARAMS, parameters_of(profile, cards=True), file.size_bytes, file.mtime_ns, 1)
        FitStore(ctx.db).keep("alpha", found._replace(gpu_mib=900.0, context=768, gpu_layers=2), 1000)
    box.cards.sizes = {A: 3000}
    box.until(alpha=st.RUNNING)
    assert (words_after(box, "--ctx-size"), words_after(box, "--gpu-layers")) == ("768", "2")
    assert box.reserved() == {"alpha": {A: 900}}


def test_what_cannot_be_read_is_told_to_leave_all_but_its_share(box: Box) -> None:
    with open(box.site.model, "wb") as file:
        file.truncate(1 << 20)
    box.profile("alpha", 500)
    box.until(alpha=st.RUNNING)
    assert (words_after(box, "--fit"), words_after(box, "--fit-target")) == (None, "2500")


def test_several_cards_share_as_they_are_told_and_devices_are_counted_anew(box: Box) -> None:
    box.profile("alpha", 4000)
    box.until(alpha=st.RUNNING)
    assert words_after(box, "--tensor-split") == "1,1"
    assert box.reserved() == {"alpha": {A: 2000, B: 2000}}
    box.profile("alpha", 4000, state="stopped")
    box.until(alpha=st.STOPPED)
    box.cards.held = {(A, os.getpid()): 1500}
    box.profile("beta", 2000, args={"tensor-split": "3,1"})
    box.until(beta=st.RUNNING)
    assert box.environment("beta")["CUDA_VISIBLE_DEVICES"] == f"{B},{A}"
    assert box.reserved() == {"beta": {B: 1500, A: 500}}
    box.profile("gamma", 300, args={"device": "CUDA1", "split-mode": "none", "main-gpu": 0})
    box.until(gamma=st.RUNNING)
    assert box.environment("gamma")["CUDA_VISIBLE_DEVICES"] == B
    assert words_after(box, "--device", "gamma") == "CUDA0"
    box.profile("delta", None, args={"device": "none"})
    box.until(delta=st.RUNNING)
    assert box.environment("delta")["CUDA_VISIBLE_DEVICES"] == "-1"


@pytest.mark.parametrize("gpus", ["auto", "all"])
def test_a_card_that_was_here_holds_its_profiles_it_is_not_replaced_by_the_cpu(box: Box, gpus: str) -> None:
    box.once()
    del box.cards.sizes[A]
    if gpus == "auto":
        del box.cards.sizes[B]
    box.profile("alpha", None, resources={"gpus": gpus})
    box.profile("beta", None, resources={"gpus": "none"})
    box.until(beta=st.RUNNING)
    row = box.row("alpha")
    assert (row["status"], row["reason"]) == (st.CREATED, "gpu-missing")
    assert A in str(row["detail"])
    assert box.figures("alpha")["missing_cards"] == (2 if gpus == "auto" else 1)
    box.cards.sizes = {A: 3000, B: 3000}
    box.until(alpha=st.RUNNING)


def healthy_for(box: Box, seconds: int) -> None:
    """As if it had become healthy so long ago."""
    box.site.edit(
        "UPDATE instances SET ready_ts = ready_ts - ? WHERE status IN ('running', 'unhealthy')", seconds
    )


def test_a_server_on_the_cpu_is_told_started_once_more_and_then_only_told(box: Box) -> None:
    box.profile("alpha", 500, restart={"backoff": "1s"})
    box.until(alpha=st.RUNNING)
    box.once()
    assert box.row("alpha")["status"] == st.RUNNING  # there is a grace
    first = box.row("alpha")["id"]
    healthy_for(box, 60)
    eventually(lambda: box.once() and box.row("alpha")["reason"] == "on-cpu", "it is told")
    assert ("unhealthy", "on-cpu") in box.site.decisions("alpha")
    box.site.edit("UPDATE instances SET retry_ts = 1")
    eventually(lambda: box.once() and box.row("alpha")["id"] != first, "it is started once more")
    assert box.reserved() == {"alpha": {A: 500}}
    box.until(alpha=st.RUNNING)
    healthy_for(box, 60)
    box.until(alpha=st.UNHEALTHY)
    pid = pid_of(box)
    for _ in range(3):
        box.once()
    assert (box.row("alpha")["status"], pid_of(box)) == (st.UNHEALTHY, pid)
    assert json.loads(box.site.run("ps", "--json").out)[0]["state"] == "on CPU"
    done = box.site.run("status")
    assert done.rc == 1
    assert "on CPU" in done.out
    with box.context() as ctx:
        told = problems(ctx, run_pass(ctx))["profile:alpha"]
    assert (told.event, told.state, told.reason) == ("on_cpu", "on CPU", "on-cpu")
    box.cards.held[A, pid] = 480
    box.until(alpha=st.RUNNING)
    assert box.site.run("status").rc == 0


def test_with_layers_in_its_log_or_a_card_that_cannot_be_told_nothing_is_said(box: Box) -> None:
    box.profile("alpha", 500)
    box.until(alpha=st.RUNNING)
    healthy_for(box, 60)
    box.cards.held[A, 4_000_000] = 10  # of a process that is not in our namespace: perhaps ours
    for _ in range(3):
        box.once()
    assert box.row("alpha")["status"] == st.RUNNING
    box.site.edit("UPDATE instances SET gpu_layers = 3")
    box.cards.held.clear()
    for _ in range(3):
        box.once()
    assert box.row("alpha")["status"] == st.RUNNING


@pytest.mark.case("peers 5.11")
def test_memory_that_comes_back_late_is_waited_for_and_then_refused(box: Box) -> None:
    box.cards.sizes = {A: 1000}
    box.profile("alpha", 500)
    box.until(alpha=st.RUNNING)
    gone = pid_of(box)
    box.cards.held[A, gone] = 500
    box.profile("alpha", 500, state="stopped")
    box.until(alpha=st.STOPPED)  # and the driver still says that its memory is taken
    box.profile("beta", 600)
    box.once()
    row = box.row("beta")
    assert (row["status"], row["reason"]) == (st.CREATED, "gpu-releasing")
    assert "alpha" in str(row["detail"])
    assert box.figures("beta")["gpu0_not_back_mib"] == 500
    assert box.site.run("status").rc == 0  # on its way
    box.site.edit("UPDATE reservations SET released_ts = released_ts - 100")
    box.once()
    assert box.row("beta")["reason"] == "gpu-memory"  # never launched on hope
    assert box.site.run("status").rc == 1
    box.cards.held.clear()
    box.until(beta=st.RUNNING)


def test_a_refusal_of_a_card_adds_up(box: Box) -> None:
    box.cards.sizes = {A: 1000}
    box.cards.held[A, os.getpid()] = 300
    box.profile("alpha", 200)
    box.until(alpha=st.RUNNING)
    box.profile("beta", 900)
    box.once()
    figures = box.figures("beta")
    room = figures["gpu0_free_mib"] - figures["gpu0_reserved_unused_mib"] - figures["headroom_mib"]  # type: ignore[operator]
    assert room == figures["gpu0_room_mib"] == 1000 - 300 - 200 - HEADROOM
    assert int(str(figures["needed_mib"])) == figures["declared_mib"] == 900 > room


@pytest.mark.parametrize("which", [pytest.param("binary", marks=pytest.mark.binary), "embedded"])
def test_real_servers_take_what_they_are_told(box: Box, request: pytest.FixtureRequest, which: str) -> None:
    if which == "embedded":
        pytest.importorskip("xllamacpp")
        binary = "embedded"
    else:
        binary = str(request.getfixturevalue("llama_server_binary"))
    box.site.settings(headroom={"gpu_memory": f"{HEADROOM}MiB"}, binary=binary)
    box.profile("alpha", 4000, args={"ctx-size": "max", "parallel": 1})
    eventually(lambda: box.once() and box.row("alpha")["status"] == st.RUNNING, box.site.logs(), 40)
    assert box.reserved() == {"alpha": {A: 2000, B: 2000}}
    assert words_after(box, "--fit") == "off"
    assert words_after(box, "--tensor-split") == "1,1"
    status, text = ask(box.row("alpha")["port"], "/props")
    assert status == 200
    context = json.loads(text)["default_generation_settings"]["n_ctx"]
    assert context == box.row("alpha")["sized_context"]


def test_what_is_rolled_back_or_given_up_keeps_no_card(box: Box) -> None:
    """After each pass a live reservation belongs to a live launch; in the end there is one, and then none."""
    box.profile("alpha", 500, restart={"backoff": "1s", "give_up_after": {"failures": 1, "within": "15m"}})
    box.until(alpha=st.RUNNING)
    box.profile(
        "alpha",
        700,
        runtime={"env": {"FAKE_MODE": "bad-option"}},
        restart={"backoff": "1s", "give_up_after": {"failures": 1, "within": "15m"}},
    )
    eventually(
        lambda: box.once() and ("rollback", "bad-option") in box.site.decisions("alpha"), "rolled back"
    )
    box.until(alpha=st.RUNNING)
    assert box.reserved() == {"alpha": {A: 500}}
    box.profile(
        "beta",
        300,
        runtime={"env": {"FAKE_MODE": "exit-at-once:3"}},
        restart={"backoff": "1s", "give_up_after": {"failures": 1, "within": "15m"}},
    )
    eventually(lambda: box.once() and box.row("beta")["gave_up_ts"] is not None, "given up")
    assert box.reserved() == {"alpha": {A: 500}}
