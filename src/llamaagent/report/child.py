"""The report's own process. What drawing needs (matplotlib, numpy, the fonts) goes away with it.

It prints one line about each picture that failed on stderr and one JSON object about the whole on stdout; its exit
status is that of the error, if any. When nothing is new it ends before anything is loaded.
"""

from __future__ import annotations

import os
import sys

from llamaagent.base.clock import SystemClock
from llamaagent.report import idle

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence
    from typing import Any

    from llamaagent.report.build import BuildResult
    from llamaagent.report.choices import Choices

_START = "from llamaagent.report.child import run; run()"
_TEXTS = (
    "database",
    "out",
    "title",
    "zone",
    "cache",
    "logo",
    "templates",
    "keep",
    "pictures",
    "single-file",
    "project",
)
_NUMBERS = ("now", "since", "until", "every")
_LISTS = ("link", "section", "profile", "kept")
_FLAGS = ("public", "no-sections")


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
    choices: Choices | None = None,
) -> tuple[str, ...]:
    """Return the command line that builds a site in a process of its own.

    zone: a name from the time zone database, default the machine's. python: default the running one.
    """
    argv = [python or sys.executable, "-P", "-c", _START, f"--database={database}", f"--out={directory}"]
    argv += ["--public"] if public else []
    given = {"title": title, "zone": zone, "now": now, "cache": cache_directory}
    if choices is not None:
        scope = choices.scope
        given |= {"logo": choices.logo, "templates": choices.templates, "single-file": choices.single_file}
        given |= {"pictures": choices.pictures, "project": scope.project, "since": scope.since_ts}
        given |= {
            "until": scope.until_ts,
            "every": choices.every_s,
            "keep": "never" if choices.keep_s is None else choices.keep_s,
        }
        argv += [f"--link={name}={address}" for name, address in choices.links]
        argv += [f"--section={name}" for name in choices.sections or ()]
        argv += ["--no-sections"] if choices.sections == () else []
        argv += [f"--profile={name}" for name in sorted(scope.profiles or ())]
        argv += [f"--kept={table}={'never' if keep_s is None else keep_s}" for table, keep_s in choices.kept]
    argv += [f"--{name}={value}" for name, value in given.items() if value is not None]
    return tuple(argv)


def _parse(argv: Sequence[str]) -> dict[str, Any]:
    """What child_argv says. Not by argparse, whose import takes longer than a chart."""
    found: dict[str, Any] = {**dict.fromkeys((*_TEXTS, *_NUMBERS)), **dict.fromkeys(_FLAGS, False)}
    found |= {name: [] for name in _LISTS} | {"pictures": "all", "keep": str(30 * 86400)}
    for word in argv:
        option, equals, value = word.partition("=")
        name = option.removeprefix("--")
        if name in _LISTS:
            found[name].append(value)
        elif name in found and bool(equals) is (name not in _FLAGS):
            found[name] = int(value) if name in _NUMBERS else value if equals else True
        else:
            raise SystemExit(f"llamaagent.report.child: what is {word}?")
    return found


def _choices(given: dict[str, Any]) -> Choices:
    from llamaagent.report.choices import Choices
    from llamaagent.report.scope import Scope

    sections = tuple(given["section"]) if given["section"] else () if given["no-sections"] else None
    return Choices(
        logo=given["logo"],
        links=tuple((name, address) for name, _, address in (text.partition("=") for text in given["link"])),
        sections=sections,
        templates=given["templates"],
        keep_s=None if given["keep"] == "never" else int(given["keep"]),
        pictures=given["pictures"],
        scope=Scope(
            frozenset(given["profile"]) if given["profile"] else None,
            given["project"],
            given["since"],
            given["until"],
        ),
        single_file=given["single-file"],
        kept=tuple(
            (table, None if keep_s == "never" else int(keep_s))
            for table, _, keep_s in (text.partition("=") for text in given["kept"])
        ),
        every_s=given["every"],
    )


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
    words = sys.argv[1:] if argv is None else argv
    clock = SystemClock()
    seen = idle.see(words, clock.now())
    given = _parse(words) if seen is None else None
    out = given["out"] if given else next(word[6:] for word in words if word.startswith("--out="))
    told = idle.told_before(out, seen) if seen is not None else None
    if told is not None:
        sys.stdout.write(told + "\n")
        return 0
    return _build(given or _parse(words), clock, seen)


def _build(given: dict[str, Any], clock: SystemClock, seen: str | None) -> int:
    import json

    from llamaagent.base.errors import BUG, LlamaAgentError

    try:
        result = _make(given, clock)
    except LlamaAgentError as error:
        hint = f" ({error.hint})" if error.hint else ""
        sys.stderr.write(f"report: {error}{hint}\n")
        return error.exit_code
    except Exception:  # noqa: BLE001 - the border of this process
        import traceback

        traceback.print_exc()
        sys.stderr.write("report: this is a bug in llamaagent; the lines above say where\n")
        return BUG
    for path, failure in result.failed:
        sys.stderr.write(f"report: {path} was not drawn: {failure}\n")
    told = result._asdict()
    if seen is not None and result.complete:
        idle.note(given["out"], seen, json.dumps(told | {"drawn": 0, "written": 0, "seconds": 0.0}))
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


def _make(given: dict[str, Any], clock: SystemClock) -> BuildResult:
    from llamaagent.report.build import build, default_cache

    choices = _choices(given)
    make: Callable[..., BuildResult] = build
    if choices.single_file is not None:
        from llamaagent.report.single import build_single

        make = build_single
    return make(
        given["database"],
        given["out"],
        clock=clock,
        zone=_zone(given["zone"]),
        public=given["public"],
        now=given["now"],
        title=given["title"],
        cache_directory=given["cache"] or default_cache(given["database"]),
        choices=choices,
    )


def run() -> None:
    """The whole life of the process: so short that nothing is collected on the way, nor taken apart at its end."""
    import gc

    from llamaagent.base.leaving import leave

    gc.disable()
    leave(main())


if __name__ == "__main__":
    run()
