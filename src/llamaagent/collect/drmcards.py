"""Which AMD and Intel cards there are, without a question to a driver that could hang.

Read are names, links and what the PCI core itself knows; of AMD also the size of the card's memory, a number that
the driver keeps. A graphics unit inside a processor is no card to place a model on: one of Intel's sits on bus 0, one
of AMD's has a carve-out smaller than any model's card.
"""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple
from llamaagent.collect.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.base.paths import HostPaths

AMD, INTEL = "0x1002", "0x8086"
_LEAST_BYTES = 2 << 30


class Found(NamedTuple):
    """One graphics unit. folder: its own; device: that of the PCI device; pci: as "0000:03:00.0"."""

    folder: str
    device: str
    vendor: str
    pci: str
    discrete: bool


def find_cards(paths: HostPaths) -> Iterator[Found]:
    """Every graphics unit of these makers."""
    root = f"{paths.sys}/class/drm"
    try:
        names = os.listdir(root)
    except OSError:
        return
    for name in sorted(names):
        if not name.startswith("card") or not name[4:].isdigit():
            continue  # card0-HDMI-A-1 is a plug
        device = f"{root}/{name}/device"
        vendor = (read_file(f"{device}/vendor") or b"").strip().decode("ascii", "replace")
        if vendor in {AMD, INTEL}:
            pci = os.path.basename(os.path.realpath(device))
            yield Found(f"{root}/{name}", device, vendor, pci, _discrete(device, vendor, pci))


def _discrete(device: str, vendor: str, pci: str) -> bool:
    if vendor == INTEL:
        return pci.split(":")[1:2] != ["00"]
    size = (read_file(f"{device}/mem_info_vram_total") or b"").strip()
    return size.isdigit() and int(size) >= _LEAST_BYTES
