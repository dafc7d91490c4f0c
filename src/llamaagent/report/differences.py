"""What differs between two contents of a profile, key by key. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llamaagent.report.figures import DASH
from llamaagent.report.model import Revision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.report.rows import RevisionRow

_MISSING = DASH
_LONGEST = 120


def revisions(rows: Sequence[RevisionRow], shown: int) -> tuple[Revision, ...]:
    """Each of the first `shown` rows with what it changed. rows: the newest first."""
    found = []
    for index, row in enumerate(rows[:shown]):
        before = rows[index + 1].document if index + 1 < len(rows) else None
        found.append(Revision(row, () if before is None else differ(before, row.document)))
    return tuple(found)


def differ(before: str, after: str) -> tuple[tuple[str, str, str], ...]:
    """(dotted key, before, after) of all that is not the same; both are JSON objects.

    >>> differ('{"args": {"c": 1, "t": 2}}', '{"args": {"c": 4, "t": 2}}')
    (('args.c', '1', '4'),)
    """
    old, new = _flat(before), _flat(after)
    keys = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    return tuple((key, old.get(key, _MISSING), new.get(key, _MISSING)) for key in keys)


def _flat(document: str) -> dict[str, str]:
    try:
        data = json.loads(document)
    except ValueError:
        return {}
    found: dict[str, str] = {}
    _spread(data, "", found)
    return found


def _spread(value: Any, key: str, found: dict[str, str]) -> None:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            _spread(inner, f"{key}.{name}" if key else str(name), found)
        return
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    found[key] = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
