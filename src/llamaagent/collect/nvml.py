"""The child that talks to NVML: prints one JSON object and ends. Run by `gpu.py`, never imported by it.

Source: the NVML reference and nvidia-ml-py. Every figure may be unsupported on a card; then it is null.
Sizes MiB, power mW, clocks MHz, temperature degrees Celsius.
"""

from __future__ import annotations

import json
import sys

from llamaagent.collect.turn import claim_turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_MIB = 1 << 20
# "Not available" is also said by the largest values of the types; no true figure comes near these.
_SMALL = 1 << 31  # unsigned int: percent, degrees, mW, MHz
_LARGE = 1 << 50  # unsigned long long: bytes, bit masks
_UNCORRECTED, _VOLATILE, _AGGREGATE = 1, 0, 1  # nvmlMemoryErrorType_t, nvmlEccCounterType_t
_PROCESS_LISTS = ("Compute", "Graphics", "MPSCompute")


def main() -> int:
    """Print the reading and return the exit status."""
    sys.stdout.write(json.dumps(read_nvml()) + "\n")
    return 0


def read_nvml() -> dict[str, Any]:
    """Ask NVML about every card: {"error": text|null, "missing": [text], "cards": [...]} for `gpu.parse_reading`.

    missing: cards that do not answer while the others do. A MIG device is a card of its own, after its parent.
    """
    guard = claim_turn("nvml")
    if guard is None:
        return {"error": "another NVML reader is still waiting for the driver", "cards": []}
    try:
        import pynvml
    except ImportError as error:
        return {"error": f"nvidia-ml-py is not installed: {error}", "cards": []}
    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as error:
        return {"error": f"NVML: {error}", "cards": []}
    driver = _ask(pynvml, pynvml.nvmlSystemGetDriverVersion)
    cards: list[dict[str, Any]] = []
    missing = []
    for index in range(count):
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            cards += _with_parts(pynvml, handle, _read_card(pynvml, handle, index, driver))
        except pynvml.NVMLError as error:
            missing.append(f"card {index}: {error}")
    return {"error": None, "missing": missing, "cards": cards}


def _with_parts(nvml: Any, handle: Any, card: dict[str, Any]) -> list[dict[str, Any]]:
    """The card and its MIG devices. In MIG mode the card itself is not for anybody.

    The number of a part is 100 x (its card's + 1) + its own: the driver gives it none that is unique on the host.
    """
    mode = _ask(nvml, nvml.nvmlDeviceGetMigMode, handle)
    if not mode or mode[0] != 1:
        return [card]
    parts = []
    for number in range(_number(_ask(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, handle)) or 0):
        part = _ask(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number)
        if part is not None:
            read = _read_card(nvml, part, 100 * (card["index"] + 1) + number, card["driver"])
            same = {"parent": card["uuid"], "pci_bus_id": card["pci_bus_id"], "position": None}
            parts.append(read | same)
    inside = {pid for part in parts for pid, _ in part["holders"]}
    outside = [(pid, mib) for pid, mib in card["holders"] if pid not in inside]
    return [card | {"withheld": "mig-parent", "holders": outside}, *parts]


def _read_card(nvml: Any, handle: Any, index: int, driver: Any) -> dict[str, Any]:
    resets: list[int] = []

    def ask(name: str, *more: Any) -> Any:
        try:
            return _ask(nvml, getattr(nvml, "nvmlDeviceGet" + name, None), handle, *more)
        except nvml.NVMLError_ResetRequired:
            resets.append(nvml.NVML_GPU_RECOVERY_ACTION_GPU_RESET)
            return None

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
        "ecc_volatile": _number(ask("TotalEccErrors", _UNCORRECTED, _VOLATILE), _LARGE),
        "ecc_aggregate": _number(ask("TotalEccErrors", _UNCORRECTED, _AGGREGATE), _LARGE),
        "recovery_action": resets[0] if resets else _recovery_action(nvml, ask),
        "position": index,
    }


def _recovery_action(nvml: Any, ask: Callable[..., Any]) -> int | None:
    """What the driver asks for; drivers before 565 do not say."""
    field = getattr(nvml, "NVML_FI_DEV_GET_GPU_RECOVERY_ACTION", None)
    found = None if field is None else ask("FieldValues", [field])
    return None if not found or found[0].nvmlReturn != 0 else _number(found[0].value.uiVal)


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
    """One question; None for "not supported" and every other refusal of this one figure.

    A card that is lost, or of no use before a reset, is another matter: that is raised.
    """
    if function is None:
        return None
    try:
        return function(*arguments)
    except (nvml.NVMLError_GpuIsLost, nvml.NVMLError_ResetRequired):
        raise
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
