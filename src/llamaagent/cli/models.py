"""`models scan`, `list`, `show`, `favorite`, `prune`: the GGUF files of this machine."""

from __future__ import annotations

import json
import os
import sys

from llamaagent.base.errors import BAD_INPUT, FINE, NOT_FINE, UsageError
from llamaagent.cli.actor import actor
from llamaagent.cli.output import cell, clean, emit, emit_object, say
from llamaagent.cli.rows import moment
from llamaagent.cli.run import refuse_broken_settings
from llamaagent.cli.site import claim, database, load, reading
from llamaagent.store.audit import AuditStore
from llamaagent.store.models import ModelStore, list_files, one_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.gguf.find import Found
    from llamaagent.gguf.scan import Survey

    Row = dict[str, object]

_SHOWN = (
    "model",
    "architecture",
    "parameters",
    "quantization",
    "context_length",
    "size",
    "favorite",
    "used",
    "state",
)
_BATCH = 64
_LONGEST_SHOWN = 100


def scan(values: Values) -> int:
    """Find, read what changed, store; 1 when a directory could not be looked at."""
    from llamaagent.gguf.scan import survey

    opened = load(values, need_settings=False)
    refuse_broken_settings(opened)
    roots = _directories(values, opened)
    with database(opened, write=True) as db:
        if opened.site_path:
            claim(db, opened)
        store, now = ModelStore(db), opened.clock.now()
        found = survey(roots, store.known(), again=values.flag("again"))
        for trouble in found.troubles:
            say(clean(f"{trouble.path}: {trouble.reason}"))
        damaged = _read(store, found.fresh, now, progress=sys.stderr.isatty() and not values.flag("quiet"))
        store.seen((file.id for file in found.same), (file.id for file in found.gone), now)
    for file in found.same:
        if file.error is not None:
            say(clean(f"{file.path}: {file.error}"))
            damaged += 1
    if not values.flag("quiet"):
        say(_summary(found, damaged))
    return NOT_FINE if any(trouble.path in roots for trouble in found.troubles) else FINE


def _directories(values: Values, opened: Opened) -> tuple[str, ...]:
    given = values.many("directory") or opened.site.settings.model_directories
    if not given:
        raise UsageError(
            "no directory is named", hint="llamaagent models scan DIR, or set models.directories"
        )
    return tuple(dict.fromkeys(os.path.abspath(os.path.expanduser(path)) for path in given))


def _read(store: ModelStore, fresh: Iterable[Found], now: int, *, progress: bool) -> int:
    """Read headers and store them, a batch at a time, so that little is lost to Ctrl-C. Gives the number damaged."""
    from llamaagent.gguf.facts import read_model

    todo, damaged = list(fresh), 0
    for start in range(0, len(todo), _BATCH):
        files = []
        for number, found in enumerate(todo[start : start + _BATCH], start + 1):
            if progress:
                name = clean(os.path.basename(found.paths[0]))[:50]
                print(f"\r\033[Kreading {number}/{len(todo)} {name}", end="", file=sys.stderr, flush=True)
            files.append(read_model(found))
        if progress:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        store.add(files, now)
        for file in files:
            if file.error is not None:
                say(clean(f"{file.path}: {file.error}"))
                damaged += 1
    return damaged


def _summary(found: Survey, damaged: int) -> str:
    count = len(found.fresh) + len(found.same)
    text = f"{count} model{'' if count == 1 else 's'}: {len(found.fresh)} read, {len(found.same)} unchanged"
    return f"{text}, {damaged} damaged, {len(found.gone)} gone"


def show_all(values: Values) -> int:
    """A line for each model."""
    with reading(load(values, need_settings=False)) as db:
        table = list_files(db)
    rows = [_for_people(row) for row in table.rows]
    emit(values, rows, table.columns, shown=_SHOWN, empty="no models (llamaagent models scan DIR finds them)")
    return FINE


def _for_people(row: Row) -> Row:
    """With the columns that the table shows beside those for programs."""
    size, count = row["size_bytes"], row["parameter_count"]
    state = "damaged" if row["error"] else "missing" if row["missing_ts"] else "ok"
    made = {**row, "model": row["filename"], "used": moment(row["last_used_ts"]), "state": state}
    made["favorite"] = bool(row["favorite"])
    made["profiles"] = json.loads(str(row["profiles"]))
    made["size"] = size_for_people(size) if isinstance(size, int) else None
    made["parameters"] = _short(count) if isinstance(count, int) else row["size_label"]
    return made


def size_for_people(size_bytes: int) -> str:
    """As a person reads it, exact to three digits: `4.68 GiB`, `203 KiB`."""
    for power, unit in ((30, "GiB"), (20, "MiB")):
        if size_bytes >= 1 << power:
            return (
                f"{size_bytes / (1 << power):.3g} {unit}"
                if size_bytes < 1000 << power
                else f"{size_bytes >> power} {unit}"
            )
    return f"{-(-size_bytes // 1024)} KiB"


def _short(count: int) -> str:
    """A number of parameters as a person says it: `8.2B`."""
    for unit, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= unit:
            return f"{count / unit:.1f}{letter}"
    return str(count)


def show(values: Values) -> int:
    """Everything about one; 65 when its header cannot be read."""
    name = str(values.text("model"))
    with reading(load(values, need_settings=False)) as db:
        rows = _matches(name, list_files(db).rows)
        row = dict(one_file(db, int(str(_one(name, rows)["id"]))).rows[0]) if rows else _unscanned(name)
    metadata = json.loads(str(row["metadata_json"])) if row["metadata_json"] else None
    row |= {"profiles": json.loads(str(row["profiles"])), "favorite": bool(row["favorite"])}
    del row["metadata_json"]
    if values.flag("json"):
        emit_object({**row, "metadata": metadata})
    else:
        _text(row, metadata or {})
    return BAD_INPUT if row["error"] else FINE


def _unscanned(name: str) -> Row:
    from llamaagent.gguf.facts import read_model
    from llamaagent.gguf.find import look_at

    path = os.path.abspath(os.path.expanduser(name))
    try:
        found = look_at(path)
    except (OSError, ValueError):
        raise UsageError(f"no model is named {name}", hint="llamaagent models list") from None
    unknown = dict.fromkeys(("id", "first_seen_ts", "last_seen_ts", "last_used_ts", "missing_ts"))
    return {**unknown, **read_model(found)._asdict(), "favorite": 0, "profiles": "[]"}


def _text(row: Row, metadata: Row) -> None:
    for key, value in row.items():
        shown = moment(value) if key.endswith("_ts") else value
        if key == "chat_template" and isinstance(value, str):
            shown = f"{len(value)} characters"
        print(f"{key + ':':<18}{cell(shown)}")
    for key, value in metadata.items():
        text = f"{value['count']} x {value['type']}" if isinstance(value, dict) else cell(value)
        cut = text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
        print(f"  {clean(key)} = {cut}")


def _matches(name: str, rows: Iterable[Row]) -> list[Row]:
    """The rows that a name means: a path, else a file's name, else the model's own name or a profile's."""
    path = os.path.abspath(os.path.expanduser(name))
    exact, named, known = [], [], []
    for row in rows:
        filename = str(row["filename"])
        if row["path"] == path:
            exact.append(row)
        elif name in {filename, filename.removesuffix(".gguf")}:
            named.append(row)
        elif name == row["name"] or name in json.loads(str(row["profiles"])):
            known.append(row)
    return exact or named or known


def _one(name: str, rows: list[Row]) -> Row:
    """The one row. Raises UsageError."""
    if not rows:
        raise UsageError(f"no model is named {name}", hint="llamaagent models list")
    if len(rows) > 1:
        raise UsageError(f"{name} means {', '.join(str(row['path']) for row in rows)}; give the path of one")
    return rows[0]


def favorite(values: Values) -> int:
    """Set or clear the mark."""
    name, wanted = str(values.text("model")), not values.flag("remove")
    opened = load(values, need_settings=False)
    with database(opened, write=True, create=False) as db:
        row = _one(name, _matches(name, list_files(db).rows))
        with db:
            changed = ModelStore(db).favor(int(str(row["id"])), wanted)
            if changed:
                details = {"favorite": wanted}
                AuditStore(db).note(
                    actor(), "models favorite", ("model", str(row["path"])), opened.clock.now(), details
                )
    word = "favorite" if wanted else "no_favorite"
    print(f"{clean(str(row['path']))}: {word if changed else f'already_{word}'}")
    return FINE


def prune(values: Values) -> int:
    """Forget what is gone; say what may be unmounted only."""
    from llamaagent.gguf.find import presence

    opened = load(values, need_settings=False)
    with database(opened, write=True, create=False) as db:
        store = ModelStore(db)
        where = {file: presence(file.path) for file in store.known().values()}
        gone = [
            file
            for file, state in where.items()
            if state == "gone" or (state == "away" and values.flag("yes"))
        ]
        with db:
            store.forget(file.id for file in gone)
            for file in gone:
                AuditStore(db).note(actor(), "models prune", ("model", file.path), opened.clock.now())
    for file in gone:
        print(clean(file.path))
    kept: dict[str, int] = {}
    for file, state in where.items():
        if state in {"away", "unsure"} and file not in gone:
            folder = os.path.dirname(file.path)
            kept[folder] = kept.get(folder, 0) + 1
    for folder, count in kept.items():
        say(
            clean(
                f"{folder} is missing, empty or unreadable; {count} of its models kept (--yes: unless unreadable)"
            )
        )
    if not values.flag("quiet"):
        say(f"{len(gone)} forgotten")
    return FINE
