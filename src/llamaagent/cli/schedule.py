"""The texts that make cron or systemd run the agent. Pure.

A crontab line is read by cron (which takes `%` for a line end) and then by a shell; a unit's ExecStart by systemd
alone, which expands `%` and `$`. Sources: crontab(5), systemd.service(5), systemd.unit(5).
"""

from __future__ import annotations

import os
import sys

from llamaagent.neighbours.cron_out import cron_word
from llamaagent.neighbours.systemd_out import systemd_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llamaagent.cli.spec import Values

UNIT = "llamaagent.service"
_MARK = "# made by llamaagent install systemd for "
# What decides where files lie: cron and systemd do not read the shell's start files.
_CARRIED = ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "PYTHONPATH")

# The settings file is named anyway; the others are the marks of a launched server, which the agent is not.
_NOT_CARRIED = ("LLAMAAGENT_CONFIG", "LLAMAAGENT_SITE", "LLAMAAGENT_PROFILE", "LLAMAAGENT_LAUNCH_ID")


def agent_words(values: Values, site: str) -> list[str]:
    """The program and the options that mean this site, all absolute."""
    words = [*_program(), "--config", site]
    database = values.text("db")
    if database is not None:
        words += ["--db", os.path.abspath(database)]
    for path in values.many("profiles"):
        words += ["--profiles", os.path.abspath(path)]
    return words


def _program() -> list[str]:
    """This very installation: the script beside the interpreter, else the module."""
    script = os.path.join(os.path.dirname(sys.executable), "llamaagent")
    if os.access(script, os.X_OK) and os.path.abspath(sys.argv[0]) == script:
        return [script]
    return [sys.executable, "-m", "llamaagent"]


def environment(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Variables of this shell without which the agent would look elsewhere."""
    names = sorted(
        name
        for name in environ
        if name in _CARRIED or (name.startswith("LLAMAAGENT_") and name not in _NOT_CARRIED)
    )
    return [(name, environ[name]) for name in names if environ[name] and environ[name].isprintable()]


def block(site: str, words: Sequence[str], variables: Sequence[tuple[str, str]]) -> str:
    """The lines between the marks, marks included; a pass a minute, as often as cron can."""
    set_first = [f"{name}={cron_word(value)}" for name, value in variables]
    command = " ".join([*set_first, *(cron_word(word) for word in words)])
    return f"# BEGIN llamaagent {site}\n* * * * * {command}\n# END llamaagent {site}\n"


def split_block(crontab: str, site: str) -> tuple[str, str, str]:
    """What stands before this site's block, the block, what follows; without a (whole) block the latter are empty."""
    lines = crontab.splitlines(keepends=True)
    plain = [line.rstrip("\r\n") for line in lines]
    begin, end = f"# BEGIN llamaagent {site}", f"# END llamaagent {site}"
    if begin not in plain or end not in plain[plain.index(begin) :]:
        return crontab, "", ""
    first = plain.index(begin)
    last = plain.index(end, first) + 1
    return "".join(lines[:first]), "".join(lines[first:last]), "".join(lines[last:])


def with_block(crontab: str, site: str, text: str) -> str:
    r"""The crontab with this block: in the place of the old one, else at the end.

    >>> with_block("0 1 * * * x", "/s", "# BEGIN llamaagent /s\n# END llamaagent /s\n").count(chr(10))
    3
    """
    before, _, after = split_block(crontab, site)
    return before + ("\n" if before and not before.endswith("\n") else "") + text + after


def marker_of(text: str) -> str | None:
    """Which site a unit of ours runs, None when it is not ours."""
    first = text.partition("\n")[0]
    return first.removeprefix(_MARK) if first.startswith(_MARK) else None


def unit(site: str, words: Sequence[str], variables: Sequence[tuple[str, str]], *, user: bool) -> str:
    """The whole unit file."""
    lines = [
        f"{_MARK}{site}",
        "[Unit]",
        f"Description=llamaagent for {site.replace('%', '%%')}",
        *(() if user else ("Wants=network-online.target", "After=network-online.target")),
        "",
        "[Service]",
        "# The agent says when it is ready and that it lives; one that hangs is ended and started again.",
        "Type=notify",
        "WatchdogSec=300",
        f"ExecStart={' '.join(systemd_word(word) for word in words)}",
        "ExecReload=/bin/kill -HUP $MAINPID",
        *(f"Environment={systemd_word(f'{name}={value}', dollar=False)}" for name, value in variables),
        "# The servers belong to this unit's control group. Only the agent is to end with it: they go on,",
        "# and the next agent adopts them. Nor is one server that runs out of memory a reason to end all.",
        "KillMode=process",
        "OOMPolicy=continue",
        "Restart=on-failure",
        "RestartSec=10",
        "# Wrong settings do not get right by trying again.",
        "RestartPreventExitStatus=78",
        "UMask=0077",
        "",
        "[Install]",
        f"WantedBy={'default.target' if user else 'multi-user.target'}",
    ]
    return "\n".join(lines) + "\n"
