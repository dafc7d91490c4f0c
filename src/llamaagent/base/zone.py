"""Time zones by name, and the host's own. Loaded only where a profile has a schedule."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import tzinfo

_HOST = "/etc/localtime"


def find_zone(name: str | None) -> tzinfo | None:
    """The zone of this name; None for one that the system does not know (any more).

    Without a name it is the host's, whatever TZ says, so that a shell and cron agree; UTC where the host has none.
    """
    if name is None:
        return _host_zone()
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return None


def _host_zone() -> tzinfo:
    try:
        with open(_HOST, "rb") as file:
            return ZoneInfo.from_file(file)
    except (ValueError, OSError):
        return UTC
