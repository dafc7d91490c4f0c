"""AMD and Intel cards from folders laid out as the kernel does, read by the real child."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from collect.sysfs_cards import AMD, ARC, SysfsCards, client
from llamaagent.base.paths import HostPaths
from llamaagent.collect.gpu import GpuReading, collect_gpus, has_others
from llamaagent.domain.sample import GpuHolder, GpuSample

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND = "0000:03:00.0", "0000:83:00.0"


pytestmark = pytest.mark.alone  # readers of cards take turns, on the whole machine


@pytest.fixture
def host(tmp_path: Path) -> HostPaths:
    for name in ("proc", "sys", "dev"):
        (tmp_path / name).mkdir()
    return HostPaths(f"{tmp_path}/proc", f"{tmp_path}/sys", f"{tmp_path}/dev")


@pytest.fixture
def cards(tmp_path: Path) -> SysfsCards:
    return SysfsCards(tmp_path / "sys")


def read(host: HostPaths, timeout_s: float = 60.0) -> GpuReading:
    """A reading; the killed reader of another test of this process may take a moment to be gone."""
    until = time.monotonic() + 60
    while (
        "still hangs" in ((found := collect_gpus(host, timeout_s)).error or "") and time.monotonic() < until
    ):
        time.sleep(0.05)
    return found


def test_every_figure_of_an_amd_card_is_read(host: HostPaths, cards: SysfsCards, tmp_path: Path) -> None:
    """A client that has the card open twice counts once; one that holds nothing is no holder."""
    cards.add(FIRST, "amdgpu", AMD)
    vram = "drm-memory-vram:\t2048 MiB"
    client(tmp_path / "proc", 40, 3, FIRST, 7, vram)
    client(tmp_path / "proc", 40, 4, FIRST, 7, vram)
    client(tmp_path / "proc", 40, 5, FIRST, 8, "drm-memory-vram:\t1024 KiB")
    client(tmp_path / "proc", 41, 3, FIRST, 9, "drm-memory-vram:\t0 KiB")
    client(tmp_path / "proc", 42, 3, "0000:99:00.0", 1, vram)
    assert read(host) == GpuReading(
        available=True,
        cards=(
            GpuSample(
                uuid="GPU-1a2b3c4d5e6f7081",
                index=0,
                name="Radeon PRO W7900",
                pci_bus_id=FIRST,
                vendor="amd",
                driver="amdgpu",
                utilization_percent=87,
                memory_utilization_percent=12,
                memory_total_mib=49152,
                memory_used_mib=10240,
                memory_free_mib=38912,
                temperature_celsius=61,
                power_mw=211_000,
                power_limit_mw=241_000,
                sm_clock_mhz=2400,
                memory_clock_mhz=1124,
                holders=(GpuHolder("GPU-1a2b3c4d5e6f7081", 40, 2049),),
                ecc_volatile=2,
                position=0,
            ),
        ),
    )


def test_an_intel_card_is_read_from_what_its_drivers_show(
    host: HostPaths, cards: SysfsCards, tmp_path: Path
) -> None:
    """Its memory is the window on the bus where the driver says nothing better; its power a counter of energy."""
    device = cards.add(FIRST, "xe", ARC, **{"hwmon/hwmon5/energy1_input": 5_000_000})
    client(tmp_path / "proc", 40, 3, FIRST, 7, "drm-total-vram0:\t900 MiB", "drm-resident-vram0:\t512 MiB")
    (card,) = read(host).cards
    assert (card.uuid, card.vendor, card.driver) == (f"PCI-{FIRST}", "intel", "xe")
    assert (card.memory_total_mib, card.temperature_celsius, card.power_limit_mw) == (16384, 48, 190_000)
    assert (card.sm_clock_mhz, card.power_mw) == (2050, 0)
    assert card.holders == (GpuHolder(f"PCI-{FIRST}", 40, 512),)
    assert card.memory_used_mib == (512 if os.geteuid() == 0 else None)
    cards.put(device / "tile0" / "physical_vram_size_bytes", 12 << 30)
    assert read(host).cards[0].memory_total_mib == 12288


def test_a_graphics_unit_inside_a_processor_is_no_card(host: HostPaths, cards: SysfsCards) -> None:
    cards.add("0000:00:02.0", "i915", ARC)
    cards.add("0000:0c:00.0", "amdgpu", AMD, mem_info_vram_total=512 << 20)
    assert not has_others(host)
    assert read(host) == GpuReading(available=False)


def test_cards_are_numbered_as_their_runtime_counts_them(host: HostPaths, cards: SysfsCards) -> None:
    """The kernel's compute nodes say the order of ROCm's cards; a unit inside the processor counts among Intel's."""
    cards.add(FIRST, "amdgpu", AMD, unique_id="aa")
    cards.add(SECOND, "amdgpu", AMD, unique_id="bb")
    cards.node(0, 0, 0)
    cards.node(1, 51, 0x83 << 8)
    cards.node(2, 52, 3 << 8)
    found = {card.uuid: (card.index, card.position) for card in read(host).cards}
    assert found == {"GPU-bb": (0, 0), "GPU-aa": (1, 1)}


def test_the_compute_driver_tells_of_the_processes_of_others(host: HostPaths, cards: SysfsCards) -> None:
    cards.add(FIRST, "amdgpu", AMD)
    cards.node(1, 51, 3 << 8)
    cards.compute(4711, 51, 3 << 30)
    assert read(host).cards[0].holders == (GpuHolder("GPU-1a2b3c4d5e6f7081", 4711, 3072),)


def test_what_is_not_there_is_unknown(host: HostPaths, cards: SysfsCards) -> None:
    cards.add(FIRST, "amdgpu", {"vendor": "0x1002", "mem_info_vram_total": 16 << 30})
    (card,) = read(host).cards
    assert card._replace(name="") == GpuSample(
        f"PCI-{FIRST}", 0, "", FIRST, "amd", "amdgpu", memory_total_mib=16384, position=0
    )


@pytest.mark.case("peers 5.13")
def test_a_read_that_hangs_is_given_up(host: HostPaths, cards: SysfsCards) -> None:
    device = cards.add(FIRST, "amdgpu", AMD, gpu_busy_percent=None)
    os.mkfifo(device / "gpu_busy_percent")
    start = time.monotonic()
    reading = read(host, timeout_s=1.5)
    assert time.monotonic() - start < 15
    assert (reading.available, reading.cards, reading.error) == (
        True,
        (),
        "sysfs did not answer within 1.5 s",
    )


def test_cards_of_another_maker_than_the_main_ones_are_for_who_names_them(
    host: HostPaths, cards: SysfsCards
) -> None:
    cards.add(FIRST, "amdgpu", AMD)
    cards.add(SECOND, "xe", ARC)
    assert [(card.vendor, card.withheld) for card in read(host).cards] == [
        ("amd", None),
        ("intel", "other-maker"),
    ]
