"""Graphics cards, asked in child processes so that a hung driver cannot hang a pass.

No card is a fact and no error: without a driver's files nothing is started or imported. The children are
`llamaagent.collect.nvml` (NVIDIA, by NVML) and `llamaagent.collect.drm` (AMD and Intel, from sysfs).
"""

from __future__ import annotations

import os
import sys

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.base.paths import HostPaths
    from llamaagent.domain.sample import GpuSample
    from llamaagent.domain.xid import CardNews

READER = (sys.executable, "-P", "-m", "llamaagent.collect.nvml")
DRM_READER = (sys.executable, "-P", "-m", "llamaagent.collect.drm")


class GpuReading(NamedTuple):
    """available: there is a driver of cards. error: why the state of the cards is unknown, else None.

    Available with an error is not the same as free: nothing is placed then. missing: cards that do not answer while
    the others do. news: what became known of the cards' health.
    """

    available: bool
    cards: tuple[GpuSample, ...] = ()
    error: str | None = None
    missing: tuple[str, ...] = ()
    news: CardNews | None = None


def has_nvidia(paths: HostPaths, dev: str | None = None) -> bool:
    """Whether the NVIDIA kernel driver is loaded on this host. dev: another folder than that of the paths."""
    return os.path.exists(f"{dev or paths.dev}/nvidiactl") or os.path.exists(f"{paths.proc}/driver/nvidia")


def has_others(paths: HostPaths) -> bool:
    """Whether a card of AMD or Intel is there."""
    if not os.path.isdir(f"{paths.sys}/class/drm"):
        return False
    from llamaagent.collect.drmcards import find_cards

    return any(card.discrete for card in find_cards(paths))


def collect_gpus(
    paths: HostPaths, timeout_s: float, *, dev: str | None = None, command: Sequence[str] = READER
) -> GpuReading:
    """Measure every card, giving up after timeout_s seconds. command: what reads NVIDIA's. Raises nothing."""
    readers: list[tuple[str, Sequence[str]]] = []
    if has_nvidia(paths, dev):
        readers.append(("NVML", command))
    if has_others(paths):
        readers.append(("sysfs", (*DRM_READER, paths.sys, paths.proc)))
    if not readers:
        return GpuReading(available=False)
    from llamaagent.collect.gpuchild import begin_gpus, finish_gpus
    from llamaagent.collect.gpureading import joined

    begun = [begin_gpus(what, words) for what, words in readers]
    return joined([one if isinstance(one, GpuReading) else finish_gpus(one, timeout_s) for one in begun])
