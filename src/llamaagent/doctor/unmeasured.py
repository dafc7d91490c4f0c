"""Servers that were started by others' hands without /metrics, so that nobody can see what they are busy with."""

from __future__ import annotations

import json
import os

from llamaagent.doctor.finding import INFO, WARNING, Finding
from llamaagent.domain import instance as st

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.doctor.finding import Case

_OPTION, _VARIABLE = "--metrics", b"LLAMA_ARG_ENDPOINT_METRICS="


def metrics(case: Case) -> Iterator[Finding]:
    """Live servers whose command line, as it was found, does not ask for /metrics."""
    from llamaagent.store.connect import open_database
    from llamaagent.store.instances import InstanceStore
    from llamaagent.store.read import select

    if not os.path.exists(case.database):
        return
    db = open_database(case.database, write=False)
    try:
        rows = [row for row in InstanceStore(db).newest() if row.status in st.LIVE and row.pid is not None]
        found = [(row, select(db, "show_instance", {"id": row.id}).rows[0]["argv"]) for row in rows]
    finally:
        db.close()
    profiles = {profile.name: profile for profile in case.site.profiles}
    for row, argv in found:
        words = json.loads(str(argv)) if argv else []
        if not words or _OPTION in words or _by_variable(f"{case.host.proc}/{row.pid}/environ"):
            continue
        profile = profiles.get(row.profile)
        asked = profile is not None and profile.idle.stop_after_s is not None
        what = "it runs without /metrics: its requests in progress, idleness and being stuck cannot be seen"
        mine = f"llamaagent restart {row.profile}, when nobody needs it"
        remedy = f"start it with {_OPTION}" if row.kind == "external" else mine
        yield Finding(WARNING if asked else INFO, row.profile, what, remedy)


def _by_variable(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return any(entry.startswith(_VARIABLE) for entry in file.read(1 << 20).split(b"\0"))
    except OSError:  # gone, or another user's
        return False
