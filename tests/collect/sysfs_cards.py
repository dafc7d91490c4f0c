"""A /sys with AMD and Intel cards in it, as the kernel lays it out: folders, files and links."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

AMD = {
    "vendor": "0x1002", "device": "0x744c", "unique_id": "1a2b3c4d5e6f7081", "product_name": "Radeon PRO W7900",
    "mem_info_vram_total": 48 << 30, "mem_info_vram_used": 10 << 30, "gpu_busy_percent": 87, "mem_busy_percent": 12,
    "pp_dpm_sclk": "0: 500Mhz\n1: 2400Mhz *\n", "ras/umc_err_count": "ue: 2\nce: 5\n",
    "hwmon/hwmon3/temp1_input": 61000, "hwmon/hwmon3/power1_average": 211_000_000,
    "hwmon/hwmon3/power1_cap": 241_000_000, "hwmon/hwmon3/freq2_input": 1_124_000_000,
}  # fmt: skip
ARC = {
    "vendor": "0x8086", "device": "0x56a0", "hwmon/hwmon5/temp2_input": 48000,
    "hwmon/hwmon5/power1_max": 190_000_000, "tile0/gt0/freq0/act_freq": 2050,
    "resource": "0x1 0x2 0x3\n0x0 0x0 0x0\n0x0000004000000000 0x00000043ffffffff 0x14220c\n",
}  # fmt: skip


class SysfsCards:
    """Cards below `root`, numbered in the order in which they are added."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._count = 0

    def add(self, pci: str, driver: str, facts: dict[str, object], **more: object) -> Path:
        """A card at this place on the bus; None leaves a file out. Gives the folder of the PCI device."""
        device = self.root / "devices" / pci
        for name, value in (facts | more).items():
            if value is not None:
                self.put(device / name, value)
        drivers = self.root / "bus" / "pci" / "drivers" / driver
        drivers.mkdir(parents=True, exist_ok=True)
        os.symlink(drivers, device / "driver")
        folder = self.root / "class" / "drm" / f"card{self._count}"
        folder.mkdir(parents=True)
        os.symlink(device, folder / "device")
        (self.root / "class" / "drm" / f"card{self._count}-DP-1").mkdir()
        self._count += 1
        return device

    def node(self, number: int, gpu_id: int, location: int) -> None:
        """A compute node of the ROCm driver; location: bus << 8 | device << 3 | function."""
        folder = self.root / "class" / "kfd" / "kfd" / "topology" / "nodes" / str(number)
        self.put(folder / "gpu_id", gpu_id)
        self.put(folder / "properties", f"simd_count 192\nlocation_id {location}\ndomain 0\n")

    def compute(self, pid: int, gpu_id: int, size_bytes: int) -> None:
        """A process that computes there."""
        self.put(self.root / "class" / "kfd" / "kfd" / "proc" / str(pid) / f"vram_{gpu_id}", size_bytes)

    def put(self, path: Path, value: object) -> None:
        """Write a file as the kernel shows it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n", encoding="utf-8")


def client(
    proc: Path, pid: int, fd: int, pci: str, number: int, *lines: str, node: str = "renderD128"
) -> None:
    """A descriptor of a process on a card, as /proc shows it."""
    for folder in ("fd", "fdinfo"):
        (proc / str(pid) / folder).mkdir(parents=True, exist_ok=True)
    os.symlink(f"/dev/dri/{node}", proc / str(pid) / "fd" / str(fd))
    text = "\n".join(("pos:\t0", f"drm-pdev:\t{pci}", f"drm-client-id:\t{number}", *lines))
    (proc / str(pid) / "fdinfo" / str(fd)).write_text(f"{text}\n", encoding="utf-8")
