"""Who gives this command, by the real uid; sudo's word is noted beside it."""

from __future__ import annotations

import os

from llamaagent.domain.actor import Actor


def actor() -> Actor:
    """The account of the real uid. SUDO_UID counts only for root: anybody else could have set it."""
    uid, said = os.getuid(), os.environ.get("SUDO_UID", "")
    sudo_uid = int(said) if uid == 0 and said.isascii() and said.isdecimal() and len(said) < 11 else None
    return Actor(uid, name_of(uid), sudo_uid)


def name_of(uid: int) -> str:
    """A name that a log can keep."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
