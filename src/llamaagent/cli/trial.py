"""A profile's text before it becomes a file: loaded as this site would load it, and put in its place."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llamaagent.cli.new import load_beside, named_schema, profile_folder, write_new

if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.domain.profile import Profile


def loaded_as(values: Values, opened: Opened, name: str, text: str) -> tuple[Profile | None, tuple[str, ...]]:
    """The profile that this text declares beside this site's settings, or what would be refused about it."""
    profiles, found = load_beside(values, opened, name, text)
    faults = tuple(fault.message for fault in found if fault.severity == "error")
    if faults or not profiles:
        return None, faults or ("it is not for this host",)
    return profiles[0], ()


def target_of(opened: Opened, name: str) -> str:
    """Where a new profile of this name goes. Raises CannotCreateError, ConfigError."""
    return os.path.join(profile_folder(opened), f"{name}.yaml")


def write_profile(opened: Opened, path: str, text: str) -> None:
    """Put it there whole or not at all, never over another file. Raises CannotCreateError."""
    write_new(path, named_schema(opened, path) + text)
