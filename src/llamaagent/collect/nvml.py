"""The child that talks to NVML: prints one JSON object and ends. Run by `gpu.py`, never imported by it.

Source: the NVML reference and nvidia-ml-py. Every figure may be unsupported on a card; then it is null.
Sizes MiB, power mW, clocks MHz, temperature degrees Celsius.
"""

from __future__ import annotations

import json
import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_MIB = 1 << 20
# "Not available" is also said by the largest values of the types; no true figure comes near these.
_SMALL = 1 << 31  # unsigned int: percent, degrees, mW, MHz
_LARGE = 1 << 50  # unsigned long long: bytes, bit masks
_PROCESS_LISTS = ("Compute", "Graphics", "MPSCompute")


def main() -> int:
    """Print the reading and return the exit status."""
    sys.stdout.write(json.dumps(read_nvml()) + "\n")
    return 0


def read_nvml() -> dict[str, Any]:
    """Ask NVML about every card: {"error": text|null, "cards": [...]} as `gpu.parse_reading` takes it."""
    guard = _claim_turn()
    if guard is None:
        return {"error": "another NVML reader is still waiting for the driver", "cards": []}
    try:
        import pynvml
    except ImportError as error:
        return {"error": f"nvidia-ml-py is not installed: {error}", "cards": []}
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return {"error": f"NVML: {error}", "cards": []}
    driver = _ask(pynvml, pynvml.nvmlSystemGetDriverVersion)
    cards = []
    problems = []
    for index in range(_number(_ask(pynvml, pynvml.nvmlDeviceGetCount)) or 0):
        try:
            cards.append(_read_card(pynvml, pynvml.nvmlDeviceGetHandleByIndex(index), index, driver))
        except pynvml.NVMLError as error:
            problems.append(f"card {index}: {error}")
    return {"error": "; ".join(problems) or None, "cards": cards}


def _claim_turn(wait_s: float = 2.0) -> object | None:
    """Hold a name that only one process of this user on this host can have; None when it stays taken.

    A process stuck inside the driver cannot be killed and keeps the name, so that passes under cron do
    not add one stuck process each. Freed by the kernel with the process; no file is left anywhere.
    """
    import socket

    if not sys.platform.startswith("linux"):
        return sys
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    for _attempt in range(int(wait_s / 0.1)):
        try:
            holder.bind(f"\0llamaagent-nvml-{os.getuid()}")
        except OSError:
            select.select((), (), (), 0.1)
        else:
            return holder
    return None


def _read_card(nvml: Any, handle: Any, index: int, driver: Any) -> dict[str, Any]:
    def ask(name: str, *more: Any) -> Any:
        return _ask(nvml, getattr(nvml, "nvmlDeviceGet" + name, None), handle, *more)

    memory = ask("MemoryInfo", getattr(nvml, "nvmlMemory_v2", None)) or ask("MemoryInfo")
    busy = ask("UtilizationRates")
    return {
        "uuid": _text(nvml.nvmlDeviceGetUUID(handle)),
        "index": index,
        "name": _text(ask("Name")),
        "pci_bus_id": _text(getattr(ask("PciInfo"), "busId", None)),
        "driver": _text(driver),
        "utilization_percent": _number(getattr(busy, "gpu", None)),
        "memory_utilization_percent": _number(getattr(busy, "memory", None)),
        "memory_total_mib": _mib(getattr(memory, "total", None)),
        "memory_used_mib": _mib(getattr(memory, "used", None)),
        "memory_free_mib": _mib(getattr(memory, "free", None)),
        "temperature_celsius": _number(ask("Temperature", nvml.NVML_TEMPERATURE_GPU)),
        "power_mw": _number(ask("PowerUsage")),
        "power_limit_mw": _number(ask("EnforcedPowerLimit")),
        "sm_clock_mhz": _number(ask("ClockInfo", nvml.NVML_CLOCK_SM)),
        "memory_clock_mhz": _number(ask("ClockInfo", nvml.NVML_CLOCK_MEM)),
        "throttle_reasons": _number(ask("CurrentClocksThrottleReasons"), _LARGE),
        "holders": _holders(ask),
    }


def _holders(ask: Callable[..., Any]) -> list[tuple[int, int | None]]:
    """A process can stand in several lists with the same memory: it counts once."""
    found: dict[int, int | None] = {}
    for kind in _PROCESS_LISTS:
        processes = ask(f"{kind}RunningProcesses")
        if processes is None:  # drivers before 510
            processes = ask(f"{kind}RunningProcesses_v2")
        for process in processes or ():
            mib = _mib(getattr(process, "usedGpuMemory", None))
            found[process.pid] = max(
                (m for m in (mib, found.get(process.pid)) if m is not None), default=None
            )
    return sorted(found.items())


def _ask(nvml: Any, function: Callable[..., Any] | None, *arguments: Any) -> Any:
    """One question; None for "not supported" and every other refusal of this one figure."""
    if function is None:
        return None
    try:
        return function(*arguments)
    except (nvml.NVMLError, nvml.NVMLLibraryMismatchError, TypeError, ValueError):
        return None


def _number(value: Any, limit: int = _SMALL) -> int | None:
    return value if isinstance(value, int) and 0 <= value < limit else None


def _mib(value: Any) -> int | None:
    number = _number(value, _LARGE)
    return None if number is None else number // _MIB


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else None


if __name__ == "__main__":
    sys.exit(main())
