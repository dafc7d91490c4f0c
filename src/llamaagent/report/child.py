"""The report's own process: `python -m llamaagent.report.child --database FILE --out DIR`.

What drawing needs (matplotlib, numpy, the fonts) goes away with it. It prints one line about pictures that
failed on stderr and one JSON object about the whole on stdout; its exit status is that of the error, if any.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from llamaagent.base.clock import SystemClock
from llamaagent.base.errors import LlamaAgentError

if TYPE_CHECKING:
    import argparse
    import datetime as dt
    from collections.abc import Sequence


def child_argv(
    database: str,
    directory: str,
    *,
    public: bool,
    title: str | None = None,
    zone: str | None = None,
    now: int | None = None,
    cache_directory: str | None = None,
    python: str | None = None,
) -> tuple[str, ...]:
    """Return the command line that builds a site in a process of its own.

    zone: a name from the time zone database, default the machine's. python: default the running one.
    """
    argv = [
        python or sys.executable,
        "-m",
        "llamaagent.report.child",
        f"--database={database}",
        f"--out={directory}",
    ]
    argv += ["--public"] if public else []
    given = {"title": title, "zone": zone, "now": now, "cache": cache_directory}
    argv += [f"--{name}={value}" for name, value in given.items() if value is not None]
    return tuple(argv)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    import argparse

    parser = argparse.ArgumentParser(
        prog="python -m llamaagent.report.child", description="Write the static site."
    )
    parser.add_argument("--database", required=True, metavar="FILE")
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--public", action="store_true", help="readable by everyone, for a web server")
    parser.add_argument("--title")
    parser.add_argument("--zone", help="such as Europe/Berlin; default: TZ, else the machine's")
    parser.add_argument("--now", type=int, metavar="SECONDS", help="end of the day that is shown")
    parser.add_argument("--cache", metavar="DIR", help="where matplotlib keeps its font list")
    return parser.parse_args(argv)


def _zone(name: str | None) -> dt.tzinfo:
    """The zone asked for; else that of TZ where it is a name (it may be a rule), else the machine's."""
    from llamaagent.base.errors import UsageError
    from llamaagent.report.times import find_zone

    if name:
        return find_zone(name)
    try:
        return find_zone(os.environ.get("TZ"))
    except UsageError:
        return find_zone(None)


def main(argv: Sequence[str] | None = None) -> int:
    """Build, and return the exit status."""
    given = _parse(sys.argv[1:] if argv is None else argv)
    import json

    from llamaagent.report.build import build, default_cache

    try:
        result = build(
            given.database,
            given.out,
            clock=SystemClock(),
            zone=_zone(given.zone),
            public=given.public,
            now=given.now,
            title=given.title,
            cache_directory=given.cache or default_cache(given.database),
        )
    except LlamaAgentError as error:
        sys.stderr.write(f"report: {error}\n")
        return error.exit_code
    for path, failure in result.failed:
        sys.stderr.write(f"report: {path} was not drawn: {failure}\n")
    sys.stdout.write(json.dumps(result._asdict()) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
