"""Whether the machine has the memory and the cores that a launch claims, and the arithmetic of it. Pure."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.domain.plan import Arithmetic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Answer = tuple[str, str, tuple[Arithmetic, ...]] | None


class MachineMemory(NamedTuple):
    """Memory of the machine now. available_mib: what a new program could get, as the kernel says."""

    total_mib: int
    available_mib: int
    headroom_mib: int


class Claim(NamedTuple):
    """What a launch claims of the machine, or what comes back of it when one ends. 0: nothing."""

    memory_mib: int = 0
    cpu_milli: int = 0


class Machine(NamedTuple):
    """What may still be promised of the machine. None: nobody reckons with it."""

    memory_mib: int | None = None
    cpu_milli: int | None = None


NOTHING, UNRECKONED = Claim(), Machine()


def lacks(machine: Machine, claim: Claim) -> str | None:
    """The reason word for what the machine has too little of, memory first; None when it has enough."""
    if claim.memory_mib and machine.memory_mib is not None and claim.memory_mib > machine.memory_mib:
        return "memory"
    if claim.cpu_milli and machine.cpu_milli is not None and claim.cpu_milli > machine.cpu_milli:
        return "cpu"
    return None


def changed(machine: Machine, claims: Iterable[Claim], sign: int) -> Machine:
    """The machine after these were given (-1) or came back (+1)."""
    memory, cpus = machine
    for claim in claims:
        memory = None if memory is None else memory + sign * claim.memory_mib
        cpus = None if cpus is None else cpus + sign * claim.cpu_milli
    return Machine(memory, cpus)


def memory_refusal(
    declared_mib: int,
    measured_mib: int | None,
    machine: MachineMemory,
    claims: Iterable[tuple[str, int, int]],
) -> Answer:
    """(reason, detail, figures) when it does not fit, else None.

    The larger of declared and measured counts. claims: (profile, MiB claimed, MiB it has) of what lives.
    """
    unused = [(name, max(0, claimed - has)) for name, claimed, has in claims]
    promised = sum(mib for _, mib in unused)
    room = machine.available_mib - promised - machine.headroom_mib
    needed = max(declared_mib, measured_mib or 0)
    if needed <= room:
        return None
    figures = [Arithmetic("needed_mib", needed), Arithmetic("declared_mib", declared_mib)]
    if measured_mib is not None:
        figures.append(Arithmetic("measured_mib", measured_mib))
    figures += [
        Arithmetic("memory_available_mib", machine.available_mib),
        Arithmetic("memory_claimed_unused_mib", promised),
        Arithmetic("headroom_mib", machine.headroom_mib),
        Arithmetic("memory_room_mib", room),
        *_who("memory_claimed_by", unused, "MiB"),
    ]
    return "memory", f"needs {needed} MiB of memory; there is room for {max(0, room)} MiB", tuple(figures)


def cpu_refusal(needed_milli: int, total_milli: int, claims: Iterable[tuple[str, int]]) -> Answer:
    """(reason, detail, figures) when the cores are claimed already, else None. claims: (profile, milli cores)."""
    held = list(claims)
    claimed = sum(milli for _, milli in held)
    room = total_milli - claimed
    if needed_milli <= room:
        return None
    figures = (
        Arithmetic("needed_cpu_milli", needed_milli),
        Arithmetic("cpu_total_milli", total_milli),
        Arithmetic("cpu_claimed_milli", claimed),
        Arithmetic("cpu_room_milli", room),
        *_who("cpu_claimed_by", held, "milli"),
    )
    detail = (
        f"claims {needed_milli / 1000:g} cores; {max(0, room) / 1000:g} of {total_milli / 1000:g} are left"
    )
    return "cpu", detail, figures


def _who(name: str, held: Iterable[tuple[str, int]], unit: str) -> tuple[Arithmetic, ...]:
    text = "; ".join(f"{who} {amount} {unit}" for who, amount in held if amount)
    return (Arithmetic(name, text),) if text else ()
