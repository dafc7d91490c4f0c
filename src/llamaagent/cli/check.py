"""`check`: every fault of every file, as file:line:col. Starts no server and binds nothing."""

from __future__ import annotations

import os

from llamaagent.base.clock import SystemClock
from llamaagent.base.errors import BAD_CONFIG, UsageError
from llamaagent.base.paths import places
from llamaagent.cli.output import say
from llamaagent.cli.site import asking
from llamaagent.config.load import format_faults, load_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.cli.spec import Values
    from llamaagent.config.site import Site


def run(values: Values) -> int:
    """0 when there is no error; warnings are shown and change nothing."""
    if values.flag("schema"):
        return _print_schemas(values.many("path"))
    portable = values.flag("portable")
    site = load_site(
        config=values.text("config"),
        profiles=values.many("path") or values.many("profiles"),
        environ=os.environ,
        cwd=os.getcwd(),
        now=SystemClock().now(),
        portable=portable,
        asking=asking(places(os.environ)),
    )
    text = format_faults(site)
    unreadable = [folder for folder in site.folders if folder.error is not None]
    lines = [text] if text else []
    lines += [f"{folder.path}: error: {folder.error}" for folder in unreadable]
    for line in (*lines, *_warnings(site, portable=portable)):
        print(line)
    errors = sum(1 for fault in site.faults if fault.severity == "error") + len(unreadable)
    if not values.flag("quiet"):
        elsewhere = f", {len(site.other_hosts)} for other hosts" if site.other_hosts else ""
        say(f"{_counted(len(site.profiles), 'profile')} fine{elsewhere}; {_counted(errors, 'error')}")
    return BAD_CONFIG if errors else 0


def _print_schemas(kinds: tuple[str, ...]) -> int:
    """One schema by itself; both as a mapping from kind to schema."""
    from llamaagent.cli.schemafiles import KINDS, schema_text

    if len(kinds) > 1 or not set(kinds) <= set(KINDS):
        raise UsageError("--schema takes one of profile and settings, or neither for both")
    print(schema_text(*kinds), end="")
    return 0


def _warnings(site: Site, *, portable: bool) -> Iterator[str]:
    """What is right in form, but will not do what one may think on this host or in this version."""
    for profile in site.profiles:
        where = f"{profile.source}:{profile.line}:1: warning: {profile.name}:"
        if not portable and profile.model.path and not os.path.exists(profile.model.path):
            yield f"{where} model {profile.model.path} is not there"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
