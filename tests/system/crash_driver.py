"""One pass that kills itself with SIGKILL at a named step of a launch; without a step it ends like any other.

Usage: crash_driver.py [STEP], in a site's folder. With DRIVER_CARD=UUID in the environment the pass sees one
graphics card of that name, so that reservations can be watched where there is none; DRIVER_MIB is its size, and
DRIVER_HELD=PID:MIB what a process holds of it for as long as it lives. DRIVER_ONLY=NAME: a pass for that profile
alone, as `start NAME` makes one, waiting for the lock.
"""

from __future__ import annotations

import os
import signal
import sys

from llamaagent.cli.site import claim, context, database, load
from llamaagent.cli.spec import Values
from llamaagent.collect.gpu import GpuReading
from llamaagent.domain.sample import GpuHolder, GpuSample
from llamaagent.launch.identity import identify
from llamaagent.reconcile.passes import run_pass
from llamaagent.store.locks import Lock


def pretended(card: str) -> GpuSample:
    """The card as it is this moment."""
    size = int(os.environ.get("DRIVER_MIB", "8192"))
    pid, _, held = os.environ.get("DRIVER_HELD", "0:0").partition(":")
    lives = identify(int(pid)) is not None
    holders = (GpuHolder(card, int(pid), int(held)),) if lives else ()
    used = int(held) if lives else 0
    return GpuSample(
        card, 0, "Test Card", memory_total_mib=size, memory_used_mib=used, memory_free_mib=size - used,
        holders=holders,
    )  # fmt: skip


def main() -> None:
    """Load, lock, pass."""
    step = sys.argv[1] if len(sys.argv) > 1 else None

    def checkpoint(name: str) -> None:
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    opened = load(Values({}))
    with database(opened, write=True) as db:
        claim(db, opened)
        ctx = context(opened, db)._replace(checkpoint=checkpoint)
        card = os.environ.get("DRIVER_CARD")
        if card:
            ctx = ctx._replace(read_gpus=lambda: GpuReading(available=True, cards=(pretended(card),)))
        only = os.environ.get("DRIVER_ONLY")
        if only:
            ctx = ctx._replace(only=frozenset({only}))
        with Lock(opened.database, "pass").take(opened.clock, 60.0 if only else 0.0):
            run_pass(ctx)


if __name__ == "__main__":
    main()
