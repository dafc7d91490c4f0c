"""The inventory of model files in the database."""

from __future__ import annotations

import json

from llamaagent.domain.modelfile import KnownFile
from llamaagent.sql import statements
from llamaagent.store.read import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from apsw import Connection

    from llamaagent.domain.modelfile import ModelFile
    from llamaagent.store.read import Table

_SQL = statements("models")


class ModelStore:
    """`model_files` of one open database."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def known(self) -> dict[str, KnownFile]:
        """Every model that a scan found once, by path."""
        return {row[1]: KnownFile(*row) for row in self._db.execute(_SQL["select_known"])}

    def add(self, files: Iterable[ModelFile], ts: int) -> None:
        """Store what was read; what was known of a path before is replaced, but for when it was first seen."""
        with self._db:
            for file in files:
                self._db.execute(_SQL["upsert_file"], {**file._asdict(), "ts": ts})

    def seen(self, present: Iterable[int], missing: Iterable[int], ts: int) -> None:
        """End a scan: which files are there unchanged, which are not, and which are in use."""
        with self._db:
            self._db.execute(_SQL["update_seen"], {"ids": json.dumps(list(present)), "ts": ts})
            self._db.execute(_SQL["update_missing"], {"ids": json.dumps(list(missing)), "ts": ts})
            self._db.execute(_SQL["update_used"], {"ts": ts})

    def forget(self, ids: Iterable[int]) -> None:
        """Drop rows."""
        with self._db:
            self._db.execute(_SQL["delete_files"], {"ids": json.dumps(list(ids))})

    def favor(self, file_id: int, favorite: bool) -> bool:
        """Set or clear the mark; False when it was so already."""
        changed = False
        with self._db:
            changed = bool(
                self._db.execute(
                    _SQL["update_favorite"], {"id": file_id, "favorite": int(favorite)}
                ).fetchall()
            )
        return changed  # noqa: RET504 - for mypy the block above may end an exception


def list_files(db: Connection) -> Table:
    """All models, favorites first, without the long columns."""
    return select(db, "list_files", area="models")


def one_file(db: Connection, file_id: int) -> Table:
    """Every column of one model."""
    return select(db, "select_file", {"id": file_id}, area="models")
