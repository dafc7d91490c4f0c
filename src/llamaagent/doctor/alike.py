"""A shell and cron that would launch differently: programs found by name, variables, and who may change what runs."""

from __future__ import annotations

import os
import stat

from llamaagent.base.errors import ConfigError
from llamaagent.doctor.finding import ERROR, WARNING, Finding
from llamaagent.doctor.running import cron_lines, maker
from llamaagent.launch.command import EMBEDDED, resolve_binary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from llamaagent.doctor.finding import Case

_CRON_PATH = "/usr/bin:/bin"
_PLACES = ("XDG_DATA_HOME", "XDG_STATE_HOME")
_MARKS = frozenset({"LLAMAAGENT_CONFIG", "LLAMAAGENT_SITE", "LLAMAAGENT_PROFILE", "LLAMAAGENT_LAUNCH_ID"})


def programs(case: Case) -> Iterator[Finding]:
    """Server programs that are given by name."""
    names = {p.runtime.binary for p in case.site.profiles if p.runtime.kind == "process"}
    for name in sorted(names | {case.site.settings.binary}):
        if name != EMBEDDED and "/" not in name:
            finding = judge_program(name, _find(name, case.environ.get("PATH")), _find(name, _CRON_PATH))
            if finding is not None:
                yield finding


def _find(name: str, path: str | None) -> str | None:
    try:
        return resolve_binary(name, path)
    except ConfigError:
        return None


def judge_program(name: str, shell: str | None, cron: str | None) -> Finding | None:
    """What the shell finds under a name, and what cron finds."""
    if shell is None or shell == cron:
        return None
    found = "nothing" if cron is None else cron
    what = f"by this name a shell finds {shell}, and cron finds {found}"
    return Finding(WARNING, f"binary {name}", what, f"binary: {shell}   # in the settings")


def variables(case: Case) -> Iterator[Finding]:
    """Variables of this shell that decide where our files are, and that cron's line does not set."""
    if maker(case) != "cron":
        return
    finding = judge_variables(case.environ, [line for line in cron_lines(case) if "llamaagent" in line])
    if finding is not None:
        yield finding


def judge_variables(environ: Mapping[str, str], lines: Iterable[str]) -> Finding | None:
    """Variables here, and the lines of crontabs that run the agent."""
    lines = list(lines)
    names = sorted(
        name
        for name in environ
        if environ[name] and (name in _PLACES or (name.startswith("LLAMAAGENT_") and name not in _MARKS))
    )
    lacking = [name for name in names if not any(f"{name}=" in line for line in lines)]
    if not lacking:
        return None
    what = f"{', '.join(lacking)} of this shell are not set in the crontab: a pass of cron's uses other files"
    return Finding(WARNING, "cron", what, "llamaagent install cron")


def writable(case: Case) -> Iterator[Finding]:
    """Settings, profiles and their folders that others may change; a report folder that we may not."""
    paths = {case.site.settings.file, *(profile.source for profile in case.site.profiles)} - {None}
    files = {str(path) for path in paths}
    for path in sorted(files | {os.path.dirname(path) for path in files}):
        try:
            found = os.stat(path)
        except OSError:
            continue
        finding = judge_writable(path, found.st_mode, found.st_gid, os.getegid())
        if finding is not None:
            yield finding
    reports = case.site.settings.reports.directory
    if reports is not None and os.path.isdir(reports) and not os.access(reports, os.W_OK | os.X_OK):
        yield Finding(
            ERROR, reports, "reports cannot be written there", f"sudo chown {os.geteuid()} {reports}"
        )


def judge_writable(path: str, mode: int, group: int, mine: int) -> Finding | None:
    """Who can write a settings or profile file decides what runs here. A user's own group is the user."""
    bits = stat.S_IMODE(mode)
    if bits & stat.S_IWOTH and not bits & stat.S_ISVTX:
        return Finding(ERROR, path, "everybody here can change what the agent runs", f"chmod o-w {path}")
    if bits & stat.S_IWGRP and group != mine:
        return Finding(WARNING, path, "another group can change what the agent runs", f"chmod g-w {path}")
    return None
