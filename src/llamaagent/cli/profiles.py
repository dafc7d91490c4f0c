"""`profiles list`, `show` and `export`: the configuration that was last applied, out of the database."""

from __future__ import annotations

import json
import os

from llamaagent.base.errors import CannotCreateError, UsageError
from llamaagent.cli.output import chosen_format, emit, say
from llamaagent.cli.profiletext import document_text, inline
from llamaagent.cli.site import load, matching, one_name, reading
from llamaagent.store.applied import AppliedStore, model_list
from llamaagent.store.columns import SECTIONS, SERVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.store.applied import Source, Stored
    from llamaagent.store.types import Connection

_SHOWN = ("section", "option", "value")
_COLUMNS = ("section", "column", "option", "value")


def listing(values: Values) -> int:
    """One row a profile or imported model; reads no config table."""
    opened = load(values, need_settings=False)
    with reading(opened) as db:
        table = model_list(db)
    rows = [row for row in table.rows if _asked(values, str(row["profile"]))]
    shown = ("profile", "origin", "status", "model", "ctx_size")
    emit(values, rows, table.columns, shown=shown, empty="no profile was applied yet (llamaagent run --once)")
    return 0


def _asked(values: Values, name: str) -> bool:
    from fnmatch import fnmatchcase

    patterns = values.many("name")
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def show(values: Values) -> int:
    """Every option that is set, with the column that holds it; one table is read when one section is asked for."""
    opened = load(values, need_settings=False)
    asked = values.text("section")
    with reading(opened) as db:
        names = {str(row["profile"]) for row in model_list(db).rows}
        name = one_name(values.text("name") or "", names)
        applied = AppliedStore(db)
        source = applied.source(name)
        rows = list(_model_rows(source)) if source is not None and asked is None else []
        for section in (*SECTIONS, SERVER):
            if section.name == asked or (asked is None and section is not SERVER):
                rows += map(_row, applied.section(section, None if source is None else source.model_id))
    if not chosen_format(values).startswith("json"):
        rows = [{**row, "value": inline(row["value"])} for row in rows]
    emit(values, rows, _COLUMNS, shown=_SHOWN, empty="nothing is set here")
    return 0


def _model_rows(source: Source) -> Iterator[dict[str, object]]:
    places = (
        ("model_path", "model", source.path),
        ("model_url", "model-url", source.url),
        ("hf_repo", "hf-repo", source.hf),
        ("docker_repo", "docker-repo", source.docker),
        ("hf_token", "hf-token", source.hf_token),
    )
    for column, option, value in places:
        if value is not None:
            yield {"section": "model", "column": column, "option": option, "value": value}


def _row(stored: Stored) -> dict[str, object]:
    value = list(stored.value) if isinstance(stored.value, tuple) else stored.value
    return {**stored._asdict(), "value": value}


def export(values: Values) -> int:
    """Print profiles as YAML, or write one file for each; nothing is written when one of them is there already."""
    patterns = ("*",) if values.flag("all") else values.many("name")
    if not patterns:
        raise UsageError("no profile is named", hint="llamaagent profiles export --all")
    opened = load(values, need_settings=False)
    with reading(opened) as db:
        names = {str(row["profile"]) for row in model_list(db).rows}
        chosen = sorted(matching(patterns, names)) if names or not values.flag("all") else []
        texts = exported_texts(opened, db, chosen)
    folder = values.text("out")
    if folder is None:
        print("---\n".join(texts.values()), end="")
    else:
        _write_all(folder, texts)
    if not texts and not values.flag("quiet"):
        say("no profile was applied yet (llamaagent run --once)")
    return 0


def exported_texts(
    opened: Opened, db: Connection, names: Iterable[str], *, quiet: bool = False
) -> dict[str, str]:
    """Name -> the YAML of its profile. quiet: say nothing about what no profile can hold."""
    applied = AppliedStore(db)
    documents = applied.documents()
    defaults = json.loads(opened.site.settings.defaults)
    return {
        name: document_text(_against(_document(applied, name, documents, quiet=quiet), defaults))
        for name in names
    }


def _document(
    applied: AppliedStore, name: str, documents: dict[str, str], *, quiet: bool = False
) -> dict[str, Any]:
    """The complete document that was declared; for an imported model what its tables say, not to be started yet."""
    if name in documents:
        found: dict[str, Any] = json.loads(documents[name])
        return found
    source = applied.source(name)
    if source is None:
        return {"name": name}
    from llamaagent.config.document import filled

    places = {"path": source.path, "url": source.url, "hf": source.hf, "docker": source.docker}
    leftovers = {} if quiet else applied.leftovers(source.model_id)
    for column, value in leftovers.items():
        say(f"{name}: {column} {value} was not carried over: no profile can say it")
    args = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in applied.args(source.model_id)
    }
    made: dict[str, Any] = {"name": name, "state": "stopped", "args": args}
    made["model"] = {key: value for key, value in places.items() if value is not None}
    if source.hf_token is not None:
        kind, _, place = source.hf_token.partition(":")
        made["secrets"] = {"hf-token": {kind: place}}
    return filled(made)


def _against(whole: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The short form that means `whole` again where it is laid over the site's `defaults`."""
    from llamaagent.config.document import without_defaults

    short = _said(without_defaults(whole), whole, defaults)
    first = [key for key in ("name", "state", "model") if key in short]
    return {key: short[key] for key in (*first, *sorted(short.keys() - set(first)))}


def _said(short: dict[str, Any], whole: dict[str, Any], under: dict[str, Any]) -> dict[str, Any]:
    """Add what `under` would otherwise change; null removes what only `under` has."""
    out = dict(short)
    for key, value in under.items():
        mine = whole.get(key)
        if isinstance(value, dict) and isinstance(mine, dict):
            inner = _said(out.get(key, {}), mine, value)
            if inner:
                out[key] = inner
        elif mine != value:
            out[key] = mine
    return out


def _write_all(folder: str, texts: dict[str, str]) -> None:
    from llamaagent.cli.new import write_new

    targets = {os.path.join(folder, f"{name}.yaml"): text for name, text in texts.items()}
    _refuse_present(targets)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise CannotCreateError(f"cannot make folder {folder}: {error.strerror}") from error
    for target, text in targets.items():
        write_new(target, text)
        print(target)


def _refuse_present(targets: Iterable[str]) -> None:
    for target in targets:
        if os.path.lexists(target):
            raise CannotCreateError(f"{target} is already there", hint="choose an empty folder with -o")
