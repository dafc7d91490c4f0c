"""Cards that failed, as problems that are told once: what runs there is left alone, so a person has to know."""

from __future__ import annotations

import json

from llamaagent.reconcile.problems import Problem
from llamaagent.store.cards import CardStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.store.cards import FailedCard
    from llamaagent.store.types import Connection


def of_cards(db: Connection) -> dict[str, Problem]:
    """A problem for each card that failed."""
    return {f"card:{card.uuid}": _problem(card) for card in CardStore(db).failed()}


def _problem(card: FailedCard) -> Problem:
    detail = f"{card.uuid} failed: {card.reason}"
    return Problem(
        sentence(card), f"card:{card.uuid}:{card.reason}", "crash", None, "failed", "gpu-missing", detail
    )


def sentence(card: FailedCard) -> str:
    """One line for people."""
    names = ", ".join(json.loads(card.profiles))
    number = "?" if card.number is None else card.number
    runs = f"; {names} still {'run' if ',' in names else 'runs'} there" if names else ""
    return f"gpu {number} ({card.name or card.uuid}) has failed: {card.reason}{runs}"
