"""`report build`: write the static site, drawn by a child process."""

from __future__ import annotations

import json
import os

from llamaagent.base.errors import StorageError
from llamaagent.cli.output import say
from llamaagent.cli.site import load, need_database

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values

_DEADLINE_S = 600.0


def where(opened: Opened, out: str | None = None) -> tuple[str, bool]:
    """(folder, public): the settings' folder is meant for a web server, the default one is private."""
    if out is not None:
        return os.path.abspath(out), True
    directory = opened.site.settings.reports.directory
    return (directory, True) if directory is not None else (opened.places.report, False)


def command(opened: Opened, out: str | None = None) -> tuple[str, ...]:
    """The command line of the child that builds the site."""
    from llamaagent.report.child import child_argv

    folder, public = where(opened, out)
    return child_argv(
        opened.database,
        folder,
        public=public,
        title=opened.site.settings.reports.title,
        cache_directory=os.path.join(opened.places.cache, "matplotlib"),
    )


def environment() -> dict[str, str]:
    """Ours, and this very package, so that a checkout's child finds it."""
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH")))),
    }


def build(values: Values) -> int:
    """Build the site now and say where it is: on stdout the path, on stderr the rest."""
    from llamaagent.base.run import run

    opened = load(values)
    need_database(opened)
    result = run(
        command(opened, values.text("out")),
        deadline_s=_DEADLINE_S,
        max_output_bytes=1 << 20,
        env=environment(),
        cwd="/",
    )
    if result.timed_out:
        raise StorageError(f"the report was not finished within {_DEADLINE_S:.0f} s")
    errors = result.err.decode("utf-8", "replace").strip()
    if errors:
        say(errors)
    if result.code != 0:
        return result.code
    told = json.loads(result.out)
    index = os.path.join(where(opened, values.text("out"))[0], "index.html")
    if not values.flag("quiet"):
        say(
            f"{told.get('pages')} pages, {told.get('charts')} charts, {float(told.get('seconds') or 0):.1f} s"
        )
    print(f"file://{index}" if values.flag("open") else index)
    return 0
