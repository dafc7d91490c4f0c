"""All commands, as data: `SPECS` in the order in which help lists them, `QUICK` those that cron calls.

`SPECS` is put together when somebody asks for it, so that an idle pass does not build what it does not use.
"""

from __future__ import annotations

from llamaagent.cli.commands.quick import PS, RUN
from llamaagent.cli.commands.words import DAILY, DATA, GENERATIONS, MACHINE, NEIGHBOURS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Spec

    SPECS: tuple[Spec, ...]

GROUPS = (DAILY, MACHINE, GENERATIONS, DATA, NEIGHBOURS)
QUICK = {spec.name: spec for spec in (RUN, PS)}


def __getattr__(name: str) -> tuple[Spec, ...]:
    """Give `SPECS`."""
    if name != "SPECS":
        raise AttributeError(name)
    from llamaagent.cli.commands.catalog import CATALOG
    from llamaagent.cli.commands.daily import LOOK
    from llamaagent.cli.commands.data import DATA_COMMANDS
    from llamaagent.cli.commands.database import DATABASE_CARE
    from llamaagent.cli.commands.exports import EXPORTS
    from llamaagent.cli.commands.files import FILES
    from llamaagent.cli.commands.generations import GENERATING
    from llamaagent.cli.commands.keyvalue import KEY_VALUES
    from llamaagent.cli.commands.neighbours import NEIGHBOUR_COMMANDS
    from llamaagent.cli.commands.reporting import REPORTING
    from llamaagent.cli.commands.shares import SHARES
    from llamaagent.cli.commands.steer import STEER

    return (
        *LOOK, *STEER, *FILES, *CATALOG, *SHARES, *GENERATING, *REPORTING, *DATA_COMMANDS, *KEY_VALUES, *DATABASE_CARE,
        *NEIGHBOUR_COMMANDS, *EXPORTS,
    )  # fmt: skip
