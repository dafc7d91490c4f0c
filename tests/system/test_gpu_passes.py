"""Whole passes over scripted cards: `run --once` as a child, the unmodified pynvml in its child, real processes.

The library is NVML to the last byte of its interface, what it says stands in a file; the holders are real processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from scratch_site import eventually, living

from collect.scripted_nvml import ScriptedCards
from collect.sysfs_cards import AMD, SysfsCards

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scratch_site import Site

A = "card 0 uuid=GPU-aaaa pci=00000000:01:00.0 total=8000 temp=50 power=100000 limit=700000 ecc=0"
B = "card 1 uuid=GPU-bbbb pci=00000000:02:00.0 total=8000 temp=40"


@pytest.fixture
def cards(nvml_library: str, tmp_path: Path) -> ScriptedCards:
    return ScriptedCards(nvml_library, tmp_path / "host")


@pytest.fixture
def box(fake_site: Site, cards: ScriptedCards) -> Site:
    """A site on a host with these cards."""
    fake_site.env.update(cards.env)
    fake_site.settings(headroom={"gpu_memory": "100MiB"})
    return fake_site


@pytest.fixture
def stranger() -> Iterator[int]:
    """Pid of a process that is nobody's."""
    with subprocess.Popen(["sleep", "300"]) as child:
        yield child.pid
        child.kill()


def model(box: Site, name: str, mib: int, **resources: object) -> None:
    box.profile(name, resources={"gpu_memory": f"{mib}MiB", **resources})


def environment(box: Site, name: str) -> dict[str, str]:
    with open(f"/proc/{box.newest()[name]['pid']}/environ") as file:
        return dict(word.partition("=")[::2] for word in file.read().split("\0"))


def cards_of(box: Site, name: str) -> object:
    return json.loads(str(box.newest()[name]["gpus"]))


def listed(box: Site) -> dict[str, dict[str, object]]:
    done = box.run("gpus", "--json")
    assert done.rc == 0, done
    return {row["uuid"]: row for row in json.loads(done.out)}


def held(box: Site, name: str) -> tuple[object, str]:
    row = box.newest()[name]
    assert row["status"] == "created", row
    return row["reason"], str(row["detail"])


def reserved(box: Site) -> set[tuple[object, object]]:
    return {
        (row["holder"], row["uuid"])
        for row in box.rows(
            "SELECT r.holder, g.uuid FROM reservations AS r JOIN gpus AS g ON g.id = r.gpu_id "
            "WHERE r.released_ts IS NULL"
        )
    }


def test_a_model_goes_where_a_stranger_leaves_room_and_the_listing_names_both(
    box: Site, cards: ScriptedCards, stranger: int
) -> None:
    cards.say(A, B, f"process GPU-aaaa {stranger} 5000")
    model(box, "alpha", 4000)
    box.settle("running", "alpha")
    assert cards_of(box, "alpha") == ["GPU-bbbb"]
    assert environment(box, "alpha")["CUDA_VISIBLE_DEVICES"] == "GPU-bbbb"
    server = box.newest()["alpha"]["pid"]
    cards.say(A, B, f"process GPU-aaaa {stranger} 5000", f"process GPU-bbbb {server} 3500")
    found = listed(box)
    (foreign,), (ours,) = found["GPU-aaaa"]["holders"], found["GPU-bbbb"]["holders"]  # type: ignore[misc]
    assert (foreign["pid"], foreign["command"], foreign["profile"]) == (stranger, "sleep", None)
    assert (ours["pid"], ours["profile"], ours["memory_mib"]) == (server, "alpha", 3500)
    assert (found["GPU-bbbb"]["reserved_mib"], found["GPU-aaaa"]["ecc_volatile"]) == (4000, 0)
    table = box.run("gpus").out
    lines = [line.split() for line in table.splitlines()]
    assert ["1", "alpha", str(server), "3500", "MiB", "4000", "MiB", "-"] in lines, table
    assert "#####.......  3.4/7.8 GiB" in table


def test_a_refusal_names_who_holds_the_memory_and_adds_up(
    box: Site, cards: ScriptedCards, stranger: int
) -> None:
    cards.say(A, f"process GPU-aaaa {stranger} 5000")
    model(box, "alpha", 4000)
    box.once()
    assert held(box, "alpha")[0] == "gpu-memory"
    decision = box.one("SELECT arithmetic FROM decisions WHERE profile = 'alpha' AND action = 'hold'")
    figures = json.loads(str(decision["arithmetic"]))
    assert f"pid {stranger} (" in figures["gpu0_holders"]
    assert "sleep) holds 5000 MiB" in figures["gpu0_holders"]
    assert figures["gpu0_room_mib"] == (
        figures["gpu0_free_mib"] - figures["gpu0_reserved_unused_mib"] - figures["headroom_mib"]
    )
    assert figures["gpu0_room_mib"] < figures["needed_mib"]


@pytest.mark.case("peers 5.11")
def test_memory_that_comes_back_late_is_waited_for(box: Site, cards: ScriptedCards) -> None:
    cards.say(A)
    model(box, "alpha", 6000)
    box.settle("running", "alpha")
    cards.say(A + " used=5900")  # the driver does not say whose it is any more
    box.profile("alpha", state="stopped")
    model(box, "beta", 6000)
    box.settle("stopped", "alpha")
    box.once()
    assert held(box, "beta")[0] == "gpu-releasing"
    cards.say(A)
    box.settle("running", "beta")


@pytest.mark.case("peers 5.27")
def test_indexes_that_swap_move_nothing(box: Site, cards: ScriptedCards) -> None:
    """Reservation, listing and the next launch follow the uuid."""
    cards.say(A, B)
    model(box, "alpha", 7000, gpus=["GPU-aaaa"])
    box.settle("running", "alpha")
    pid = box.newest()["alpha"]["pid"]
    cards.say(A.replace("card 0", "card 1"), B.replace("card 1", "card 0"), f"process GPU-aaaa {pid} 6500")
    model(box, "beta", 7000)
    model(box, "gamma", 7000, gpus=["GPU-aaaa"])
    box.settle("running", "alpha", "beta")
    assert box.newest()["alpha"]["pid"] == pid
    assert reserved(box) == {("alpha", "GPU-aaaa"), ("beta", "GPU-bbbb")}
    assert environment(box, "beta")["CUDA_VISIBLE_DEVICES"] == "GPU-bbbb"
    assert held(box, "gamma")[0] == "gpu-memory"
    found = listed(box)
    assert {uuid: row["idx"] for uuid, row in found.items()} == {"GPU-aaaa": 1, "GPU-bbbb": 0}
    assert [one["holder"] for one in found["GPU-aaaa"]["reservations"]] == ["alpha"]  # type: ignore[attr-defined]


@pytest.mark.case("sqlite 5.14")
def test_a_card_that_vanishes_is_told_and_the_others_go_on(box: Site, cards: ScriptedCards) -> None:
    cards.say(A, B)
    model(box, "alpha", 4000, gpus=["GPU-bbbb"])
    box.settle("running", "alpha")
    pid = box.newest()["alpha"]["pid"]
    cards.say(A, B + " fail=Handle:15")
    model(box, "beta", 4000, gpus=["GPU-bbbb"])
    model(box, "gamma", 4000)
    model(box, "delta", 4000, gpus="all")
    box.settle("running", "alpha", "gamma")
    assert box.newest()["alpha"]["pid"] == pid  # left alone
    assert held(box, "beta")[0] == "gpu-missing"
    reason, detail = held(box, "delta")
    assert (reason, "card 1: " in detail) == ("gpu-missing", True), detail
    assert {uuid: row["status"] for uuid, row in listed(box).items()} == {
        "GPU-aaaa": "present",
        "GPU-bbbb": "gone",
    }
    assert "not answering: card 1" in box.run("gpus").err


@pytest.mark.case("peers 5.13")
@pytest.mark.alone
def test_a_driver_that_hangs_leaves_a_stale_sample_and_admits_nothing(
    box: Site, cards: ScriptedCards
) -> None:
    cards.say(A)
    model(box, "alpha", 1000)
    box.settle("running", "alpha")
    samples = box.count("gpu_samples")
    cards.say(A + " hang=MemoryInfo")
    model(box, "beta", 1000)
    start = time.monotonic()
    box.once()
    assert time.monotonic() - start < 30
    reason, detail = held(box, "beta")
    assert (reason, "did not answer" in detail) == ("gpu-missing", True)
    assert (box.newest()["alpha"]["status"], box.count("gpu_samples")) == ("running", samples)
    assert box.one("SELECT status FROM gpus")["status"] == "present"
    cards.say(A)
    box.settle("running", "beta")


@pytest.mark.case("sqlite 5.14")
def test_a_card_that_fell_off_the_bus_gives_nothing_until_it_was_reset(
    box: Site, cards: ScriptedCards
) -> None:
    cards.say(A, B)
    cards.kernel("nvidia: module verification failed")
    model(box, "alpha", 1000, gpus=["GPU-aaaa"])
    box.settle("running", "alpha")
    pid = int(str(box.newest()["alpha"]["pid"]))
    cards.xid(79, words="pid='<unknown>', name=<unknown>, GPU has fallen off the bus.")
    model(box, "beta", 1000, gpus=["0"])
    model(box, "gamma", 1000)
    done = box.once()
    assert "card 0 (GPU-aaaa) has failed: Xid 79: fallen off the bus" in held(box, "beta")[1]
    assert held(box, "beta")[0] == "gpu-missing"
    box.settle("running", "alpha", "gamma")
    assert cards_of(box, "gamma") == ["GPU-bbbb"]
    assert living(pid)  # what runs there is left alone, and told
    assert "alpha still runs there" in done.err
    assert box.once().err == ""  # once
    status = box.run("status")
    assert "gpu 0 (Fake H200) has failed: Xid 79" in status.out
    assert json.loads(box.run("status", "--json").out)["failed_gpus"][0]["uuid"] == "GPU-aaaa"
    assert "Xid 79" in box.run("doctor").out
    found = listed(box)["GPU-aaaa"]
    assert (found["status"], found["failed_reason"]) == ("failed", "Xid 79: fallen off the bus")
    assert "gpu 0 has failed since" in box.run("gpus").out
    assert any("Xid 79 of card GPU-aaaa" in line for line in box.run("events").out.splitlines())
    cards.xid(154, words="GPU recovery action changed from 0x2 (Node Reboot Required) to 0x0 (None)")
    box.settle("running", "beta")
    assert listed(box)["GPU-aaaa"]["status"] == "present"


def test_reports_are_read_once_and_only_those_of_the_kernel(box: Site, cards: ScriptedCards) -> None:
    cards.say(A, B)
    cards.xid(13, "0000:02:00")
    box.once()
    cards.kernel("NVRM: Xid (PCI:0000:01:00): 79, pid=1, name=joker", facility=1)
    box.once()
    cards.xid(31, "0000:02:00", "pid=4711, name=llama-server, MMU Fault")
    box.once()
    found = listed(box)
    assert [one["xid"] for one in found["GPU-bbbb"]["xids"]] == [31, 13]  # type: ignore[attr-defined]
    assert (found["GPU-aaaa"]["xids"], found["GPU-aaaa"]["status"]) == ([], "present")
    assert found["GPU-aaaa"]["xid_source"] == "kernel-log"
    assert box.count("gpu_xids") == 2


def test_a_report_waits_for_the_card_that_it_is_about(box: Site, cards: ScriptedCards) -> None:
    """A driver that hung from the first pass on must not hide what it said before."""
    cards.say("init hang")
    cards.xid(79)
    box.once()
    assert (box.count("gpus"), box.count("gpu_xids")) == (0, 0)
    cards.say(A)
    box.once()
    assert listed(box)["GPU-aaaa"]["status"] == "failed"


def test_the_log_and_the_events_tell_of_a_report_once(box: Site, cards: ScriptedCards) -> None:
    cards.say(A)
    cards.kernel("hello")
    box.once()
    agent = box.start("run")
    eventually(lambda: listeners(cards), "a child waits", deadline_s=40.0)
    cards.xid(31)
    cards.say(A, "event GPU-aaaa 31", "event GPU-aaaa 13")
    eventually(lambda: box.count("gpu_xids") >= 2, "both are known", deadline_s=40.0)
    cards.xid(48)
    eventually(lambda: box.one("SELECT status FROM gpus")["status"] == "failed", "failed", deadline_s=40.0)
    agent.terminate()
    assert agent.wait(20) == 0
    assert sorted(str(row["xid"]) for row in box.rows("SELECT xid FROM gpu_xids")) == ["13", "31", "48"]


def test_a_disk_without_room_does_not_hide_a_failed_card(box: Site, cards: ScriptedCards) -> None:
    cards.say(A)
    box.settings(headroom={"gpu_memory": "100MiB", "disk": "900TiB"})
    cards.xid(79)
    box.once()
    assert box.count("gpu_samples") == 0
    assert box.one("SELECT status FROM gpus")["status"] == "failed"
    assert box.count("gpu_xids") == 1


def test_two_programs_that_read_the_same_record_keep_it_once(box: Site, cards: ScriptedCards) -> None:
    cards.say(A)
    cards.xid(13)
    box.once()
    box.edit(
        "DELETE FROM metadata WHERE key = 'kernel_log'"
    )  # as one that looked before the other had stored it
    listed(box)
    cards.xid(31)
    both = [box.start("gpus") for _ in range(4)]
    assert [one.wait(60) for one in both] == [0, 0, 0, 0]
    assert sorted(str(row["xid"]) for row in box.rows("SELECT xid FROM gpu_xids")) == ["13", "31"]


def test_without_the_kernels_log_reports_are_not_available_which_is_not_none(
    box: Site, cards: ScriptedCards
) -> None:
    cards.say(A)
    box.once()
    assert listed(box)["GPU-aaaa"]["xid_source"] == "not-available"
    assert "not available" in box.run("gpus").out
    cards.kernel("hello")
    box.once()
    assert "none" in box.run("gpus").out
    assert "not available" not in box.run("gpus").out


def test_what_the_driver_asks_for_fails_a_card_and_its_end_is_a_reset(
    box: Site, cards: ScriptedCards
) -> None:
    cards.say(A + " action=1")
    model(box, "alpha", 1000)
    box.once()
    assert "the driver asks for a reset of the GPU" in held(box, "alpha")[1]
    cards.say(A + " action=0")
    box.settle("running", "alpha")


def test_another_boot_clears_a_failed_card(box: Site, cards: ScriptedCards) -> None:
    cards.say(A)
    cards.xid(48)
    box.once()
    assert listed(box)["GPU-aaaa"]["status"] == "failed"
    box.edit("UPDATE gpus SET last_boot_id = 'the one before'")
    box.edit("UPDATE metadata SET value = 'the one before 9' WHERE key = 'kernel_log'")
    (cards.dev / "kmsg").write_text("")
    box.once()
    assert listed(box)["GPU-aaaa"]["status"] == "present"


def test_parts_of_a_card_are_given_and_the_card_is_not(box: Site, cards: ScriptedCards) -> None:
    cards.say(
        "card 0 uuid=GPU-aaaa pci=00000000:01:00.0 total=80000 mig=1",
        "part 0 0 uuid=MIG-a name=MIG_1g total=9000",
        "part 0 1 uuid=MIG-b name=MIG_1g total=9000",
    )
    model(box, "alpha", 8000)
    model(box, "beta", 8000)
    model(box, "wide", 16000)
    model(box, "whole", 1000, gpus=["0"])
    box.settle("running", "alpha", "beta")
    assert {environment(box, name)["CUDA_VISIBLE_DEVICES"] for name in ("alpha", "beta")} == {
        "MIG-a",
        "MIG-b",
    }
    assert held(box, "wide")[0] == "gpu-memory"
    assert "split into MIG devices" in held(box, "whole")[1]
    lines = box.run("gpus").out.splitlines()
    assert lines[1].startswith("0 ")
    assert "split (MIG)" in lines[1]
    assert [line.split()[0] for line in lines[2:4]] == ["0:0", "0:1"]
    assert lines[2].startswith("  0:0")


def listeners(cards: ScriptedCards) -> list[str]:
    """Pids of the children that wait for events of these cards."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as words:
            if b"llamaagent.collect.xidchild" in words.read():
                with open(f"/proc/{name}/environ", "rb") as file:
                    if str(cards.script).encode() in file.read():
                        found.append(name)
    return found


def source(box: Site) -> object:
    return next(iter(box.rows("SELECT value FROM metadata WHERE key = 'xid_source'")), {}).get("value")


def test_the_loop_hears_of_a_failed_card_from_the_drivers_events(box: Site, cards: ScriptedCards) -> None:
    cards.say(A)
    box.once()
    agent = box.start("run")
    eventually(lambda: source(box) == "events", "the loop listens", deadline_s=40.0)
    cards.say(A, "event GPU-aaaa 13", "event GPU-aaaa 79")
    eventually(
        lambda: box.one("SELECT status FROM gpus")["status"] == "failed", "it is failed", deadline_s=40.0
    )
    agent.terminate()
    assert agent.wait(20) == 0
    found = listed(box)["GPU-aaaa"]
    assert [(one["xid"], one["source"]) for one in found["xids"]] == [(79, "events"), (13, "events")]  # type: ignore[attr-defined]
    assert (found["status"], found["failed_reason"]) == ("failed", "Xid 79: fallen off the bus")
    eventually(lambda: not listeners(cards), "the child is gone")


def test_a_wait_for_events_that_hangs_delays_no_pass_and_no_end(box: Site, cards: ScriptedCards) -> None:
    cards.say(A, "events hang")
    model(box, "alpha", 1000)
    box.once()
    agent = box.start("run")
    eventually(lambda: listeners(cards), "a child waits", deadline_s=40.0)
    eventually(lambda: box.newest()["alpha"]["status"] == "running", "running", deadline_s=40.0)
    agent.terminate()
    assert agent.wait(20) == 0
    eventually(lambda: not listeners(cards), "the child is gone")


def test_a_loop_that_is_killed_leaves_nobody_listening(box: Site, cards: ScriptedCards) -> None:
    cards.say(A)
    box.once()
    agent = box.start("run")
    eventually(lambda: source(box) == "events", "the loop listens", deadline_s=40.0)
    agent.kill()
    agent.wait(20)
    eventually(lambda: not listeners(cards), "the child ended by itself")
    assert agent.returncode == -9


def test_an_amd_card_is_reserved_shown_and_its_stranger_named(
    fake_site: Site, tmp_path: Path, stranger: int
) -> None:
    root = tmp_path / "amd"
    sysfs = SysfsCards(root / "sys")
    (root / "dev").mkdir(parents=True)
    sysfs.add("0000:03:00.0", "amdgpu", AMD, mem_info_vram_used=0)
    device = sysfs.add("0000:83:00.0", "amdgpu", AMD, unique_id="bb", mem_info_vram_used=40 << 30)
    sysfs.node(1, 51, 3 << 8)
    sysfs.node(2, 52, 0x83 << 8)
    sysfs.compute(stranger, 52, 40 << 30)
    fake_site.env |= {"LLAMAAGENT_HOST_SYS": str(root / "sys"), "LLAMAAGENT_HOST_DEV": str(root / "dev")}
    model(fake_site, "alpha", 20000)
    model(fake_site, "beta", 20000, gpus=["GPU-bb"])
    fake_site.settle("running", "alpha")
    shown = environment(fake_site, "alpha")
    assert (shown["ROCR_VISIBLE_DEVICES"], shown["HIP_VISIBLE_DEVICES"]) == ("GPU-1a2b3c4d5e6f7081", "0")
    assert "CUDA_VISIBLE_DEVICES" not in shown
    assert held(fake_site, "beta")[0] == "gpu-memory"
    (decision,) = fake_site.rows("SELECT arithmetic FROM decisions WHERE profile = 'beta'")
    assert f"pid {stranger} (" in json.loads(str(decision["arithmetic"]))["gpu1_holders"]
    found = listed(fake_site)["GPU-bb"]
    assert (found["vendor"], found["xid_source"], found["temperature_celsius"]) == ("amd", None, 61)
    (device / "gpu_busy_percent").unlink()
    os.mkfifo(device / "gpu_busy_percent")  # a driver that hangs
    model(fake_site, "gamma", 1000)
    fake_site.once()
    assert "sysfs did not answer" in held(fake_site, "gamma")[1]
    assert fake_site.newest()["alpha"]["status"] == "running"
