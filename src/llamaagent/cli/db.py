"""`db info`, `db init`, `db migrate`, `db vacuum`, `db adopt-site`: care of the database file."""

from __future__ import annotations

import json

from llamaagent.base.errors import NOT_FINE
from llamaagent.cli.output import emit_object, print_table
from llamaagent.cli.run import refuse_broken_settings
from llamaagent.cli.site import claim, database, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Values
    from llamaagent.store.info import DatabaseInfo


def info(values: Values) -> int:
    """Path, versions, sizes, rows; as text or one JSON object."""
    from llamaagent.store.info import database_info
    from llamaagent.store.samples import SampleStore

    opened = load(values, need_settings=False)
    with database(opened, write=False) as db:
        found = database_info(db, opened.database)
        known = SampleStore(db).metadata("site")
    site = json.loads(known)["path"] if known is not None else None
    if values.flag("json"):
        emit_object({**found._asdict(), "site": site, "tables": [table._asdict() for table in found.tables]})
    else:
        _text(found, site)
    return 0


def _text(found: DatabaseInfo, site: object) -> None:
    from llamaagent.cli.rows import moment

    span = "none yet"
    if found.first_sample_ts is not None:
        span = f"{moment(found.first_sample_ts)} to {moment(found.last_sample_ts)}"
    lines = {
        "database": found.path,
        "site": site or "none yet",
        "schema version": _version(found),
        "sqlite": f"{found.sqlite_version}, {found.journal_mode}",
        "size": f"{_near(found.size_bytes)}, of which free {_near(found.free_bytes)}",
        "wal": _near(found.wal_bytes),
        "samples": span,
        "last backup": _backup(found),
    }
    for name, value in lines.items():
        print(f"{name + ':':<16}{value}")
    print()
    rows = [
        (table.name, "-" if table.rows is None else str(table.rows), str(-(-table.size_bytes // 1024)))
        for table in found.tables
        if table.rows
    ]
    print_table(rows, ("table", "rows", "size_kib"))


def _version(found: DatabaseInfo) -> str:
    from llamaagent.cli.rows import moment

    return f"{found.schema_version}, since {moment(found.migrated_ts)}"


def _backup(found: DatabaseInfo) -> str:
    from llamaagent.cli.rows import moment

    made = found.last_backup
    due = "" if found.backup_due_ts is None else f"; next due {moment(found.backup_due_ts)}"
    return ("none yet" if made is None else f"{moment(made['ts'])}, {made['path']}") + due


def _near(size_bytes: int) -> str:
    """A size as a person reads it: `3.4 MiB`."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size_bytes} B"


def init(values: Values) -> int:
    """Make the file, private, with the whole schema; one that is there stays."""
    return _bring(values, create=True)


def migrate(values: Values) -> int:
    """Bring the file to this program's version; every command that writes does the same by itself."""
    return _bring(values, create=False)


def _bring(values: Values, *, create: bool) -> int:
    from llamaagent.store.info import stored_version

    opened = load(values, need_settings=False)
    refuse_broken_settings(opened)
    before = stored_version(opened.database)
    with database(opened, write=True, create=create) as db:
        if opened.site_path:
            claim(db, opened)
    now = stored_version(opened.database)
    word = "created" if before is None else f"migrated from version {before}"
    print(f"{opened.database}: {'already_current' if before == now else word}, schema version {now}")
    return 0


def vacuum(values: Values) -> int:
    """Rewrite the file without free pages, and renew the statistics of the query planner."""
    from llamaagent.store.locks import Lock
    from llamaagent.store.vacuum import vacuum as rewrite

    opened = load(values, need_settings=False)
    refuse_broken_settings(opened)
    with (
        database(opened, write=True, create=False) as db,
        Lock(opened.database, "pass").take(opened.clock),
    ):
        done = rewrite(db, opened.database)
    if values.flag("json"):
        emit_object({"path": opened.database, **done._asdict()})
    else:
        print(f"{opened.database}: {_near(done.before_bytes)} before, {_near(done.after_bytes)} now")
    return 0


def adopt_site(values: Values) -> int:
    """Let the database remember this settings file instead of the one that it knows."""
    from llamaagent.cli.dbcopy import agreed
    from llamaagent.store.locks import Lock
    from llamaagent.store.samples import SampleStore

    opened = load(values)
    refuse_broken_settings(opened)
    with (
        database(opened, write=True, create=False) as db,
        Lock(opened.database, "pass").take(opened.clock),
    ):
        stored = SampleStore(db).metadata("site")
        known = json.loads(stored)["path"] if stored is not None else None
        if known == opened.site_path:
            print(f"{opened.database}: already_adopted by {opened.site_path}")
            return 0
        if known is not None and not agreed(
            values, f"{opened.database} belongs to {known}. Take it for this site?"
        ):
            return NOT_FINE
        with db:
            SampleStore(db).delete_metadata("site")
        claim(db, opened)
    print(f"{opened.database}: adopted by {opened.site_path}")
    return 0
