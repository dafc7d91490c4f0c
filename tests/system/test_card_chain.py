"""The chain of a card from the driver to the refusal: scripted everywhere, real where a card is, and read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from card_chain import RECORDS, answers, card_of, chain, check_refusal, keep, listed
from scratch_site import PYTHON

from collect.scripted_nvml import ScriptedCards
from llamaagent.collect.gpureading import parse_reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scratch_site import Site

HOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fakes", "cuda_holder.py")
MIB = 2048
CARD = (
    "card 0 uuid=GPU-11112222-3333-4444-5555-666677778888 name=Scripted_card pci=00000000:01:00.0 total=24576 "
    "temp=50 power=100000 limit=350000 util=3 sm=1400 mem=9500 ecc=0"
)


@pytest.fixture
def real_site(fake_site: Site) -> Site:
    """A site on this host's real cards."""
    fake_site.settings(headroom={"gpu_memory": "64MiB"})
    return fake_site


@pytest.fixture
def holding() -> Iterator[subprocess.Popen[str]]:
    """A program that holds MIB of the first card, by CUDA."""
    with subprocess.Popen(
        [sys.executable, HOLDER, str(MIB)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        yield child
        child.kill()


def first_line(child: subprocess.Popen[str]) -> list[str]:
    """What the holder says once it holds; skips where the driver lets nobody have that."""
    assert child.stdout is not None
    assert child.stderr is not None
    words = child.stdout.readline().split()
    if not words:
        pytest.skip(f"the card gives no {MIB} MiB: {child.stderr.read().strip()}")
    return words


@pytest.mark.gpu
@pytest.mark.case("peers 5.13")
def test_a_real_card_with_a_real_holder_from_the_driver_to_the_refusal(
    real_site: Site, holding: subprocess.Popen[str]
) -> None:
    _, uuid, _ = first_line(holding)

    def let_go() -> None:
        assert holding.stdin is not None
        holding.stdin.close()
        holding.wait(timeout=60)

    record = chain(real_site, uuid, holding.pid, MIB, let_go, "a real card")
    card = card_of(record["gpus"], uuid)  # type: ignore[arg-type]
    for figure in (
        "temperature_celsius",
        "power_mw",
        "utilization_percent",
        "sm_clock_mhz",
        "pci_bus_id",
        "driver",
    ):
        assert card[figure] is not None, f"a card of today says its {figure}"
    keep(record, f"{card['name']} {card['driver']}")


@pytest.mark.gpu
def test_a_real_program_runs_on_the_card_that_was_lent_to_it_and_sees_no_other(real_site: Site) -> None:
    real_site.once()
    done = subprocess.run(
        [*PYTHON, "gpus", "run", "--gpu-memory", f"{MIB + 1024}MiB", "--", sys.executable, HOLDER, str(MIB)],
        cwd=real_site.root,
        env=real_site.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode in {3, 77}:
        pytest.skip(f"the card gives no {MIB} MiB: {done.stderr.strip()}")
    assert done.returncode == 0, done
    count, uuid, _ = done.stdout.split()
    assert count == "1"
    assert uuid in {card["uuid"] for card in listed(real_site)}
    assert real_site.rows("SELECT id FROM reservations WHERE released_ts IS NULL") == []


@pytest.mark.gpu
def test_a_real_reading_takes_less_than_a_pass_may_and_says_how_much_there_is(real_site: Site) -> None:
    said = answers(real_site)
    assert said["error"] is None
    for card in parse_reading(json.dumps(said).encode()).cards:
        if card.parent is None and card.withheld is None:
            assert card.memory_total_mib is not None
            assert card.memory_free_mib is not None
            assert 0 <= card.memory_free_mib <= card.memory_total_mib


def test_the_same_steps_on_a_scripted_card(fake_site: Site, nvml_library: str, tmp_path: Path) -> None:
    """So that the steps above are known to work where no card is."""
    cards = ScriptedCards(nvml_library, tmp_path / "host")
    fake_site.env.update(cards.env)
    fake_site.settings(headroom={"gpu_memory": "64MiB"})
    uuid = CARD.split("uuid=")[1].split(maxsplit=1)[0]
    with subprocess.Popen(["sleep", "300"]) as child:
        cards.say(CARD, f"process {uuid} {child.pid} {MIB + 300}")
        record = chain(
            fake_site, uuid, child.pid, MIB, lambda: cards.say(CARD), "the scripted NVML of the tests"
        )
        child.kill()
    assert record["uuid"] == uuid
    keep(record, "scripted card")


@pytest.mark.parametrize("name", sorted(os.listdir(RECORDS)))
def test_what_was_recorded_is_still_understood(name: str) -> None:
    """Cards, holders and the arithmetic of the refusal, of every card that was ever recorded."""
    with open(os.path.join(RECORDS, name), encoding="utf-8") as file:
        record = json.load(file)
    reading = parse_reading(json.dumps(record["reader"]).encode())
    assert reading.error is None
    (card,) = [one for one in reading.cards if one.uuid == record["uuid"]]
    shown = card_of(record["gpus"], record["uuid"])
    for figure in (
        "name",
        "memory_total_mib",
        "temperature_celsius",
        "power_limit_mw",
        "pci_bus_id",
        "driver",
    ):
        assert getattr(card, figure) == shown[figure], figure
    (holder,) = [one for one in card.holders if one.pid == record["holder"]["pid"]]
    assert (holder.memory_mib or 0) >= record["holder"]["mib"]
    check_refusal(record["refusal"]["arithmetic"], record["holder"]["pid"], record["holder"]["mib"])
