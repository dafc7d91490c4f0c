"""`doctor`: what is wrong or risky here, each with its remedy."""

from __future__ import annotations

import os

from llamaagent.base.errors import NOT_FINE
from llamaagent.base.paths import host_paths
from llamaagent.cli.output import chosen_format, clean, coloured, emit, say
from llamaagent.cli.site import load, site_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Values

_COLUMNS = ("level", "subject", "what", "remedy")
_COLOURS = {"error": "31", "warning": "33", "info": "36"}


def run(values: Values) -> int:
    """1 when there is an error or a warning; what is only worth knowing changes nothing."""
    from llamaagent.doctor.examine import examine
    from llamaagent.doctor.finding import INFO, Case

    opened = load(values, need_settings=False)
    found = examine(
        Case(
            site=opened.site,
            site_path=opened.site_path,
            site_id=site_id(opened.site_path),
            database=opened.database,
            places=opened.places,
            environ=os.environ,
            clock=opened.clock,
            host=host_paths(os.environ),
            dev=host_paths(os.environ).dev,
        )
    )
    bad = any(finding.level != INFO for finding in found)
    if chosen_format(values) != "table":
        emit(values, [finding._asdict() for finding in found], _COLUMNS)
        return NOT_FINE if bad else 0
    for finding in found:
        word = f"{finding.level:<8}"
        if coloured(values):
            word = f"\033[{_COLOURS[finding.level]}m{word}\033[0m"
        print(f"{word} {clean(finding.subject)}: {clean(finding.what)}")
        if finding.remedy:
            print(f"         {clean(finding.remedy)}")
    if not found and not values.flag("quiet"):
        say("nothing is wrong")
    return NOT_FINE if bad else 0
