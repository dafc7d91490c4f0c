"""`db import FILE`, and `import FILE` for a database: another program's history and models, in one transaction."""

from __future__ import annotations

import json
from contextlib import contextmanager

from llamaagent.base.errors import BAD_INPUT, BadInputError, UsageError
from llamaagent.cli.output import clean, emit_object, print_table, say
from llamaagent.cli.site import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.neighbours.bringing import Totals
    from llamaagent.neighbours.tally import Tally
    from llamaagent.store.foreign import Foreign
    from llamaagent.store.imports import ImportStore
    from llamaagent.store.types import Connection

_LOCK_WAIT_S = 60.0


class _UndoneError(Exception):
    """Rolls the transaction back: it was only to be looked at."""


def run(values: Values) -> int:
    """Write at once, or with --dry-run only say what would be written."""
    return bring_in(values, write=not values.flag("dry_run"))


def bring_in(values: Values, *, write: bool) -> int:
    """Read the database that the command line names. With --strict and anything left out: 65, and nothing written."""
    from llamaagent.neighbours.databases import NAMES, recognise_tables
    from llamaagent.store.foreign import open_foreign
    from llamaagent.store.upgrade import APPLICATION_ID

    opened = load(values, need_settings=False)
    path = values.text("file") or ""
    with open_foreign(path) as source:
        if source.application_id == APPLICATION_ID:
            raise BadInputError(f"{path} is a database of llamaagent", hint=f"llamaagent --db {path} db info")
        kind = recognise_tables(source.tables, path)
        if not values.flag("quiet"):
            say(f"{path}: the database of {NAMES[kind]}")
        tally = _bring(values, opened, source, kind, write=write)
    if values.flag("json"):
        emit_object(_object(path, kind, tally, dry_run=not write))
    else:
        _print(tally)
    if _is_refused(values, tally):
        say("nothing was written: with --strict everything must be carried over")
        return BAD_INPUT
    if not values.flag("quiet") and not values.flag("json"):
        _say_next(values, tally, write=write)
    return 0


def _bring(values: Values, opened: Opened, source: Foreign, kind: str, *, write: bool) -> Tally:
    from llamaagent.cli.offering import offered_here
    from llamaagent.neighbours.bringing import Bringing, Keep
    from llamaagent.neighbours.databases import bring
    from llamaagent.neighbours.tally import Tally
    from llamaagent.store.imports import ImportStore

    tally, settings = Tally(), opened.site.settings
    keep = Keep(
        settings.retain_system_samples_s,
        settings.retain_instance_samples_s,
        settings.retain_generations_s,
        settings.retain_logs_s,
    )
    totals, catalogue = _totals(values), offered_here(opened)
    with _target(opened, write=write) as db:
        if write:
            _settle_own(db, opened)
        store = ImportStore(db, opened.clock.now())
        try:
            with db:
                bring(kind, Bringing(source, store, tally, catalogue, totals, keep))
                store.finish()
                _check(values, opened, db, tally)
                _settle(store, source.path, kind, tally, keep_it=write and not _is_refused(values, tally))
        except _UndoneError:
            pass
    return tally


def _settle_own(db: Connection, opened: Opened) -> None:
    """Roll up what the passes here measured: where old rows come into the roll-ups, none is made from samples again."""
    from llamaagent.retain.rollup import roll_up
    from llamaagent.store.rollups import RollupStore

    if RollupStore(db).next_sample(0) is not None:
        roll_up(db, opened.clock)


def _is_refused(values: Values, tally: Tally) -> bool:
    return values.flag("strict") and bool(tally.left())


def _settle(store: ImportStore, path: str, kind: str, tally: Tally, *, keep_it: bool) -> None:
    """Note in the audit log what came in. Raises _UndoneError when nothing is to stay."""
    if not keep_it:
        raise _UndoneError
    counts = {count.table: count.imported for count in tally.counts() if count.imported}
    if counts:
        details = json.dumps({"kind": kind, "imported": counts})
        store.put("insert_note", {"ts": store.now, "path": path, "details": details})


@contextmanager
def _target(opened: Opened, *, write: bool) -> Iterator[Connection]:
    """Where rows go: the site's database with its passes held off; to look only, a scratch one if there is none yet."""
    from llamaagent.cli.run import refuse_broken_settings
    from llamaagent.cli.site import claim, database, need_database, reading
    from llamaagent.store.info import stored_version
    from llamaagent.store.locks import Lock
    from llamaagent.store.upgrade import VERSION

    if write:
        refuse_broken_settings(opened)
        need_database(opened)
    elif stored_version(opened.database) != VERSION:
        import os
        import tempfile

        with tempfile.TemporaryDirectory(prefix="llamaagent-") as folder:
            scratch = opened._replace(database=os.path.join(folder, "scratch.db"))
            with reading(scratch) as db:
                yield db
        return
    with Lock(opened.database, "pass").take(opened.clock, _LOCK_WAIT_S), database(opened, write=True) as db:
        if write and opened.site_path:
            claim(db, opened)
        yield db


def _totals(values: Values) -> Totals:
    from llamaagent.base.units import UnitError, parse_mib
    from llamaagent.neighbours.bringing import Totals

    found: dict[str, int | None] = {}
    for name in ("memory", "disk", "swap"):
        given = values.text(name)
        try:
            found[f"{name}_mib"] = None if given is None else parse_mib(given)
        except UnitError as error:
            raise UsageError(f"--{name}: {error}") from error
    return Totals(**found)


def _check(values: Values, opened: Opened, db: Connection, tally: Tally) -> None:
    """Say which of the imported models would be refused as profiles, and why."""
    from llamaagent.cli.placing import check_texts
    from llamaagent.cli.profiles import exported_texts
    from llamaagent.neighbours.carried import Carried, Taken
    from llamaagent.store.applied import model_list

    names = [str(row["profile"]) for row in model_list(db).rows if row["origin"] == "import"]
    texts = exported_texts(opened, db, names, quiet=True)
    taken = Taken("database", tuple(Carried(name, 1, {}) for name in texts), ())
    for loss in check_texts(values, opened, texts, taken).losses:
        tally.note(f"{loss.key}: {loss.reason}")


def _object(path: str, kind: str, tally: Tally, *, dry_run: bool) -> dict[str, object]:
    return {
        "file": path,
        "kind": kind,
        "dry_run": dry_run,
        "tables": [{**count._asdict(), "to": list(count.to)} for count in tally.counts()],
        "not_carried": [left._asdict() for left in tally.left()],
        "notes": tally.notes,
    }


def _print(tally: Tally) -> None:
    rows = [
        (c.table, str(c.read), str(c.imported), str(c.present), str(c.left_out), ", ".join(c.to) or "-")
        for c in tally.counts()
    ]
    print_table(rows, ("table", "read", "imported", "here_already", "left_out", "to"))
    left = tally.left()
    if left:
        say(f"not carried over ({len(left)}):")
    for one in left:
        place = f"{one.table}.{one.key}" if one.key else one.table
        often = f" ({one.times} times)" if one.times > 1 else ""
        say(clean(f"  {place}: {one.reason}{often}"))
    for note in tally.notes:
        say(clean(f"note: {note}"))


def _say_next(values: Values, tally: Tally, *, write: bool) -> None:
    if not write:
        say(
            "nothing was written yet; --write does it"
            if not values.flag("dry_run")
            else "nothing was written"
        )
    elif any("models" in count.to and count.imported for count in tally.counts()):
        say(
            "the models are stored, none is started; llamaagent profiles export --all -o DIR writes their YAML"
        )
