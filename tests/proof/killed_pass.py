"""One pass at a shifted time that kills itself with SIGKILL at a named step; without a step it ends like any other.

Usage: killed_pass.py AHEAD_S WALL_S [STEP], in a site's folder, with the card of the proofs.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from functools import partial

from card import read_card
from shifted import ShiftedClock

from llamaagent.base.errors import LockHeldError
from llamaagent.cli.site import claim, context, database, load
from llamaagent.cli.spec import Values
from llamaagent.reconcile.passes import run_pass
from llamaagent.store.locks import Lock


def main() -> None:
    """Load, lock, pass."""
    clock = ShiftedClock(float(sys.argv[1]), float(sys.argv[2]))
    step = sys.argv[3] if len(sys.argv) > 3 else None

    def checkpoint(name: str) -> None:
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    opened = load(Values({}))
    with database(opened, write=True) as db:
        claim(db, opened)
        ctx = context(opened, db)._replace(clock=clock, checkpoint=checkpoint)
        ctx = ctx._replace(read_gpus=partial(read_card, ctx.site_id))
        with suppress(LockHeldError), Lock(opened.database, "pass").take(opened.clock):
            run_pass(ctx)


if __name__ == "__main__":
    main()
