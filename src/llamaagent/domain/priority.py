"""How important a profile is, as far as its project lets it be. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.settings import Settings


def effective_priority(profile: Profile, settings: Settings) -> int:
    """The profile's own `priority`, at most its project's `max_priority`."""
    for limits in settings.projects:
        if limits.name == profile.project and limits.max_priority is not None:
            return min(profile.priority, limits.max_priority)
    return profile.priority
