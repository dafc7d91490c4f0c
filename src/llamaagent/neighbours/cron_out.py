"""`export cron --servers`: one line a server, which cron starts once after a boot. Pure.

Cron takes `%` for a line end unless a backslash stands before it, and refuses lines that are too long; then a shell
reads the rest. Source: crontab(5).
"""

from __future__ import annotations

import shlex

from llamaagent.neighbours.outgoing import Left, left_out, supported
from llamaagent.neighbours.shell_out import plain_environment, starter, starter_keys, working_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.neighbours.outgoing import Server

LONGEST = 990  # cron's own limit is 1000 bytes with the ends
_SCRIPT = "llamaagent export shell -o FILE, and let a line of the crontab run that"
_REASONS = {
    "restart": "cron starts a server once, after a boot, and never again",
    "stop": "cron stops nothing",
    "health": "cron does not ask whether a server answers",
}


def cron_lines(servers: Sequence[Server]) -> tuple[list[str], list[Left]]:
    """Lines of a crontab, and what they do not say. A server whose line cron would not take has none."""
    kept, left = supported(servers, {"process"})
    lines: list[str] = []
    for server in kept:
        line = f"@reboot {_command(server)}"
        if "\n" in line or "\r" in line:
            left.append(Left(server.name, "args", f"a line cannot hold a line end: {_SCRIPT}"))
        elif len(line.encode()) > LONGEST:
            left.append(Left(server.name, "args", f"cron takes {LONGEST} bytes a line at most: {_SCRIPT}"))
        else:
            lines.append(line if server.profile.state == "running" else f"# stopped: {line}")
            if server.profile.restart.policy != "never":
                left.append(Left(server.name, "restart", _REASONS["restart"]))
            missing = left_out(server.profile, starter_keys(server), _REASONS)
            left += [one for one in missing if not one.key.startswith("restart")]
    return lines, left


def cron_word(word: str) -> str:
    r"""A word of a shell command as every cron hands it on.

    Some crons take the backslash before a percent sign away and some do not, so it stands outside of quotes, where
    the shell does it; and some make one of two backslashes, so no two of them stand side by side.

    >>> cron_word("50% a"), cron_word("a b"), cron_word("50%")
    ("'50'\\%' a'", "'a b'", '50\\%')
    """
    quoted = shlex.quote(word)
    if not quoted.startswith("'"):
        return quoted.replace("%", "\\%")
    return quoted.replace("\\", "\\''").replace("%", "'\\%'")


def _command(server: Server) -> str:
    """What the shell of cron runs; the output goes to the system's log, or cron would keep it until the end."""
    assigned = [f"{name}={cron_word(value)}" for name, value in plain_environment(server)]
    place = cron_word(working_directory(server))
    words = " ".join(cron_word(word) for word in starter(server))
    return f"cd {place} && {' '.join([*assigned, words])} 2>&1 | logger -t llama-server-{server.name}"
