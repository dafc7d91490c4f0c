"""Who holds memory on AMD and Intel cards: from /proc/PID/fdinfo where we may read it, and from the compute driver.

Sources: the kernel's drm-usage-stats (drm-pdev, drm-client-id, drm-memory-vram, drm-resident-*), and
/sys/class/kfd/kfd (topology/nodes, proc/PID/vram_GPUID), which everybody may read.
"""

from __future__ import annotations

import os

from llamaagent.collect.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.base.paths import HostPaths

_OWN = ("drm-memory-vram", "drm-resident-vram", "drm-resident-local", "drm-total-vram", "drm-total-local")
_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20}


def list_holders(paths: HostPaths, cards: set[str]) -> dict[str, dict[int, int | None]]:
    """Bytes by card (PCI address) and pid. A process that has the card open and holds nothing there is none."""
    found: dict[str, dict[int, int | None]] = {}
    if not cards:
        return found
    for pci, pid, size in _from_kfd(paths):
        if size and pci in cards:
            found.setdefault(pci, {})[pid] = size
    for name in filter(str.isdigit, _names(paths.proc)):
        for pci, size in _from_fdinfo(f"{paths.proc}/{name}").items():
            if size and pci in cards:
                held = found.setdefault(pci, {})
                held[int(name)] = max(size, held.get(int(name)) or 0)
    return found


def _from_fdinfo(process: str) -> dict[str, int]:
    """Bytes by card. A client counts once, however many descriptors it has."""
    clients: dict[tuple[str, str], int] = {}
    for number in _names(f"{process}/fd"):
        try:
            target = os.readlink(f"{process}/fd/{number}")
        except OSError:
            continue
        if not target.startswith("/dev/dri/"):
            continue
        facts = _facts(f"{process}/fdinfo/{number}")
        pci = facts.get("drm-pdev")
        if pci is not None:
            key = pci, facts.get("drm-client-id", number)
            clients[key] = max(_held(facts), clients.get(key, 0))
    found: dict[str, int] = {}
    for (pci, _), size in clients.items():
        found[pci] = found.get(pci, 0) + size
    return found


def _facts(path: str) -> dict[str, str]:
    lines = (read_file(path) or b"").decode("utf-8", "replace").splitlines()
    return {
        name.strip(): value.strip() for name, colon, value in (line.partition(":") for line in lines) if colon
    }


def _held(facts: dict[str, str]) -> int:
    """Bytes of the card's own memory; a key that says the same as another counts once."""
    for prefix in _OWN:
        sizes = [_bytes(value) for name, value in facts.items() if name.rstrip("0123456789") == prefix]
        if sizes:
            return sum(sizes)
    return 0


def _bytes(text: str) -> int:
    number, _, unit = text.partition(" ")
    return int(number) * _UNITS.get(unit, 0) if number.isdigit() else 0


def kfd_nodes(paths: HostPaths) -> dict[str, int]:
    """The number of the compute node of each card, by PCI address: the order in which ROCm counts."""
    return {pci: number for number, pci, _ in _nodes(paths)}


def _nodes(paths: HostPaths) -> Iterator[tuple[int, str, str]]:
    root = f"{paths.sys}/class/kfd/kfd/topology/nodes"
    for name in sorted(filter(str.isdigit, _names(root)), key=int):
        gpu = (read_file(f"{root}/{name}/gpu_id") or b"").strip().decode("ascii", "replace")
        lines = (read_file(f"{root}/{name}/properties") or b"").decode("ascii", "replace").splitlines()
        facts = {
            key: int(value) for key, _, value in (line.partition(" ") for line in lines) if value.isdigit()
        }
        place = facts.get("location_id", 0)
        if gpu not in {"", "0"} and place:
            pci = f"{facts.get('domain', 0):04x}:{place >> 8 & 0xFF:02x}:{place >> 3 & 0x1F:02x}.{place & 7}"
            yield int(name), pci, gpu


def _from_kfd(paths: HostPaths) -> Iterator[tuple[str, int, int]]:
    root = f"{paths.sys}/class/kfd/kfd/proc"
    pids = list(filter(str.isdigit, _names(root)))
    if not pids:
        return
    for _, pci, gpu in _nodes(paths):
        for pid in pids:
            size = (read_file(f"{root}/{pid}/vram_{gpu}") or b"").strip()
            if size.isdigit():
                yield pci, int(pid), int(size)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
