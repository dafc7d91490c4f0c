"""Which cards may be given to a launch at all, before any arithmetic. Pure.

Nothing is given on a card that failed, on one that is split into MIG devices (its parts are cards of their own), and,
unless it is named, on one of another maker than the host's main cards. None of this ever leads to the CPU in silence.
"""

from __future__ import annotations

from llamaagent.domain.admission import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.domain.sample import GpuSample

Asked = str | int | tuple[str, ...]


def usable(
    asked: Asked, cards: Sequence[GpuSample], missing: Sequence[str] = ()
) -> tuple[GpuSample, ...] | Refusal:
    """The cards that admission may choose from, or why there are none for what is asked.

    asked: as in Need.gpus. missing: what is said of cards that do not answer.
    """
    if asked == "none":
        return tuple(cards)
    named = set(asked) if isinstance(asked, tuple) else set()
    for card in cards:
        if card.uuid in named or str(card.index) in named:
            trouble = _trouble(card)
            if trouble is not None:
                return Refusal("gpu-missing", trouble)
    left = tuple(card for card in cards if _trouble(card) is None and (named or card.withheld is None))
    lost = [trouble for card in cards if (trouble := _trouble(card)) is not None and card.withheld is None]
    lost += list(missing)
    short = isinstance(asked, int) and asked > len(left)
    if lost and (not left or asked == "all" or short):
        return Refusal("gpu-missing", f"wants gpus: {_words(asked)}, but {'; '.join(lost)}")
    return left


def _words(asked: Asked) -> str:
    return ", ".join(asked) if isinstance(asked, tuple) else str(asked)


def _trouble(card: GpuSample) -> str | None:
    """Why nothing is given on it, even to who names it."""
    if card.failed is not None:
        return f"card {card.index} ({card.uuid}) has failed: {card.failed}"
    if card.withheld == "mig-parent":
        return f"card {card.index} ({card.uuid}) is split into MIG devices: name one of those"
    return None


def refused_together(uuids: Sequence[str]) -> Refusal | None:
    """A program sees one MIG device only, so a launch cannot be spread over several, or over one and a card."""
    parts = [uuid for uuid in uuids if uuid.startswith("MIG-")]
    if not parts or len(uuids) == 1:
        return None
    return Refusal("gpu-memory", "no single MIG device has room for it, and a program can use one only")
