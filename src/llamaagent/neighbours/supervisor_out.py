"""`export supervisor`: sections of supervisord's file, for the agent or for the servers themselves. Pure.

`command` is split as a shell would, without a shell; `%(NAME)s` is expanded, so `%` is doubled; and `;` or `#` after a
blank starts a comment, in quotes too. Source: supervisor's options.py and configparser.
"""

from __future__ import annotations

import re
import shlex

from llamaagent.neighbours.outgoing import Left, left_out, supported
from llamaagent.neighbours.shell_out import plain_environment, starter, starter_keys, working_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llamaagent.neighbours.outgoing import Server

_RESTART = {"always": "true", "on-failure": "unexpected", "never": "false"}
_CARRIED = ("restart.policy", "restart.give_up_after", "stop.grace")
_REASONS = {
    "restart": "supervisord waits a second longer each time",
    "stop.drain": "supervisord waits for no request",
    "health": "supervisord restarts what ends, and does not ask whether it answers",
}


def supervised_agent(words: Iterable[str], variables: Iterable[tuple[str, str]], header: str) -> str:
    """The section that runs the loop. Only the agent gets the signal: its servers are to outlive it."""
    return (
        f"{header}[program:llamaagent]\n"
        f"command={command_of(words, variables)}\n"
        "directory=/\n"
        "umask=077\n"
        "autostart=true\n"
        "; Wrong settings (exit 78) do not get right by trying again, nor does an end that was asked for.\n"
        "autorestart=unexpected\n"
        "exitcodes=0,78\n"
        "; The servers go on without the agent, and the next one adopts them.\n"
        "stopasgroup=false\n"
        "killasgroup=false\n"
        "stopsignal=TERM\n"
        "stopwaitsecs=30\n"
    )


def supervised_servers(servers: Sequence[Server], header: str) -> tuple[str, list[Left]]:
    """A section a server, and what they do not say."""
    kept, left = supported(servers, {"process"})
    sections: list[str] = []
    for server in kept:
        words = [*starter(server), *(v for pair in plain_environment(server) for v in pair)]
        if any("\n" in word or "\r" in word for word in (*words, working_directory(server))):
            left.append(Left(server.name, "args", "a value of supervisord's file cannot hold a line end"))
            continue
        sections.append(_section(server))
        left += left_out(server.profile, (*starter_keys(server), *_CARRIED), _REASONS)
    return header + "\n".join(sections) if sections else "", left


def _section(server: Server) -> str:
    profile, place = server.profile, working_directory(server)
    odd = place != place.strip() or re.search(r"\s[;#]", place) is not None  # the file would cut it
    failures = profile.restart.give_up_failures
    return (
        f"[program:llama-server-{server.name}]\n"
        f"command={command_of(starter(server, go=odd), plain_environment(server))}\n"
        f"directory={'/' if odd else place.replace('%', '%%')}\n"
        "umask=077\n"
        f"autostart={'true' if profile.state == 'running' else 'false'}\n"
        f"autorestart={_RESTART[profile.restart.policy]}\n"
        f"startretries={1_000_000 if failures is None else failures}\n"
        f"stopwaitsecs={max(1, profile.stop.grace_s)}\n"
        "stopasgroup=true\n"
        "killasgroup=true\n"
    )


def command_of(words: Iterable[str], variables: Iterable[tuple[str, str]] = ()) -> str:
    """A `command`: the variables go before it, since `environment` cannot hold every text."""
    assigned = [f"{name}={value}" for name, value in variables]
    line = shlex.join([*(("/usr/bin/env", *assigned) if assigned else ()), *words])
    return re.sub(r"(?<=\s)([;#])", r"''\1", line).replace("%", "%%")
