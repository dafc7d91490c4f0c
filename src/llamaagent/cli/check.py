"""`check`: every fault of every file, as file:line:col. Starts no server and binds nothing."""

from __future__ import annotations

import os

from llamaagent.base.clock import SystemClock
from llamaagent.base.errors import BAD_CONFIG
from llamaagent.cli.output import say
from llamaagent.config.load import format_faults, load_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Values


def run(values: Values) -> int:
    """0 when there is no error; warnings are shown and change nothing."""
    site = load_site(
        config=values.text("config"),
        profiles=values.many("path") or values.many("profiles"),
        environ=os.environ,
        cwd=os.getcwd(),
        now=SystemClock().now(),
        portable=values.flag("portable"),
    )
    text = format_faults(site)
    if text:
        print(text)
    unreadable = [folder for folder in site.folders if folder.error is not None]
    for folder in unreadable:
        print(f"{folder.path}: error: {folder.error}")
    missing = (
        []
        if values.flag("portable")
        else [p for p in site.profiles if p.model.path and not os.path.exists(p.model.path)]
    )
    for profile in missing:
        print(
            f"{profile.source}:{profile.line}:1: warning: {profile.name}: model {profile.model.path} is not there"
        )
    errors = sum(1 for fault in site.faults if fault.severity == "error") + len(unreadable)
    if not values.flag("quiet"):
        count = len(site.profiles)
        elsewhere = f", {len(site.other_hosts)} for other hosts" if site.other_hosts else ""
        say(
            f"{count} profile{'s' if count != 1 else ''} fine{elsewhere}; {errors} error{'s' if errors != 1 else ''}"
        )
    return BAD_CONFIG if errors else 0
