"""`db export`: tables and views to files that other programs read, whole or by time, as of one moment."""

from __future__ import annotations

import os

from llamaagent.base.errors import CannotCreateError, UsageError
from llamaagent.cli.history import since as moment_of
from llamaagent.cli.output import emit_object, say
from llamaagent.cli.site import database, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.cli.spec import Values
    from llamaagent.store.dump import Relation
    from llamaagent.store.types import Connection


_END = 1 << 62
_SQL_FILE = "llamaagent.sql"


def run(values: Values) -> int:
    """Write one file for each table; with `sql` and --all one for all of them."""
    opened = load(values, need_settings=False)
    now = opened.clock.now()
    kind, folder = values.text("format") or "csv", values.text("out") or ""
    if not folder:
        raise UsageError("where to? -o DIR")
    if values.flag("all") == bool(values.many("table")):
        raise UsageError("say --all, or --table NAME as often as needed")
    span = (moment_of(values, now), moment_of(values, now, "until") if values.text("until") else _END)
    if kind == "parquet":
        from llamaagent.cli.exportfiles import need_pyarrow

        need_pyarrow()
    with database(opened, write=False) as db, db:  # one snapshot for all
        chosen = _chosen(values, db, kind)
        _make_folder(folder)
        done = _sql(db, chosen, folder, span) if kind == "sql" else _each(db, chosen, folder, kind, span)
    if values.flag("json"):
        emit_object({"files": [{"path": path, "rows": rows} for path, rows in done]})
    else:
        for path, rows in done:
            print(f"{path}: {rows} row{'s' * (rows != 1)}")
    if span != (0, _END) and not values.flag("quiet"):
        whole = [one.name for one in chosen if one.time is None]
        if whole:
            say(f"without a time of their own, so whole: {', '.join(whole)}")
    return 0


def _chosen(values: Values, db: Connection, kind: str) -> tuple[Relation, ...]:
    from difflib import get_close_matches

    from llamaagent.store.dump import relations

    known = relations(db)
    if values.flag("all"):
        return tuple(one for one in known.values() if one.is_table)
    for name in values.many("table"):
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else "llamaagent db info"
            raise UsageError(f"no table or view is named {name}", hint=hint)
        if kind in {"sql", "parquet"} and not known[name].is_table:
            raise UsageError(f"{name} is a view: it has no rows and no types of its own; use csv or jsonl")
    return tuple(known[name] for name in dict.fromkeys(values.many("table")))


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise CannotCreateError(f"cannot make folder {folder}: {error.strerror}") from error


def _each(
    db: Connection, chosen: Sequence[Relation], folder: str, kind: str, span: tuple[int, int]
) -> list[tuple[str, int]]:
    from llamaagent.cli import exportfiles
    from llamaagent.store.dump import rows

    write = {
        "csv": exportfiles.write_csv,
        "jsonl": exportfiles.write_jsonl,
        "parquet": exportfiles.write_parquet,
    }[kind]
    done = []
    for relation in chosen:
        path = os.path.join(folder, f"{relation.name}.{kind}")
        with exportfiles.whole_file(path) as file:
            done.append((path, write(file, relation.columns, rows(db, relation, relation.columns, *span))))
    return done


def _sql(
    db: Connection, chosen: Sequence[Relation], folder: str, span: tuple[int, int]
) -> list[tuple[str, int]]:
    """One transaction whose references are looked at in the end.

    Tables come by name: so generations precede instances and these models, and no trigger counts anything twice.
    """
    from llamaagent.cli.exportfiles import whole_file, write_inserts
    from llamaagent.store.dump import insert_head, literal, rows
    from llamaagent.store.upgrade import VERSION

    name = _SQL_FILE if len(chosen) != 1 else f"{chosen[0].name}.sql"
    path, count = os.path.join(folder, name), 0
    with whole_file(path) as file:
        file.write(
            f"-- llamaagent rows, schema version {VERSION}: for a fresh file (llamaagent db init)\n".encode()
        )
        file.write(b"BEGIN;\nPRAGMA defer_foreign_keys = 1;\n")
        for relation in sorted(chosen, key=lambda one: one.name):
            columns = tuple(column for column in relation.columns if column.is_stored)
            head = insert_head(db, relation, columns)
            count += write_inserts(file, head, literal, rows(db, relation, columns, *span))
        file.write(b"COMMIT;\n")
    return [(path, count)]
