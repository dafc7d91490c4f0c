"""Models that no profile declares and that a program stores; like imported ones, no pass starts or deletes them."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements
from llamaagent.store.applied import AppliedStore, rows_of
from llamaagent.store.columns import SECTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from apsw import Connection, SQLiteValue

    from llamaagent.config.argv import ArgValue

_SQL = statements("library")
_TABLES = statements("config_tables")


class SavedModel(NamedTuple):
    """A row of `models`. origin: profile | import."""

    id: int
    name: str
    origin: str
    type: str
    model_path: str | None
    model_url: str | None
    hf_repo: str | None
    docker_repo: str | None
    file_size_bytes: int | None
    favorite: int


class SavedModelStore:
    """Stored models of one open database. Methods that write expect the caller's transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def find(self, *, name: str | None = None, model_id: int | None = None) -> SavedModel | None:
        """The model with this name, or with this number."""
        row = self._db.execute(_SQL["select_saved"], {"name": name, "id": model_id}).fetchone()
        return None if row is None else SavedModel(*row)

    def args(self, model_id: int) -> dict[str, ArgValue]:
        """Its options, by llama-server's long names."""
        return dict(AppliedStore(self._db).args(model_id))

    def add(self, name: str, ts: int) -> SavedModel:
        """A new one of which nothing is known yet."""
        row = self._db.execute(_SQL["insert_saved"], {"name": name, "ts": ts}).fetchone()
        assert row is not None  # noqa: S101 - it returns what it wrote
        return SavedModel(*row)

    def write(self, model: SavedModel, args: Iterable[tuple[str, ArgValue]], ts: int) -> None:
        """Make the row, and its options, what they are here."""
        self._db.execute(_SQL["update_saved"], {**model._asdict(), "ts": ts})
        given: dict[str, SQLiteValue] = {"model_id": model.id, "ts": ts, "hf_token": None}
        given |= {"profile": None, "profile_hash": None}
        for name, columns in rows_of(args, SECTIONS).items():
            self._db.execute(_TABLES[f"write_{name}"], {**columns, **given})

    def delete(self, model_id: int) -> None:
        """Forget one with its options."""
        self._db.execute(_SQL["delete_saved"], {"id": model_id})
