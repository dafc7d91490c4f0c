"""A model of another program as it becomes one here: its name, where its weights come from, its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.neighbours import cells
from llamaagent.neighbours.carried import profile_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.neighbours.bringing import Bringing
    from llamaagent.neighbours.dashboardoptions import Options

    Row = Mapping[str, object]

# Where weights may come from, the strongest first; a profile names one.
_PLACES = ("model_path", "hf_repo", "model_url", "docker_repo")
_HOW = "its value was not read; put it into the environment and write 'secrets: {%s: {env: NAME}}'"


class Names:
    """Names that this import has given; a second one gets a number."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def give(self, wanted: str) -> str:
        """The nearest name that a profile may have and that is free."""
        stem = profile_name(wanted.removesuffix(".gguf"))
        name, number = stem, 1
        while name in self._given:
            number += 1
            name = f"{stem}-{number}"
        self._given.add(name)
        return name


def bring_model(bringing: Bringing, row: Row, options: Options, names: Names) -> int | None:
    """Put one model; its new id, or None when it was left out or is here already."""
    tally, wanted = bringing.tally, cells.text(row.get("name"))
    places = {place: text for place in _PLACES if (text := bringing.clean(row.get(place))) is not None}
    if wanted is None or not places:
        what = "it has no name" if wanted is None else f"{wanted}: it names no file, repository or address"
        tally.drop("models", what)
        return None
    name = names.give(wanted)
    kept, *others = places
    model = {**dict.fromkeys(_PLACES), kept: places[kept], **_facts(bringing, row), "name": name}
    model |= {column: cells.text(row.get(column)) for column in ("hf_file", "hf_file_v")}
    model_id = bringing.store.model(model, options.args, options.leftovers)
    tally.put("models", "models", new=model_id is not None)
    if model_id is None:
        tally.note(f"{name}: a model of that name is here already; it stays as it is")
        return None
    if name != wanted:
        tally.lose("models", name, f"it was called {wanted!r}, which no profile can be, or is taken")
    for place in others:
        tally.lose("models", f"{name}.{place}", f"a profile takes its weights from one place, here {kept}")
    for column, option in (("hf_token", "hf-token"), ("api_key", "api-key")):
        if cells.text(row.get(column)) is not None:
            tally.lose("models", f"{name}.{column}", _HOW % option)
    for column, reason in options.lost:
        tally.lose("models", f"{name}.{column}", bringing.clean(reason) or "")
    return model_id


def _facts(bringing: Bringing, row: Row) -> dict[str, str | int | float | bytes | None]:
    """What is neither name nor option; nothing imported is alive."""
    now = bringing.store.now
    created = cells.moment(row.get("created_at")) or now
    return {
        "type": cells.text(row.get("type")) or "llama",
        "created_at": min(created, now),
        "updated_at": min(cells.moment(row.get("updated_at")) or created, now),
        "file_size_bytes": cells.count(row.get("file_size_bytes") or row.get("file_size")),
        "fit_params_available": int(bool(cells.whole(row.get("fit_params_available")))),
        "last_fit_params_check": cells.moment(row.get("last_fit_params_check")),
        "favorite": int(bool(cells.whole(row.get("favorite")))),
    }
