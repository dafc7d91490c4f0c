"""`metrics`: what the last pass saw, for Prometheus; and the file that carries the same."""

from __future__ import annotations

from llamaagent import __version__
from llamaagent.cli.site import load, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.store.types import Connection


def run(values: Values) -> int:
    """Print them; nothing is measured anew."""
    from llamaagent.metrics.families import families
    from llamaagent.metrics.textformat import openmetrics_text, prometheus_text

    opened = load(values, need_settings=False)
    with reading(opened) as db:
        found = families(db, __version__)
    print(openmetrics_text(found) if values.flag("openmetrics") else prometheus_text(found), end="")
    return 0


def leave_textfile(opened: Opened, db: Connection) -> str | None:
    """Write `prometheus.textfile`, which the settings name; what went wrong as one line, which stops no pass."""
    from llamaagent.base.errors import CannotCreateError
    from llamaagent.metrics.textfile import write_textfile

    path = opened.site.settings.prometheus_textfile
    try:
        if path is not None:
            write_textfile(db, path, __version__)
    except CannotCreateError as error:
        return str(error)
    return None
