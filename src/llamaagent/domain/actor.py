"""Who gives a command: the account by the real uid, and the one that sudo was called from."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple


class Actor(NamedTuple):
    """sudo_uid: what sudo says of its caller; told, never trusted for anything."""

    uid: int
    name: str
    sudo_uid: int | None = None
