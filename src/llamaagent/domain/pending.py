"""Keys that are read and checked, and that this version does not act on: said by `check`, never passed over."""

from __future__ import annotations

from llamaagent.domain.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.profile import Profile

_SETTINGS = {
    "cache.enabled": "cache_enabled",
}


def pending_in_profile(profile: Profile) -> tuple[str, ...]:
    """Dotted keys of a profile that differ from their defaults without any effect yet."""
    found = {
        "runtime.kind": profile.runtime.kind == "container",
    }
    return tuple(key for key, differs in found.items() if differs)


def pending_in_settings(settings: Settings) -> tuple[str, ...]:
    """Dotted keys of the settings that differ from their defaults without any effect yet."""
    default = Settings()
    found = [key for key, field in _SETTINGS.items() if getattr(settings, field) != getattr(default, field)]
    return tuple(found)
