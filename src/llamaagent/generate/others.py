"""Vectors and scores in the answers of the other endpoints. Pure."""

from __future__ import annotations

from typing import Any

from llamaagent.base.errors import ServiceUnavailableError


def vectors_from(found: Any, n: int) -> list[list[float]]:
    """The vector of each of n texts, in their order. Raises ServiceUnavailableError for anything else."""
    try:
        entries = {int(entry["index"]): entry["embedding"] for entry in found["data"]}
        return [[float(x) for x in entries[at]] for at in range(n)]
    except (KeyError, TypeError, ValueError) as error:
        raise ServiceUnavailableError(f"the server answered with something else than {n} vectors") from error


def scores_from(found: Any, n: int) -> list[float]:
    """The score of each of n documents, in their order. Raises ServiceUnavailableError for anything else."""
    try:
        scores = {int(entry["index"]): float(entry["relevance_score"]) for entry in found["results"]}
        return [scores[at] for at in range(n)]
    except (KeyError, TypeError, ValueError) as error:
        raise ServiceUnavailableError(f"the server answered with something else than {n} scores") from error
