"""What a program wants to store of a model, checked: where it comes from, its facts, its options. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llamaagent.base.errors import BadInputError
from llamaagent.config.catalogue import load_catalogue
from llamaagent.neighbours import cells
from llamaagent.neighbours.carried import profile_name
from llamaagent.neighbours.dashboardoptions import SECRETS, by_name, is_column, options_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.config.argv import ArgValue
    from llamaagent.store.savedmodels import SavedModel

_PLACES = ("model_path", "model_url", "hf_repo", "docker_repo")
_FACTS = frozenset((*_PLACES, "id", "name", "type", "favorite", "file_size", "file_size_bytes", "status"))
_IDLE = frozenset({None, "idle", "stopped"})


class ModelChange(NamedTuple):
    """facts: fields of SavedModel; args: options to set; gone: options to remove."""

    facts: dict[str, Any]
    args: dict[str, ArgValue]
    gone: frozenset[str]


def read_change(values: Mapping[str, Any]) -> ModelChange:
    """Read what a program gives: facts by their columns, options by any name of theirs or as `parameters`.

    An option that is None is removed. Raises BadInputError naming what is wrong, and for a status that only a server
    can have, and for a secret.
    """
    given = {**(values.get("parameters") or {}), **{k: v for k, v in values.items() if k != "parameters"}}
    if values.get("status") not in _IDLE:
        raise BadInputError(
            f"status {values['status']!r} is what a server does, not what is stored",
            hint="llamaagent start NAME",
        )
    for key in SECRETS:
        if given.get(key) is not None:
            hint = f"secrets: {{{key.replace('_', '-')}: {{env: NAME}}}}"
            raise BadInputError(f"{key} is a secret: it is never stored", hint=hint)
    options = {key: value for key, value in given.items() if key not in _FACTS}
    wanted = {key: value for key, value in options.items() if value is not None}
    columns: dict[str, Any] = {key: value for key, value in wanted.items() if is_column(key)}
    columns["custom_params"] = {key: value for key, value in wanted.items() if not is_column(key)}
    known = options_of(columns, load_catalogue(), ignored=frozenset())
    if known.lost:
        column, reason = known.lost[0]
        raise BadInputError(f"{column}: {reason}")
    gone = frozenset(_long(key) for key, value in options.items() if value is None)
    return ModelChange(_facts(values), dict(known.args), gone)


def changed(model: SavedModel, change: ModelChange) -> SavedModel:
    """The row with its new facts. Raises BadInputError when it is then nowhere to be had."""
    facts = change.facts
    if any(place in facts for place in _PLACES):
        facts = {**dict.fromkeys(_PLACES), **facts}  # weights come from one place
    made = model._replace(**facts)
    if all(getattr(made, place) is None for place in _PLACES):
        raise BadInputError(f"{made.name}: say where the model is: one of {', '.join(_PLACES)}")
    return made


def _facts(values: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for column in ("type", *_PLACES):
        text = cells.text(values.get(column))
        if text is not None:
            facts[column] = text
    if sum(place in facts for place in _PLACES) > 1:
        raise BadInputError(f"a model comes from one place: say one of {', '.join(_PLACES)}")
    size = values.get("file_size_bytes", values.get("file_size"))
    if size is not None:
        facts["file_size_bytes"] = cells.count(size)
    if values.get("favorite") is not None:
        facts["favorite"] = int(bool(values["favorite"]))
    name = cells.text(values.get("name"))
    if name is not None:
        facts["name"] = profile_name(name.removesuffix(".gguf"))
    return facts


def _long(key: str) -> str:
    """The long name of an option, by any of its names."""
    found = load_catalogue().find("load-mode" if key in {"mmap", "mlock"} else by_name(key))
    if found is None:
        raise BadInputError(f"{key!r} is no option of llama-server")
    return found[0].name
