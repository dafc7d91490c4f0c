"""The pull before a pass, under the pass lock. Imported only where the settings ask for one."""

from __future__ import annotations

import os

from llamaagent.base.errors import LockHeldError
from llamaagent.cli.site import load
from llamaagent.reconcile.pull import Pulled, pull_all
from llamaagent.store.locks import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values


def pull(opened: Opened) -> Pulled:
    """Bring the work trees of profiles and settings up to date. The caller holds the pass lock."""
    settings = opened.site.settings
    folders = [*settings.profiles, *([os.path.dirname(settings.file)] if settings.file else [])]
    return pull_all(folders, settings.git_branch, os.environ, opened.clock.now())


def pulled(values: Values, opened: Opened) -> tuple[Opened, str | None]:
    """The site as it is after the pull, and what to tell of it. The caller holds the pass lock.

    Settings that now name another database count from the next pass on: this one is open.
    """
    result = pull(opened)
    found = load(values) if result.moved else opened
    same = (found.database, found.site_path) == (opened.database, opened.site_path)
    return found if same else opened, result.trouble


def mended(values: Values, opened: Opened) -> Opened:
    """Broken settings after a pull that may have mended them; as they are when that cannot be tried."""
    if not os.path.exists(opened.database):
        return opened
    try:
        with Lock(opened.database, "pass").take(opened.clock):
            return pulled(values, opened)[0]
    except LockHeldError:
        return opened
