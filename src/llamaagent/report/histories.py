"""Reads what lies behind a profile: its contents in git, its last words, its health, its memory as measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.report import rows
from llamaagent.report.differences import revisions
from llamaagent.report.model import History

if TYPE_CHECKING:
    from llamaagent.report.reading import Reader

_REVISIONS, _TAILS, _HEALTH, _OBSERVATIONS = 10, 5, 10, 8


def read_history(reader: Reader, row: rows.ProfileRow) -> History:
    """All of it for one profile."""
    name = {"profile": row.profile}
    found = reader.rows("read_revisions", rows.RevisionRow, {**name, "limit": _REVISIONS + 1})
    return History(
        revisions=revisions(found, _REVISIONS),
        tails=reader.rows("read_tails", rows.TailRow, {**name, "limit": _TAILS}),
        health=reader.rows("read_health", rows.HealthRow, {**name, "limit": _HEALTH}),
        observations=reader.rows(
            "read_observations", rows.ObservationRow, {"model_path": row.model_path, "limit": _OBSERVATIONS}
        ),
    )
