"""`store.models`: everything known of models, those of profiles, those found on disk, those a program stored."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llamaagent.library.when import parsed
from llamaagent.sql import statements
from llamaagent.store.models import ModelStore, list_files
from llamaagent.store.read import select

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llamaagent.base.clock import Clock
    from llamaagent.library.link import Link
    from llamaagent.store.types import Connection

_SQL = statements("library")
_NONE: tuple[dict[str, Any], ...] = ()


class ModelsRepository:
    """Rows of the view `v_models`. What a profile says is changed in its YAML; no pass starts what is stored here."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link, self._clock = link, clock

    def get_all(self) -> list[dict[str, Any]]:
        """Every model, by name."""
        return self._rows("list_models")

    def get_favorites(self) -> list[dict[str, Any]]:
        """Those marked as favorites, by name."""
        return self._rows("list_favorites")

    def get(self, name: str) -> dict[str, Any] | None:
        """The model with this name, id (`model_3`, `file_7`) or path; None when there is none."""
        rows = self.get_all()
        for column in ("id", "name", "path", "filename"):
            for row in rows:
                if row[column] == name:
                    return row
        return None

    get_by_id = get

    def save(self, model: Mapping[str, Any]) -> dict[str, Any] | None:
        """Store a model, or put it in the place of the one with its id or name; the row as it is then.

        model: `name`, one of `model_path`, `model_url`, `hf_repo`, `docker_repo`, and, if wanted, `type`, `file_size`,
        `favorite`, and options of llama-server by any of their names or as `parameters`. None when it could not be
        stored. Raises BadInputError for what cannot be stored, and for the name of a profile.
        """
        from llamaagent.library.modelsaving import save

        return self._written(save(self, model, self._clock.now()))

    def update(self, name: str, updates: Mapping[str, Any]) -> dict[str, Any] | None:
        """Change some of a model; the row as it is then, None when there is none or it could not be stored.

        An option that is None is removed. Raises BadInputError as `save`; of a profile and of a file that was found
        only `favorite` can be changed.
        """
        from llamaagent.library.modelsaving import needs_no_row, update

        row = self.get(name)
        if row is None:
            return None
        if row["origin"] == "import":
            return self._written(update(row, updates, self._clock.now()))
        favorite = needs_no_row(row, updates)
        if favorite is not None:
            self.set_favorite(row["id"], favorite)
        return self.get(row["id"])

    def delete(self, name: str) -> bool:
        """Forget a stored or imported model, or a file that was found; True when there was one.

        A file that is still on disk is found again by the next scan. Raises BadInputError for a profile.
        """
        from llamaagent.library.modelsaving import delete

        row = self.get(name)
        return row is not None and self._link.write(delete(row), False)

    def _written(self, act: Callable[[Connection], int]) -> dict[str, Any] | None:
        number = self._link.write(act, 0)
        return self.get(f"model_{number}") if number else None

    def set_favorite(self, name: str, favorite: bool = True) -> bool:
        """Set or clear the mark; True when that changed anything."""
        row = self.get(name)
        if row is None:
            return False

        def act(db: Connection) -> bool:
            changed = False
            if row["file_id"] is not None:
                changed = ModelStore(db).favor(row["file_id"], favorite)
            if row["model_id"] is not None and (row["file_id"] is None or not favorite):
                given = {"id": row["model_id"], "favorite": int(favorite)}
                changed = bool(db.execute(_SQL["update_favorite"], given).fetchall()) or changed
            return changed

        return self._link.write(act, False)

    def cleanup_missing_files(self) -> int:
        """Forget files that are gone; how many. One whose folder is gone too may be on a disk that is not mounted."""
        rows = self._link.read(lambda db: list_files(db).rows, _NONE)
        gone = [int(str(row["id"])) for row in rows if _is_gone(str(row["path"]))]
        if gone:
            return self._link.write(lambda db: _forget(db, gone), 0)
        return 0

    def _rows(self, name: str) -> list[dict[str, Any]]:
        rows = self._link.read(lambda db: select(db, name, area="library").rows, _NONE)
        return parsed(rows, "parameters", "params", "metadata_json")


def _forget(db: Connection, ids: list[int]) -> int:
    ModelStore(db).forget(ids)
    return len(ids)


def _is_gone(path: str) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return os.path.isdir(os.path.dirname(path))
    except OSError:
        return False
    return False
