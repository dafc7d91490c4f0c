"""Storing, changing and forgetting models: what `store.models` does in one transaction each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llamaagent.base.errors import BadInputError
from llamaagent.library.modelchange import changed, read_change
from llamaagent.store.models import ModelStore
from llamaagent.store.savedmodels import SavedModelStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llamaagent.library.models import ModelsRepository
    from llamaagent.store.savedmodels import SavedModel
    from llamaagent.store.types import Connection


def save(models: ModelsRepository, given: Mapping[str, Any], now: int) -> Callable[[Connection], int]:
    """What stores a model whole (options that are not named are not set) and gives its number."""
    change, ident = read_change(given), given.get("id")
    row = None if ident is None else models.get(str(ident))
    if ident is not None and (row is None or row["model_id"] is None):
        raise BadInputError(f"no stored model has the id {ident!r}")
    if row is None and "name" not in change.facts:
        raise BadInputError("a model needs a name")

    def act(db: Connection) -> int:
        store = SavedModelStore(db)
        there = (
            store.find(name=change.facts.get("name")) if row is None else store.find(model_id=row["model_id"])
        )
        if there is not None and there.origin == "profile":
            raise BadInputError(f"{there.name} is a profile: what it says is changed in its YAML")
        model = changed(there or store.add(str(change.facts.get("name")), now), change)
        store.write(_free(store, model), change.args.items(), now)
        return model.id

    return act


def update(row: Mapping[str, Any], updates: Mapping[str, Any], now: int) -> Callable[[Connection], int]:
    """What changes some of a stored model and gives its number; 0 when it is gone by then."""
    change = read_change(updates)

    def act(db: Connection) -> int:
        store = SavedModelStore(db)
        there = store.find(model_id=row["model_id"])
        if there is None or there.origin == "profile":
            return 0
        args = {**store.args(there.id), **change.args}
        left = [(name, value) for name, value in args.items() if name not in change.gone]
        store.write(_free(store, changed(there, change)), left, now)
        return there.id

    return act


def needs_no_row(row: Mapping[str, Any], updates: Mapping[str, Any]) -> bool | None:
    """The favorite to set where nothing else may be changed: of a profile, of a file. Raises BadInputError."""
    change = read_change(updates)
    if change.args or change.gone or set(change.facts) - {"favorite"}:
        where = "its profile's YAML" if row["origin"] == "profile" else "its file"
        raise BadInputError(f"{row['name']}: what is known of it is in {where}; only favorite can be set")
    favorite = change.facts.get("favorite")
    return None if favorite is None else bool(favorite)


def delete(row: Mapping[str, Any]) -> Callable[[Connection], bool]:
    """What forgets a model, and its file."""
    if row["origin"] == "profile":
        hint = f"llamaagent rm {row['name']}"
        raise BadInputError(f"{row['name']} is a profile: take its file away", hint=hint)

    def act(db: Connection) -> bool:
        if row["model_id"] is not None:
            SavedModelStore(db).delete(int(row["model_id"]))
        if row["file_id"] is not None:
            ModelStore(db).forget([int(row["file_id"])])
        return True

    return act


def _free(store: SavedModelStore, model: SavedModel) -> SavedModel:
    """The same model. Raises BadInputError when another one has its name."""
    other = store.find(name=model.name)
    if other is not None and other.id != model.id:
        raise BadInputError(f"there is another model called {model.name}")
    return model
