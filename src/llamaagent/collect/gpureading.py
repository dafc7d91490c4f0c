"""What a reader of cards printed, as records; and the readings of several readers as one. Pure."""

from __future__ import annotations

import json

from llamaagent.collect.gpu import GpuReading
from llamaagent.domain.sample import GpuHolder, GpuSample


def parse_reading(data: bytes, what: str = "NVML") -> GpuReading:
    """Turn what the child printed into records: {"error": text|null, "missing": [text], "cards": [{field: value}]}.

    Field names are those of GpuSample; anything of the wrong type becomes None. Text that is no such JSON
    gives a reading with an error.
    """
    try:
        found = json.loads(data)
        cards = tuple(_card(card) for card in found["cards"])
        error = found["error"]
        missing = tuple(str(text) for text in found.get("missing", ()))
    except (ValueError, KeyError, TypeError, AttributeError):
        return GpuReading(available=True, error=f"the {what} reader printed {data[:80]!r}")
    return GpuReading(
        available=True, cards=cards, error=error if isinstance(error, str) else None, missing=missing
    )


def _card(card: dict[str, object]) -> GpuSample:
    uuid, index, holders = card["uuid"], card["index"], card["holders"]
    if not isinstance(uuid, str) or not isinstance(index, int) or not isinstance(holders, list):
        raise TypeError(uuid)
    return GpuSample(
        uuid=uuid,
        index=index,
        name=_text(card, "name") or "unknown",
        pci_bus_id=_text(card, "pci_bus_id"),
        driver=_text(card, "driver"),
        utilization_percent=_number(card, "utilization_percent"),
        memory_utilization_percent=_number(card, "memory_utilization_percent"),
        memory_total_mib=_number(card, "memory_total_mib"),
        memory_used_mib=_number(card, "memory_used_mib"),
        memory_free_mib=_number(card, "memory_free_mib"),
        temperature_celsius=_number(card, "temperature_celsius"),
        power_mw=_number(card, "power_mw"),
        power_limit_mw=_number(card, "power_limit_mw"),
        sm_clock_mhz=_number(card, "sm_clock_mhz"),
        memory_clock_mhz=_number(card, "memory_clock_mhz"),
        throttle_reasons=_number(card, "throttle_reasons"),
        vendor=_text(card, "vendor") or "nvidia",
        ecc_volatile=_number(card, "ecc_volatile"),
        ecc_aggregate=_number(card, "ecc_aggregate"),
        recovery_action=_number(card, "recovery_action"),
        parent=_text(card, "parent"),
        withheld=_text(card, "withheld"),
        position=_number(card, "position"),
        holders=tuple(GpuHolder(uuid, int(pid), mib) for pid, mib in holders),
    )


def _number(card: dict[str, object], field: str) -> int | None:
    value = card.get(field)
    return value if isinstance(value, int) else None


def _text(card: dict[str, object], field: str) -> str | None:
    value = card.get(field)
    return value if isinstance(value, str) else None


def joined(readings: list[GpuReading]) -> GpuReading:
    """Several readings as one.

    A launch has one program, and that speaks to cards of one maker: the cards of the maker with the most memory are
    given out, those of others only to who names them. Their numbers follow, so that each stands for one card.
    """
    if len(readings) == 1 and len({card.vendor for card in readings[0].cards}) < 2:
        return readings[0]
    cards: list[GpuSample] = []
    for reading in readings:
        first = max((card.index for card in cards if card.parent is None), default=-1) + 1
        shifted = [card._replace(index=first + card.index) for card in reading.cards]
        cards += shifted if cards else reading.cards
    sizes: dict[str, int] = {}
    for card in cards:
        if card.parent is None:
            sizes[card.vendor] = sizes.get(card.vendor, 0) + (card.memory_total_mib or 0)
    main = max(sizes, key=lambda vendor: (sizes[vendor], vendor), default="")
    errors = [reading.error for reading in readings if reading.error is not None]
    return GpuReading(
        available=True,
        cards=tuple(
            card if card.vendor == main else card._replace(withheld=card.withheld or "other-maker")
            for card in cards
        ),
        error="; ".join(errors) or None,
        missing=tuple(text for reading in readings for text in reading.missing),
    )
