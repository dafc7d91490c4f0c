"""Memory projections in the database."""

from __future__ import annotations

import json

from llamaagent.domain.projection import Known
from llamaagent.sql import statements
from llamaagent.store.read import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from apsw import Connection

    from llamaagent.domain.projection import Projection
    from llamaagent.store.read import Table

_SQL = statements("fits")


class FitStore:
    """`model_fit_params` of one open database."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def known(self, profile: str) -> Known | None:
        """The last projection of a profile."""
        row = self._db.execute(_SQL["select_fit"], {"profile": profile}).fetchone()
        return None if row is None else Known(*row)

    def keep(self, profile: str, projection: Projection, ts: int) -> None:
        """Replace the projection of a profile that has a row in `models`."""
        given = {**projection._asdict(), "profile": profile, "ts": ts}
        with self._db:
            self._db.execute(_SQL["write_fit"], given)
            told = {key: given[key] for key in ("file_size_bytes", "ok", "ts", "profile")}
            self._db.execute(_SQL["update_model"], told)


def list_fits(db: Connection, profiles: Iterable[str]) -> Table:
    """The last projections of these profiles, every column."""
    return select(db, "list_fits", {"profiles": json.dumps(sorted(profiles))}, area="fits")
