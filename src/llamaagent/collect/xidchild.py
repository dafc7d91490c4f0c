"""The child that waits for NVML's events: a line of JSON for each Xid. Run by `xidevents.py`, never imported by it.

It ends with the program that started it, whose pid is its argument. What it waits in may never return; then it is
killed, or left alone.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WAIT_MS = 1000


def main() -> int:
    """Print {"listening": number of cards}, then {"uuid": ..., "xid": ...} as they come; {"error": ...} and end."""
    try:
        import pynvml
    except ImportError as error:
        return _say({"error": f"nvidia-ml-py is not installed: {error}"}, 1)
    try:
        pynvml.nvmlInit()
        events = pynvml.nvmlEventSetCreate()
        cards = _register(pynvml, events)
    except (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError) as error:
        return _say({"error": f"NVML: {error}"}, 1)
    if not cards:
        return _say({"error": "no card gives events"}, 1)
    _say({"listening": len(cards)})
    return _wait(pynvml, events, cards, int(sys.argv[1]))


def _register(nvml: Any, events: Any) -> dict[int, str]:
    """Ask for the events of every card; uuids by the address of the card's handle, which an event carries."""
    cards: dict[int, str] = {}
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            uuid = nvml.nvmlDeviceGetUUID(handle)
            nvml.nvmlDeviceRegisterEvents(handle, nvml.nvmlEventTypeXidCriticalError, events)
        except nvml.NVMLError:  # a lost card must not make the others silent
            continue
        cards[_address(handle)] = uuid.decode(errors="replace") if isinstance(uuid, bytes) else uuid
    return cards


def _wait(nvml: Any, events: Any, cards: dict[int, str], parent: int) -> int:
    while os.getppid() == parent:
        try:
            found = nvml.nvmlEventSetWait_v2(events, _WAIT_MS)
        except nvml.NVMLError_Timeout:
            continue
        except nvml.NVMLError:  # of a card that is lost, say; the others still speak
            select.select((), (), (), _WAIT_MS / 1000)
            continue
        if found.eventType == nvml.nvmlEventTypeXidCriticalError:
            _say({"uuid": cards.get(_address(found.device)), "xid": int(found.eventData)})
    return 0


def _address(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


def _say(what: dict[str, object], status: int = 0) -> int:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()
    return status


if __name__ == "__main__":
    sys.exit(main())
