"""Cards: no driver, a driver that hangs, crashes or lies. The child is a real process throughout."""

from __future__ import annotations

import json
import os
import sys
import time

import psutil
import pytest

from llamaagent.base.paths import HostPaths
from llamaagent.collect.gpu import GpuReading, collect_gpus, has_nvidia
from llamaagent.collect.gpureading import parse_reading
from llamaagent.domain.sample import GpuHolder

CARD = {
    "uuid": "GPU-1", "index": 0, "name": "NVIDIA H200", "pci_bus_id": "0000:01:00.0", "driver": "570.1",
    "utilization_percent": 97, "memory_total_mib": 143771, "memory_used_mib": 9, "memory_free_mib": 143000,
    "temperature_celsius": None, "power_mw": "lots", "holders": [[123, 400], [124, None]],
}  # fmt: skip


@pytest.fixture
def dev(tmp_path: object) -> str:
    """A /dev with the driver's file in it."""
    with open(f"{tmp_path}/nvidiactl", "w"):
        pass
    return f"{tmp_path}"


def child(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


@pytest.mark.case("sqlite 5.14")
def test_no_driver_is_a_fact_and_starts_nothing(tmp_path: object) -> None:
    paths = HostPaths(f"{tmp_path}/proc", f"{tmp_path}/sys")
    reading = collect_gpus(paths, 1.0, dev=f"{tmp_path}", command=("/no/such/program",))
    assert reading == GpuReading(available=False, cards=(), error=None)


def test_the_driver_is_seen_in_either_place(tmp_path: object, dev: str) -> None:
    os.makedirs(f"{tmp_path}/proc/driver/nvidia")
    assert has_nvidia(HostPaths(f"{tmp_path}/proc"), f"{tmp_path}/none")
    assert has_nvidia(HostPaths("/none"), dev)


def test_a_reading_becomes_records(dev: str) -> None:
    code = f"print({json.dumps(json.dumps({'error': None, 'cards': [CARD]}))})"
    reading = collect_gpus(HostPaths(), 20.0, dev=dev, command=child(code))
    assert reading.error is None
    (card,) = reading.cards
    assert (card.uuid, card.utilization_percent, card.memory_total_mib, card.vendor) == (
        "GPU-1",
        97,
        143771,
        "nvidia",
    )
    assert (card.temperature_celsius, card.power_mw, card.sm_clock_mhz) == (None, None, None)
    assert card.holders == (GpuHolder("GPU-1", 123, 400), GpuHolder("GPU-1", 124, None))


def test_a_hanging_driver_costs_the_time_limit_and_no_more(dev: str) -> None:
    start = time.monotonic()
    reading = collect_gpus(HostPaths(), 0.4, dev=dev, command=child("import time; time.sleep(60)"))
    assert time.monotonic() - start < 5
    assert (reading.available, reading.cards) == (True, ())
    assert "0.4 s" in (reading.error or "")


def test_a_hanging_child_leaves_no_process_behind(dev: str) -> None:
    before = set(psutil.Process().children())  # of other tests, an engine for example
    collect_gpus(HostPaths(), 0.1, dev=dev, command=child("import time; time.sleep(61)"))
    assert set(psutil.Process().children()) - before == set()
    code = f"print({json.dumps(json.dumps({'error': None, 'cards': []}))})"
    assert collect_gpus(HostPaths(), 20.0, dev=dev, command=child(code)) == GpuReading(available=True)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.abort()", "-6"),
        ("raise SystemExit(3)", "ended with 3"),
        ("print('Segmentation fault')", "printed"),
        ("pass", "printed b''"),
        ('print(\'{"cards": 3, "error": null}\')', "printed"),
    ],
)
def test_a_child_that_fails_is_an_error_text(dev: str, code: str, words: str) -> None:
    reading = collect_gpus(HostPaths(), 20.0, dev=dev, command=child(code))
    assert reading.available
    assert reading.cards == ()
    assert words in (reading.error or "")


def test_a_reader_that_cannot_be_started_is_an_error_text(dev: str) -> None:
    reading = collect_gpus(HostPaths(), 1.0, dev=dev, command=("/no/such/program",))
    assert "cannot start" in (reading.error or "")


def test_a_lost_card_does_not_hide_the_others() -> None:
    text = json.dumps({"error": "card 1: GPU is lost", "cards": [CARD]}).encode()
    reading = parse_reading(text)
    assert len(reading.cards) == 1
    assert reading.error == "card 1: GPU is lost"


def test_the_real_reader_answers_in_words_without_a_card(dev: str) -> None:
    """On a machine without NVIDIA the library is not there; with one, cards come back."""
    reading = collect_gpus(HostPaths(), 30.0, dev=dev)
    assert reading.available
    assert bool(reading.cards) != bool(reading.error)
    if not has_nvidia(HostPaths()):
        assert "NVML" in (reading.error or "")


@pytest.mark.gpu
def test_a_real_card_says_its_memory() -> None:
    if not has_nvidia(HostPaths()):
        pytest.skip("no NVIDIA driver")
    reading = collect_gpus(HostPaths(), 30.0)
    assert reading.error is None
    for card in reading.cards:
        assert card.uuid.startswith("GPU-")
        assert card.memory_total_mib is None or card.memory_total_mib > 0
