"""What of a site is asked for: all of it, or some profiles, a project, another span of time. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.base.record import NamedTuple

if TYPE_CHECKING:
    from llamaagent.report import rows


class Scope(NamedTuple):
    """What of the site is wanted; None: all of it. since_ts, until_ts: another span instead of the last day."""

    profiles: frozenset[str] | None = None
    project: str | None = None
    since_ts: int | None = None
    until_ts: int | None = None

    @property
    def whole(self) -> bool:
        """Nothing is left out."""
        return self == WHOLE

    def takes(self, row: rows.ProfileRow) -> bool:
        """Say whether this profile is wanted."""
        named = self.profiles is None or row.profile in self.profiles
        return named and (self.project is None or row.project == self.project)


WHOLE = Scope()
