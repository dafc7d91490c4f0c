"""The NVML reader as it runs, with the unmodified pynvml, on a library with NVML's binary interface."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from collect.scripted_nvml import ScriptedCards
from llamaagent.base.paths import HostPaths
from llamaagent.collect.gpu import READER, GpuReading, collect_gpus
from llamaagent.domain.sample import GpuHolder, GpuSample

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.alone  # readers of cards take turns, on the whole machine


FULL = (
    "card 0 uuid=GPU-aaaa pci=00000000:01:00.0 total=1000 used=600 reserved=100 util=97 memutil=41 temp=64 "
    "power=312500 limit=700000 sm=1980 mem=3201 throttle=4 ecc=1 ecclife=3 action=0"
)
SHY = "card 1 uuid=GPU-bbbb limit=700000 sm=1980 mem=3201"
LOST = "card 2 uuid=GPU-cccc fail=Handle:15"


@pytest.fixture
def cards(nvml_library: str, tmp_path: Path) -> ScriptedCards:
    """Three cards, of which one says little and one is lost."""
    made = ScriptedCards(nvml_library, tmp_path)
    holders = ("GPU-aaaa 4242 500", "GPU-aaaa 77 ?", "GPU-aaaa 4242 500 G", "GPU-aaaa 9 12 G")
    made.say(FULL, *(f"process {holder}" for holder in holders), SHY, LOST)
    return made


def read(cards: ScriptedCards, timeout_s: float = 30.0) -> GpuReading:
    words = (f"{name}={value}" for name, value in cards.env.items())
    paths = HostPaths(sys=str(cards.sys), dev=str(cards.dev))
    return collect_gpus(paths, timeout_s, command=("/usr/bin/env", *words, *READER))


def test_every_figure_of_a_card_is_read(cards: ScriptedCards) -> None:
    """Memory in use is without what the driver reserves; a process in two lists counts once."""
    reading = read(cards)
    assert reading.cards[0] == GpuSample(
        uuid="GPU-aaaa",
        index=0,
        name="Fake H200",
        pci_bus_id="00000000:01:00.0",
        driver="570.86.15",
        utilization_percent=97,
        memory_utilization_percent=41,
        memory_total_mib=1000,
        memory_used_mib=600,
        memory_free_mib=300,
        temperature_celsius=64,
        power_mw=312_500,
        power_limit_mw=700_000,
        sm_clock_mhz=1980,
        memory_clock_mhz=3201,
        throttle_reasons=4,
        ecc_volatile=1,
        ecc_aggregate=3,
        recovery_action=0,
        position=0,
        holders=(
            GpuHolder("GPU-aaaa", 9, 12),
            GpuHolder("GPU-aaaa", 77, None),
            GpuHolder("GPU-aaaa", 4242, 500),
        ),
    )


def test_what_a_card_does_not_say_is_unknown(cards: ScriptedCards) -> None:
    """Both ways of not saying it: the return code, and a value that cannot be."""
    reading = read(cards)
    assert reading.cards[1] == GpuSample(
        uuid="GPU-bbbb",
        index=1,
        name="Fake H200",
        driver="570.86.15",
        power_limit_mw=700_000,
        sm_clock_mhz=1980,
        memory_clock_mhz=3201,
        position=1,
    )


@pytest.mark.case("sqlite 5.14")
def test_a_lost_card_is_named_and_the_others_are_read(cards: ScriptedCards) -> None:
    reading = read(cards)
    assert len(reading.cards) == 2
    assert reading.error is None
    (text,) = reading.missing
    assert "card 2" in text
    assert "lost" in text.lower()


@pytest.mark.case("peers 5.13")
@pytest.mark.case("sqlite 5.14")
def test_a_library_that_hangs_is_given_up(cards: ScriptedCards) -> None:
    cards.say("init hang")
    start = time.monotonic()
    reading = read(cards, timeout_s=1.0)
    assert time.monotonic() - start < 10
    assert (reading.available, reading.cards) == (True, ())
    assert "did not answer" in (reading.error or "")


def test_a_library_that_crashes_is_an_error(cards: ScriptedCards) -> None:
    cards.say("init abort")
    assert "ended with -6" in (read(cards).error or "")


def test_a_reader_waits_for_the_one_before_it_and_then_says_so(cards: ScriptedCards) -> None:
    """A stuck reader cannot be killed in the worst case; the next ones must not join it."""
    before = cards.script.read_text()
    cards.say("init hang")
    stuck = subprocess.Popen(READER, env={**os.environ, **cards.env}, stdout=subprocess.PIPE)
    try:
        until = time.monotonic() + 20
        while "nvml" not in _unix_names() and time.monotonic() < until:
            time.sleep(0.02)
        reading = read(cards)
        assert "another NVML reader" in (reading.error or "")
        cards.say(before)
    finally:
        stuck.kill()
        stuck.communicate()
    assert len(read(cards).cards) == 2


@pytest.mark.case("peers 5.13")
def test_one_question_that_hangs_costs_the_time_limit(cards: ScriptedCards) -> None:
    cards.say(FULL + " hang=PowerUsage")
    assert "did not answer within 2 s" in (read(cards, timeout_s=2.0).error or "")


@pytest.mark.case("sqlite 5.14")
def test_a_card_that_is_lost_in_the_middle_is_missing_not_half_read(cards: ScriptedCards) -> None:
    cards.say(FULL + " fail=MemoryInfo:15", SHY)
    reading = read(cards)
    assert [card.uuid for card in reading.cards] == ["GPU-bbbb"]
    assert "card 0" in reading.missing[0]


def test_an_error_of_one_figure_costs_that_figure(cards: ScriptedCards) -> None:
    cards.say(FULL + " fail=Temperature:999")
    (card,) = read(cards).cards
    assert (card.temperature_celsius, card.power_mw) == (None, 312_500)


def test_a_driver_that_wants_a_reset_says_so_with_its_card(cards: ScriptedCards) -> None:
    cards.say(FULL + " fail=MemoryInfo:16", SHY.replace("limit=", "action=2 limit="))
    assert [card.recovery_action for card in read(cards).cards] == [1, 2]


def test_parts_of_a_card_are_cards_and_their_parent_is_for_nobody(cards: ScriptedCards) -> None:
    cards.say(
        "card 0 uuid=GPU-aaaa pci=00000000:01:00.0 total=80000 mig=1 temp=50",
        "part 0 0 uuid=MIG-a name=H100_MIG_1g.10gb total=10000",
        "part 0 2 uuid=MIG-b name=H100_MIG_3g.40gb total=40000",
        "process GPU-aaaa 50 700",
        "process GPU-aaaa 51 5",
        "process MIG-b 50 700",
        "card 1 uuid=GPU-bbbb total=1000 mig=0",
    )
    found = {card.uuid: card for card in read(cards).cards}
    assert list(found) == ["GPU-aaaa", "MIG-a", "MIG-b", "GPU-bbbb"]
    assert [card.withheld for card in found.values()] == ["mig-parent", None, None, None]
    assert [card.index for card in found.values()] == [0, 100, 102, 1]
    part = found["MIG-b"]
    assert (part.parent, part.name, part.pci_bus_id) == ("GPU-aaaa", "H100 MIG 3g.40gb", "00000000:01:00.0")
    assert (part.memory_total_mib, part.memory_used_mib, part.memory_free_mib) == (40000, 700, 39300)
    assert part.holders == (GpuHolder("MIG-b", 50, 700),)
    assert found["GPU-aaaa"].holders == (GpuHolder("GPU-aaaa", 51, 5),)  # each counts once


def _unix_names() -> str:
    with open("/proc/net/unix") as file:
        return " ".join(line.split()[-1] for line in file if "@llamaagent" in line)
