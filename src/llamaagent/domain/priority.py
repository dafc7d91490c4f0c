"""How important a profile is, as far as its project lets it be. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.profile import Profile


def effective_priority(profile: Profile, cap: int | None) -> int:
    """The profile's own `priority`, at most its project's `max_priority`; None = no limit."""
    return profile.priority if cap is None else min(profile.priority, cap)
