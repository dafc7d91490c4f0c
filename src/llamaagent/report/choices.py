"""What the owner of a site chose, as the settings and the command line say it. Plain values."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.report.scope import WHOLE, Scope

PICTURES = ("all", "due", "none")


class Choices(NamedTuple):
    """All of it optional. pictures: draw all that changed, only those whose time has come, or none.

    logo: an image file. links: (name, address). templates: a folder whose files go before ours. keep_s: how long the
    days are kept, None = for ever, 0 = not at all. single_file: where to write the site as one file instead.
    kept: (table, seconds or None = for ever) of what the database keeps, to be told. every_s: how often the agent
    builds it, which `status.json` tells; None: it does not.
    """

    logo: str | None = None
    links: tuple[tuple[str, str], ...] = ()
    sections: tuple[str, ...] | None = None
    templates: str | None = None
    keep_s: int | None = 30 * 86400
    pictures: str = "all"
    scope: Scope = WHOLE
    single_file: str | None = None
    kept: tuple[tuple[str, int | None], ...] = ()
    every_s: int | None = None


DEFAULT = Choices()
