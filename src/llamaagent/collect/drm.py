"""The child that reads AMD and Intel cards from sysfs: prints one JSON object and ends. Run by `gpu.py`.

A driver that hangs can hang a read of a file as well, so it is a child like the one for NVML. Sources: the kernel's
documentation of amdgpu (mem_info_*, gpu_busy_percent, hwmon), i915 and xe (hwmon) and drm-usage-stats. Sizes MiB,
power mW, clocks MHz, temperature degrees Celsius; what is not there is null.
"""

from __future__ import annotations

import json
import os
import select
import sys

from llamaagent.base.paths import HostPaths
from llamaagent.collect.drmcards import AMD, Found, find_cards
from llamaagent.collect.drmholders import kfd_nodes, list_holders
from llamaagent.collect.files import read_file
from llamaagent.collect.turn import claim_turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_MIB = 1 << 20
_NAMES = ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids")
_METER_MS = 50  # between two readings of a counter of energy


def main() -> int:
    """Print the reading and return the exit status. Arguments: the roots of sysfs and procfs."""
    paths = HostPaths(sys=sys.argv[1], proc=sys.argv[2])
    sys.stdout.write(json.dumps(read_drm(paths)) + "\n")
    return 0


def read_drm(paths: HostPaths) -> dict[str, Any]:
    """Read every card: {"error": text|null, "cards": [...]} as `gpureading.parse_reading` takes it."""
    guard = claim_turn("drm")
    if guard is None:
        return {"error": "another reader of sysfs is still waiting for the driver", "cards": []}
    found = sorted(find_cards(paths), key=lambda card: card.pci)
    nodes = kfd_nodes(paths)
    holders = list_holders(paths, {card.pci for card in found if card.discrete})
    cards = []
    for index, card in enumerate(card for card in _runtime_order(found, nodes) if card.discrete):
        same = [one for one in _runtime_order(found, nodes) if one.vendor == card.vendor]
        read = _read_card(card, holders.get(card.pci, {}))
        cards.append(read | {"index": index, "position": same.index(card)})
    return {"error": None, "cards": cards}


def _runtime_order(found: list[Found], nodes: dict[str, int]) -> list[Found]:
    """As ROCm counts its cards: in the order of the kernel's compute nodes; the others by their place on the bus."""
    return sorted(found, key=lambda card: (card.vendor, nodes.get(card.pci, 1 << 30), card.pci))


def _read_card(card: Found, holders: dict[int, int | None]) -> dict[str, Any]:
    base, sensors = card.device, _sensors(card.device)
    amd = card.vendor == AMD
    total = _number(f"{base}/mem_info_vram_total") if amd else _intel_memory(card)
    used = _number(f"{base}/mem_info_vram_used") if amd else _sum(holders.values())
    serial = _text(f"{base}/unique_id") if amd else None
    return {
        "uuid": f"GPU-{serial.removeprefix('0x')}" if serial else f"PCI-{card.pci}",
        "name": _name(base, card.vendor),
        "vendor": "amd" if amd else "intel",
        "pci_bus_id": card.pci,
        "driver": os.path.basename(os.path.realpath(f"{base}/driver")),
        "utilization_percent": _number(f"{base}/gpu_busy_percent"),
        "memory_utilization_percent": _number(f"{base}/mem_busy_percent"),
        "memory_total_mib": _scaled(total, _MIB),
        "memory_used_mib": _scaled(used, _MIB),
        "memory_free_mib": None if total is None or used is None else max(0, total - used) // _MIB,
        "temperature_celsius": _scaled(_first(f"{s}/temp{n}_input" for s in sensors for n in (1, 2)), 1000),
        "power_mw": _power(sensors),
        "power_limit_mw": _scaled(_first(f"{s}/power1_{n}" for s in sensors for n in ("cap", "max")), 1000),
        "sm_clock_mhz": _clock(card, sensors, 1, "pp_dpm_sclk"),
        "memory_clock_mhz": _clock(card, sensors, 2, "pp_dpm_mclk"),
        "ecc_volatile": _uncorrected(base),
        "holders": sorted((pid, _scaled(size, _MIB)) for pid, size in holders.items()),
    }


def _sensors(base: str) -> list[str]:
    folder = f"{base}/hwmon"
    try:
        return [f"{folder}/{name}" for name in sorted(os.listdir(folder))]
    except OSError:
        return []


def _power(sensors: list[str]) -> int | None:
    """Milliwatts; of a card that has only a counter of energy, the mean over a moment."""
    direct = _first(f"{s}/power1_{word}" for s in sensors for word in ("average", "input"))
    if direct is not None or not sensors:
        return _scaled(direct, 1000)
    before = _first(f"{s}/energy1_input" for s in sensors)
    if before is None:
        return None
    select.select((), (), (), _METER_MS / 1000)
    after = _first(f"{s}/energy1_input" for s in sensors)
    return None if after is None or after < before else (after - before) // _METER_MS


def _clock(card: Found, sensors: list[str], number: int, table: str) -> int | None:
    hertz = _first(f"{s}/freq{number}_input" for s in sensors)
    if hertz is not None:
        return hertz // 1_000_000
    if card.vendor == AMD:
        for line in (_text(f"{card.device}/{table}") or "").splitlines():
            if line.endswith("*"):
                word = line.split(":")[-1].strip().lower().partition("mhz")[0]
                return int(word) if word.isdigit() else None
        return None
    if number == 1:
        return _first((f"{card.folder}/gt_act_freq_mhz", f"{card.device}/tile0/gt0/freq0/act_freq"))
    return None


def _intel_memory(card: Found) -> int | None:
    """Bytes: what the driver says, else the size of the window through which the processor sees them."""
    said = _first((f"{card.folder}/lmem_total_bytes", f"{card.device}/tile0/physical_vram_size_bytes"))
    if said is not None:
        return said
    lines = (_text(f"{card.device}/resource") or "").splitlines()
    try:
        start, end = (int(word, 16) for word in lines[2].split()[:2])
    except (IndexError, ValueError):
        return None
    return end - start + 1 if end > start else None


def _uncorrected(base: str) -> int | None:
    for line in (_text(f"{base}/ras/umc_err_count") or "").splitlines():
        name, _, value = line.partition(":")
        if name == "ue" and value.strip().isdigit():
            return int(value)
    return None


def _name(base: str, vendor: str) -> str:
    said = _text(f"{base}/product_name")
    if said:
        return said
    device = (_text(f"{base}/device") or "").removeprefix("0x")
    for path in _NAMES:
        found = _listed(path, vendor.removeprefix("0x"), device)
        if found:
            return found
    return f"{'AMD' if vendor == AMD else 'Intel'} {device or 'GPU'}"


def _listed(path: str, vendor: str, device: str) -> str | None:
    """The name of a device in the list of all PCI devices."""
    data = (read_file(path, 8 << 20) or b"").decode("utf-8", "replace")
    _, _, rest = data.partition(f"\n{vendor}  ")
    for line in rest.splitlines()[1:]:
        if line.startswith(f"\t{device}  "):
            return line.split("  ", 1)[1]
        if line and not line.startswith(("\t", "#")):
            return None
    return None


def _first(paths: Iterable[str]) -> int | None:
    return next((found for path in paths if (found := _number(path)) is not None), None)


def _number(path: str) -> int | None:
    text = _text(path)
    return int(text) if text is not None and text.isdigit() else None


def _text(path: str) -> str | None:
    data = read_file(path)
    return None if data is None else data.decode("utf-8", "replace").strip() or None


def _scaled(value: int | None, unit: int) -> int | None:
    return None if value is None else value // unit


def _sum(sizes: Iterable[int | None]) -> int | None:
    """What the processes hold together; only root sees all of them."""
    return sum(size or 0 for size in sizes) if os.geteuid() == 0 else None


if __name__ == "__main__":
    sys.exit(main())
