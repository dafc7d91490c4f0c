"""The variables by which a server is shown its cards, each maker's in the form that its runtime takes.

Sources: CUDA programming guide (CUDA_VISIBLE_DEVICES takes uuids, MIG-... too); ROCm environment variables
(ROCR_VISIBLE_DEVICES takes indexes and uuids, HIP_VISIBLE_DEVICES indexes into what the former leaves); Level Zero
specification (ZE_AFFINITY_MASK takes indexes, in the order of the bus with ZE_ENABLE_PCI_ID_DEVICE_ORDER=1).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llamaagent.domain.sample import GpuSample


VARIABLES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")


def visible_variables(uuids: Sequence[str], cards: Sequence[GpuSample]) -> tuple[tuple[str, str], ...]:
    """Variables that show these cards of a host and no other. () = it shall see none of them.

    For makers that are not on the host nothing is said. Of each that is, the cards not given are hidden, except for
    Intel's, whose runtime has no word for none.
    """
    chosen = [card for uuid in uuids for card in cards if card.uuid == uuid]
    makers = {card.vendor for card in cards}
    made: dict[str, str] = {}
    if "nvidia" in makers:
        made["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        made["CUDA_VISIBLE_DEVICES"] = ",".join(c.uuid for c in chosen if c.vendor == "nvidia") or "-1"
    if "amd" in makers:
        made |= _rocm([card for card in chosen if card.vendor == "amd"])
    intel = [card for card in chosen if card.vendor == "intel"]
    if intel:
        made["ZE_ENABLE_PCI_ID_DEVICE_ORDER"] = "1"
        made["ZE_AFFINITY_MASK"] = ",".join(str(_position(card)) for card in intel)
    return tuple(sorted(made.items()))


def _rocm(chosen: list[GpuSample]) -> dict[str, str]:
    """By uuid where every card has one; HIP then counts what is left, from 0."""
    if not chosen:
        return {"HIP_VISIBLE_DEVICES": "-1"}
    if all(card.uuid.startswith("GPU-") for card in chosen):
        numbers = ",".join(str(number) for number in range(len(chosen)))
        return {"ROCR_VISIBLE_DEVICES": ",".join(c.uuid for c in chosen), "HIP_VISIBLE_DEVICES": numbers}
    return {"HIP_VISIBLE_DEVICES": ",".join(str(_position(card)) for card in chosen)}


def _position(card: GpuSample) -> int:
    return card.index if card.position is None else card.position


def shown_cards(environment: Mapping[str, str], cards: Sequence[GpuSample]) -> tuple[GpuSample, ...]:
    """The cards that a server with this environment was shown, as far as they are there."""
    cuda = _words(environment, "CUDA_VISIBLE_DEVICES")
    rocr, hip = _words(environment, "ROCR_VISIBLE_DEVICES"), _words(environment, "HIP_VISIBLE_DEVICES")
    mask = _words(environment, "ZE_AFFINITY_MASK")
    found = []
    for card in cards:
        place = str(_position(card))
        if (
            (card.vendor == "nvidia" and card.uuid in cuda)
            or (card.vendor == "amd" and (card.uuid in rocr or (not rocr and place in hip)))
            or (card.vendor == "intel" and place in mask)
        ):
            found.append(card)
    return tuple(found)


def _words(environment: Mapping[str, str], name: str) -> list[str]:
    return [word for word in environment.get(name, "").split(",") if word]
