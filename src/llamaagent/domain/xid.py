"""What NVIDIA's driver reports of a card (Xid), and when a card counts as failed. Pure.

Source: NVIDIA's Xid catalog (docs.nvidia.com/deploy/xid-errors). Those that its column "Resolution Bucket (Immediate
Action)" gives to RESET_GPU or RESTART_BM need a reset, and so do two with a workflow of their own whose text says that
a reset is needed to clear them: 48 and 74. Not among them are 63 (memory was remapped: IGNORE), 94 (contained:
RESTART_APP) and 144 to 150 (it depends on the subcode): Xid 154 follows those and says what the driver asks for.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

NEEDS_RESET = {
    46: "the GPU stopped processing",
    48: "uncorrectable memory error (double bit)",
    62: "its micro-controller halted",
    64: "memory could not be remapped",
    74: "NVLink error",
    79: "fallen off the bus",
    95: "uncontained memory error",
    109: "context switch timed out",
    110: "security fault",
    119: "its firmware (GSP) does not answer",
    120: "error of its firmware (GSP)",
    136: "NVLink training failed",
    140: "unrecovered memory error",
    143: "initialisation failed",
    155: "NVLink error found by the driver",
    156: "a resource was retired",
    158: "fatal timeout",
}
RECOVERY = 154
RELOAD = 0  # no Xid: the driver was loaded anew, which resets every card

# nvmlDeviceGpuRecoveryAction_t; what is not here needs no reset of this card.
ACTIONS = {
    1: "a reset of the GPU",
    2: "a reboot",
    4: "that it is drained and reset",
    6: "a reset of its bus",
    7: "a reboot",
}


class Xid(NamedTuple):
    """One report. ts: when, in seconds of the wall clock. pci: as the driver prints it, "" = of all cards."""

    xid: int
    ts: int
    pci: str = ""
    uuid: str | None = None
    pid: int | None = None
    message: str = ""
    source: str = "kernel-log"


class CardNews(NamedTuple):
    """What became known of the cards' health with a reading, to be stored with its samples.

    unseen: (uuid, why it counts as failed) of cards that are not in the reading. cursor: how far the kernel's log has
    been read, "BOOT SEQUENCE". source: kernel-log | events | not-available, how reports are learned of.
    """

    reports: tuple[Xid, ...] = ()
    unseen: tuple[tuple[str, str], ...] = ()
    cursor: str | None = None
    source: str = "not-available"


class Standing(NamedTuple):
    """What is remembered of a card. boot_id: of the boot in which it was remembered."""

    failed: str | None = None
    boot_id: str | None = None
    recovery_action: int | None = None


def judge(
    before: Standing | None,
    reports: Iterable[Xid],
    action: int | None,
    boot_id: str,
    *,
    history: bool = False,
) -> str | None:
    """Why the card counts as failed, None when it is well.

    reports: new ones of this card, oldest first. action: what the driver asks for now, None = it does not say.
    history: the reports are all of this boot, seen for the first time; a driver that asks for nothing now has the
    last word about them. A reboot clears everything, and so does a reset that is seen: a driver loaded anew, or one
    that does not ask any more for what it asked for.

    >>> judge(None, [Xid(79, 5)], None, "b")
    'Xid 79: fallen off the bus'
    >>> judge(Standing("Xid 79: fallen off the bus", "b", 2), [], 0, "b") is None
    True
    """
    same = before is not None and before.boot_id == boot_id
    failed = before.failed if before is not None and same else None
    asked = before.recovery_action if before is not None and same else None
    if asked in ACTIONS and action == 0:
        failed = None
    if not (history and action == 0):
        for report in reports:
            failed = _after(failed, report)
    if failed is None and action in ACTIONS:
        failed = f"the driver asks for {ACTIONS[action]}"
    return failed


def _after(failed: str | None, report: Xid) -> str | None:
    if report.xid == RELOAD:
        return None
    if report.xid == RECOVERY:
        asked = asked_for(report.message)
        if asked == 0:
            return None
        return failed or (f"Xid 154: the driver asks for {ACTIONS[asked]}" if asked in ACTIONS else None)
    if report.xid in NEEDS_RESET:
        return failed or f"Xid {report.xid}: {NEEDS_RESET[report.xid]}"
    return failed


def asked_for(message: str) -> int | None:
    """The number of the action in the words of an Xid 154, None when it is not there.

    >>> asked_for("GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)")
    2
    """
    word = message.rpartition(" to 0x")[2].partition(" ")[0]
    try:
        return int(word, 16)
    except ValueError:
        return None


def same_slot(pci: str, bus_id: str | None) -> bool:
    """Whether an address of the kernel's log ("0000:01:00") is that of a card ("00000000:01:00.0").

    >>> same_slot("0000:01:00", "00000000:01:00.0")
    True
    """
    return bus_id is not None and _slot(pci) == _slot(bus_id)


def _slot(address: str) -> tuple[int, ...] | None:
    parts = address.partition(".")[0].split(":")
    try:
        return tuple(int(part, 16) for part in parts[-3:])
    except ValueError:
        return None
