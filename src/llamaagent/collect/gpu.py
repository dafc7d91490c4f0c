"""NVIDIA cards, asked in a child process so that a hung driver cannot hang a pass.

No card is a fact and no error: without the driver's device file nothing is started or imported. The child
is `llamaagent.collect.nvml`; what it prints is read here. Cards of other makers are not read yet.
"""

from __future__ import annotations

import os
import select
import sys
import time

from llamaagent.base.record import NamedTuple
from llamaagent.domain.sample import GpuHolder, GpuSample

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.base.paths import HostPaths

READER = (sys.executable, "-P", "-m", "llamaagent.collect.nvml")
_MAX_BYTES = 4 << 20
_DYING_MS = 200  # what a process takes at most that only has to be torn down


class GpuReading(NamedTuple):
    """available: an NVIDIA driver is there. error: why cards are missing from the reading, else None.

    Available with an error means that the state of (some) cards is unknown, which is not the same as free.
    """

    available: bool
    cards: tuple[GpuSample, ...] = ()
    error: str | None = None


class GpuProbe:
    """A child that is asking NVML, so that other work can go on meanwhile."""

    def __init__(self, pid: int, fd: int, started: float) -> None:
        self.pid = pid
        self.fd = fd
        self.started = started


_abandoned: list[int] = []  # children that did not even die at once; a loop must not pile them up


def has_nvidia(paths: HostPaths, dev: str = "/dev") -> bool:
    """Whether the NVIDIA kernel driver is loaded on this host."""
    return os.path.exists(f"{dev}/nvidiactl") or os.path.exists(f"{paths.proc}/driver/nvidia")


def collect_gpus(
    paths: HostPaths, timeout_s: float, *, dev: str = "/dev", command: Sequence[str] = READER
) -> GpuReading:
    """Measure every NVIDIA card, giving up after timeout_s seconds. Raises nothing."""
    if not has_nvidia(paths, dev):
        return GpuReading(available=False)
    started = begin_gpus(command)
    return started if isinstance(started, GpuReading) else finish_gpus(started, timeout_s)


def begin_gpus(command: Sequence[str] = READER) -> GpuProbe | GpuReading:
    """Start asking. A reading only when that is not possible: then it carries the error."""
    _reap_abandoned()
    if _abandoned:
        return GpuReading(available=True, error=f"an earlier NVML reader (pid {_abandoned[0]}) still hangs")
    read_end, write_end = os.pipe()
    try:
        pid = os.posix_spawn(
            command[0],
            list(command),
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, write_end, 1),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setpgroup=0,  # a Ctrl-C for the agent is not for a child in the middle of the driver
        )
    except OSError as error:
        os.close(read_end)
        return GpuReading(available=True, error=f"cannot start the NVML reader: {error.strerror}")
    finally:
        os.close(write_end)
    return GpuProbe(pid, read_end, time.monotonic())


def finish_gpus(probe: GpuProbe, timeout_s: float) -> GpuReading:
    """Take the result, waiting until timeout_s seconds after the start at most; then kill and let go."""
    try:
        data = _read_until(probe.fd, probe.started + timeout_s)
    finally:
        os.close(probe.fd)
    if data is None:
        _kill(probe.pid)
        return GpuReading(available=True, error=f"NVML did not answer within {timeout_s:g} s")
    status = os.waitstatus_to_exitcode(os.waitpid(probe.pid, 0)[1])
    if status:
        return GpuReading(available=True, error=f"the NVML reader ended with {status}")
    return parse_reading(data)


def parse_reading(data: bytes) -> GpuReading:
    """Turn what the child printed into records: {"error": text|null, "cards": [{field: value}]}.

    Field names are those of GpuSample; anything of the wrong type becomes None. Text that is no such JSON
    gives a reading with an error.
    """
    import json

    try:
        found = json.loads(data)
        cards = tuple(_card(card) for card in found["cards"])
        error = found["error"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return GpuReading(available=True, error=f"the NVML reader printed {data[:80]!r}")
    return GpuReading(available=True, cards=cards, error=error if isinstance(error, str) else None)


def _card(card: dict[str, object]) -> GpuSample:
    uuid, index, holders = card["uuid"], card["index"], card["holders"]
    if not isinstance(uuid, str) or not isinstance(index, int) or not isinstance(holders, list):
        raise TypeError(uuid)
    return GpuSample(
        uuid=uuid,
        index=index,
        name=_text(card, "name") or "unknown",
        pci_bus_id=_text(card, "pci_bus_id"),
        driver=_text(card, "driver"),
        utilization_percent=_number(card, "utilization_percent"),
        memory_utilization_percent=_number(card, "memory_utilization_percent"),
        memory_total_mib=_number(card, "memory_total_mib"),
        memory_used_mib=_number(card, "memory_used_mib"),
        memory_free_mib=_number(card, "memory_free_mib"),
        temperature_celsius=_number(card, "temperature_celsius"),
        power_mw=_number(card, "power_mw"),
        power_limit_mw=_number(card, "power_limit_mw"),
        sm_clock_mhz=_number(card, "sm_clock_mhz"),
        memory_clock_mhz=_number(card, "memory_clock_mhz"),
        throttle_reasons=_number(card, "throttle_reasons"),
        holders=tuple(GpuHolder(uuid, int(pid), mib) for pid, mib in holders),
    )


def _number(card: dict[str, object], field: str) -> int | None:
    value = card.get(field)
    return value if isinstance(value, int) else None


def _text(card: dict[str, object], field: str) -> str | None:
    value = card.get(field)
    return value if isinstance(value, str) else None


def _read_until(fd: int, until: float) -> bytes | None:
    """Everything up to the end of the pipe, None when that does not come in time."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    parts: list[bytes] = []
    size = 0
    while (left := until - time.monotonic()) > 0 and size < _MAX_BYTES:
        if not poll.poll(max(1, int(left * 1000))):
            continue
        data = os.read(fd, 65536)
        if not data:
            return b"".join(parts)
        parts.append(data)
        size += len(data)
    return None


def _kill(pid: int) -> None:
    """Kill our child; it is not waited for yet, so the pid is still its. Inside the driver it lives on."""
    import signal  # its enumerations cost a millisecond

    os.kill(pid, signal.SIGKILL)
    _abandoned.append(pid)
    if hasattr(os, "pidfd_open"):
        fd = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll(_DYING_MS)
        os.close(fd)
    _reap_abandoned()


def _reap_abandoned() -> None:
    for pid in list(_abandoned):
        try:
            gone, _status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            gone = pid
        if gone:
            _abandoned.remove(pid)
