"""Passes inside the test's own process, over a real site with real children, with a clock that may be the test's."""

from __future__ import annotations

import os
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

import apsw

from llamaagent.base.errors import LlamaAgentError
from llamaagent.cli.site import claim, context, database, load
from llamaagent.cli.spec import Values
from llamaagent.launch.process import bury
from llamaagent.reconcile.passes import run_pass
from llamaagent.store.locks import Lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from scratch_site import Site

    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.passes import PassResult


class Passer:
    """One site, passed over again and again. `adjust` may replace parts of a pass's context."""

    def __init__(self, site: Site, adjust: Callable[[Context], Context] | None = None) -> None:
        self.site = site
        self.adjust = adjust
        os.chdir(site.root)
        for name in [name for name in os.environ if name.startswith(("XDG_", "LLAMAAGENT_"))]:
            del os.environ[name]
        os.environ.update({key: value for key, value in site.env.items() if key != "PYTHONPATH"})

    def __call__(self, checkpoint: Callable[[Context, str], None] | None = None) -> PassResult:
        """One pass, as `run --once` makes it, without the report. Raises what the command would report."""
        bury()
        opened = load(Values({}))
        with database(opened, write=True) as db:
            claim(db, opened)
            ctx = context(opened, db)
            if self.adjust is not None:
                ctx = self.adjust(ctx)
            if checkpoint is not None:
                told = ctx
                ctx = ctx._replace(checkpoint=lambda step: checkpoint(told, step))
            with Lock(opened.database, "pass").take(opened.clock):
                return run_pass(ctx)

    def failing(self) -> LlamaAgentError | None:
        """One pass on a disk that may fail: what the command would report, or None when all went well."""
        try:
            self()
        except LlamaAgentError as error:
            return error
        except apsw.Error as error:
            # SQLite keeps to itself what fails while a database is closed; apsw cannot, when the disk is Python.
            if "db.close()" not in [frame.line for frame in traceback.extract_tb(error.__traceback__)]:
                raise
        return None

    def forget_children(self) -> None:
        """Bury what has ended."""
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
