"""The NVML reader as it runs, with the unmodified pynvml, on a library with NVML's binary interface."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest

from llamaagent.base.paths import HostPaths
from llamaagent.collect.gpu import READER, GpuReading, collect_gpus
from llamaagent.domain.sample import GpuHolder, GpuSample

SOURCE = os.path.join(os.path.dirname(__file__), "fake_nvml.c")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder with the library and a /dev/nvidiactl of its own."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = str(tmp_path_factory.mktemp("nvml"))
    output = f"{folder}/libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", output, SOURCE], check=True, capture_output=True)
    with open(f"{folder}/nvidiactl", "w"):
        pass
    return folder


def read(library: str, mode: str = "", timeout_s: float = 30.0) -> GpuReading:
    command = ("/usr/bin/env", f"LD_LIBRARY_PATH={library}", f"FAKE_NVML={mode}", *READER)
    return collect_gpus(HostPaths(), timeout_s, dev=library, command=command)


def test_every_figure_of_a_card_is_read(library: str) -> None:
    """Memory in use is without what the driver reserves; a process in two lists counts once."""
    reading = read(library)
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
        holders=(
            GpuHolder("GPU-aaaa", 9, 12),
            GpuHolder("GPU-aaaa", 77, None),
            GpuHolder("GPU-aaaa", 4242, 500),
        ),
    )


def test_what_a_card_does_not_say_is_unknown(library: str) -> None:
    """Both ways of not saying it: the return code, and a value that cannot be."""
    reading = read(library)
    assert reading.cards[1] == GpuSample(
        uuid="GPU-bbbb",
        index=1,
        name="Fake H200",
        driver="570.86.15",
        power_limit_mw=700_000,
        sm_clock_mhz=1980,
        memory_clock_mhz=3201,
    )


@pytest.mark.case("sqlite 5.14")
def test_a_lost_card_is_named_and_the_others_are_read(library: str) -> None:
    reading = read(library)
    assert len(reading.cards) == 2
    assert "card 2" in (reading.error or "")
    assert "lost" in (reading.error or "").lower()


@pytest.mark.case("peers 5.13")
@pytest.mark.case("sqlite 5.14")
def test_a_library_that_hangs_is_given_up(library: str) -> None:
    start = time.monotonic()
    reading = read(library, "hang", timeout_s=1.0)
    assert time.monotonic() - start < 10
    assert (reading.available, reading.cards) == (True, ())
    assert "did not answer" in (reading.error or "")


def test_a_library_that_crashes_is_an_error(library: str) -> None:
    assert "ended with -6" in (read(library, "abort").error or "")


def test_a_reader_waits_for_the_one_before_it_and_then_says_so(library: str) -> None:
    """A stuck reader cannot be killed in the worst case; the next ones must not join it."""
    environment = {**os.environ, "LD_LIBRARY_PATH": library, "FAKE_NVML": "hang"}
    stuck = subprocess.Popen(READER, env=environment, stdout=subprocess.PIPE)
    try:
        until = time.monotonic() + 20
        while "nvml" not in _unix_names() and time.monotonic() < until:
            time.sleep(0.02)
        reading = read(library)
        assert "another NVML reader" in (reading.error or "")
    finally:
        stuck.kill()
        stuck.communicate()
    assert len(read(library).cards) == 2


def _unix_names() -> str:
    with open("/proc/net/unix") as file:
        return " ".join(line.split()[-1] for line in file if "@llamaagent" in line)
