"""Keys that are read and checked, and that this version does not act on: said by `check`, never passed over."""

from __future__ import annotations

from llamaagent.domain.settings import Settings

_REPORTS = ("logo", "links", "sections", "templates", "after")


def pending_in_settings(settings: Settings) -> tuple[str, ...]:
    """Dotted keys of the settings that differ from their defaults without any effect yet."""
    default = Settings().reports
    return tuple(f"reports.{f}" for f in _REPORTS if getattr(settings.reports, f) != getattr(default, f))
