"""Times and rows as Python programs like them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    When = datetime | float | int  # a datetime without a zone is local time; numbers are Unix seconds


def seconds(when: When) -> int:
    """Unix seconds of a moment."""
    return int(when if isinstance(when, (int, float)) else when.timestamp())


def parsed(rows: Iterable[Mapping[str, Any]], *columns: str) -> list[dict[str, Any]]:
    """The rows, with these columns turned from JSON text into values."""
    made = [dict(row) for row in rows]
    for row in made:
        for column in columns:
            if isinstance(row.get(column), str):
                row[column] = json.loads(row[column])
    return made
