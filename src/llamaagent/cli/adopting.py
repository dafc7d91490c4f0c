"""`import running --adopt`: files, rows and a pass in one go, under the pass lock."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llamaagent.base.errors import REFUSED, CannotCreateError, RefusedError
from llamaagent.cli.actor import actor
from llamaagent.cli.output import say
from llamaagent.cli.run import timeout_s
from llamaagent.cli.running import tell, write
from llamaagent.cli.site import claim, context, database, load
from llamaagent.reconcile.git import describe
from llamaagent.reconcile.passes import run_pass
from llamaagent.reconcile.takeover import take_over
from llamaagent.store.audit import AuditStore
from llamaagent.store.locks import Lock

if TYPE_CHECKING:
    from llamaagent.cli.running import Candidate
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.store.types import Connection


def adopt(values: Values, opened: Opened, found: list[Candidate]) -> int:
    """Take over what can be; 77 when something could not."""
    from llamaagent.cli.trial import target_of

    good = [one for one in found if one.obstacle is None and one.profile is not None]
    for one in found:
        tell(one)
    for one in good:  # all of them before the first is written
        if not one.declared and os.path.lexists(target_of(opened, one.name)):
            raise CannotCreateError(f"{target_of(opened, one.name)} is already there")
    left = len(found) - len(good)
    if good:
        with database(opened, write=True) as db:
            claim(db, opened)
            # No pass may see the files before the rows: it would find the ports taken.
            with Lock(opened.database, "pass").take(opened.clock, timeout_s(values)):
                left += _take(values, opened, db, good)
    return REFUSED if left else 0


def _take(values: Values, opened: Opened, db: Connection, good: list[Candidate]) -> int:
    """Write, adopt, pass; gives how many were refused after all."""
    for one in good:
        if not one.declared:
            print(write(opened, one))
    now = load(values)
    declared = {profile.name: profile for profile in now.site.profiles}
    ctx = context(now, db)
    taken: list[str] = []
    for one in good:
        profile = declared.get(one.name)
        if profile is None or one.profile is None or profile.launch_hash != one.profile.launch_hash:
            say(
                f"{one.name}: not taken over, the site does not declare what was written; see: llamaagent check"
            )
            continue
        try:
            take_over(ctx, profile, one.server, describe(os.path.dirname(profile.source)))
        except RefusedError as error:
            say(f"{one.name}: not taken over, {error}")
            continue
        with db:
            details = {"pid": one.server.identity.pid}
            AuditStore(db).note(actor(), "import adopt", ("profile", one.name), now.clock.now(), details)
        taken.append(one.name)
    if taken:
        _pass(now, db, frozenset(taken))
    return len(good) - len(taken)


def _pass(opened: Opened, db: Connection, names: frozenset[str]) -> None:
    """Look at them once, so that what is healthy reads `running` at once."""
    result = run_pass(context(opened, db, only=names), sample=False)
    for row in result.rows:
        if row.profile in names:
            say(f"{row.profile}: pid {row.pid} taken over, {row.status} at {row.host}:{row.port}")
