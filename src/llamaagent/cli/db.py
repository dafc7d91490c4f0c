"""`db info`, `db init`, `db migrate`: care of the database file."""

from __future__ import annotations

import json

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
    free = found.free_pages * found.page_size_bytes
    lines = {
        "database": found.path,
        "site": site or "none yet",
        "schema version": found.schema_version,
        "sqlite": f"{found.sqlite_version}, {found.journal_mode}",
        "size": f"{_near(found.size_bytes)}, of which free {_near(free)}",
        "wal": _near(found.wal_bytes),
        "samples": span,
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
    from llamaagent.cli.actor import actor
    from llamaagent.store.audit import AuditStore
    from llamaagent.store.info import stored_version

    opened = load(values, need_settings=False)
    refuse_broken_settings(opened)
    before = stored_version(opened.database)
    with database(opened, write=True, create=create) as db:
        if opened.site_path:
            claim(db, opened)
        now = stored_version(opened.database)
        if before != now:
            with db:
                details = {"from": before, "to": now}
                action = "db init" if before is None else "db migrate"
                AuditStore(db).note(actor(), action, ("database", None), opened.clock.now(), details)
    word = "created" if before is None else f"migrated from version {before}"
    print(f"{opened.database}: {'already_current' if before == now else word}, schema version {now}")
    return 0
