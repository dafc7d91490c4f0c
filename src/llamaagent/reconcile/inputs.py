"""The files that a launch depends on, and whether one of them is another one by now.

Told by size, times, inode and rights, which are compared with those stored at the launch: no clock is asked, so a
clock that was set makes nothing look new.
"""

from __future__ import annotations

import json
import os
import stat

from llamaagent.store.supervision import SupervisionStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context


def identities(ctx: Context, profile: Profile, binary: str) -> dict[str, str | None]:
    """Every file that a launch of the profile reads, as far as it is named by its path: path -> what it is now."""
    named = [profile.model.path, binary, ctx.settings.env_file]
    named += [ref.value for _, ref in profile.secrets if ref.kind == "file"]
    named += [word for word in profile.argv if word.startswith("/")]
    return {path: _identity(path) for path in named if path and path.startswith("/")}


def first_changed(ctx: Context, row: Instance, profile: Profile) -> str | None:
    """The first file that is not what it was at the launch; one that is missing now is no reason to try again."""
    stored = SupervisionStore(ctx.db).inputs(row.id)
    if stored is None:
        return None
    binary, text = stored
    before = json.loads(text)
    now = identities(ctx, profile, binary or "")
    return next((path for path, seen in now.items() if seen is not None and before.get(path) != seen), None)


def _identity(path: str) -> str | None:
    """None: not there, or no plain file (a folder changes whenever something is written into it)."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return f"{found.st_size}:{found.st_mtime_ns}:{found.st_ino}:{found.st_ctime_ns}"
