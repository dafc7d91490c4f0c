"""`export shell`: a POSIX script that runs one server in the foreground; and the words other starters share. Pure.

A secret goes from a variable or a file into the variable that the server reads, inside of the shell: never into a
command line, where everybody could read it.
"""

from __future__ import annotations

import shlex

from llamaagent.neighbours.outgoing import Left, cards_said, left_out, lines_of_options, supported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.neighbours.outgoing import Secret, Server

STARTER_KEYS = ("state", "runtime.binary", "runtime.env", "runtime.wrap", "runtime.cwd", "listen", "secrets")
_REASONS = {
    "restart": "the script runs a server once",
    "stop": "Ctrl-C and SIGTERM reach the server itself",
}


def shell_text(servers: Sequence[Server], header: str) -> tuple[str, list[Left]]:
    """The whole script. header: lines of comment, `#` included."""
    kept, left = supported(servers, {"process"})
    if not kept:
        return "", left
    names = [server.name for server in kept]
    alone = names[0] if len(names) == 1 else ""
    lines = ["#!/bin/sh", *header.splitlines(), "set -eu", f"case ${{1-{alone}}} in"]
    for server in kept:
        lines += [f"{server.name})", *_body(server), "    ;;"]
        left += left_out(server.profile, starter_keys(server), _REASONS)
    usage = f'echo "usage: $0 NAME; the names are: {" ".join(names)}" >&2'
    lines += ["*)", f"    {usage}", "    exit 2", "    ;;", "esac"]
    return "\n".join(lines) + "\n", left


def starter_keys(server: Server) -> tuple[str, ...]:
    """What everything that starts a process can say."""
    return (*STARTER_KEYS, *(("resources.gpus",) if cards_said(server.profile) else ()))


def _body(server: Server) -> list[str]:
    lines = [f"    {line}" for secret in server.secrets for line in secret_lines(secret, server.name)]
    lines += [f"    export {name}={shlex.quote(value)}" for name, value in server.env]
    lines.append(f"    cd {shlex.quote(working_directory(server))}")
    groups = [list(server.argv[: server.head]), *lines_of_options(server.argv[server.head :])]
    return [*lines, "    exec " + " \\\n        ".join(shlex.join(group) for group in groups)]


def secret_lines(secret: Secret, name: str) -> list[str]:
    """Commands that put the secret into its variable, or end the shell with a line about what is missing."""
    if secret.by_path:
        return [f"export {secret.variable}={shlex.quote(secret.value)}"]
    if secret.kind == "env":
        said = f"{secret.value} is not set, {name} needs it"
        return [f': "${{{secret.value}:?{said}}}"', f'export {secret.variable}="${secret.value}"']
    return [f"{secret.variable}=$(cat {shlex.quote(secret.value)})", f"export {secret.variable}"]


def starter(server: Server, *, wrapped: bool = False, go: bool = False) -> tuple[str, ...]:
    """Words that start the server where no script is: by a shell only if a secret must change its variable.

    wrapped: by a shell in any case. go: the shell also changes to the working directory. Secrets that are paths are
    left to `plain_environment`.
    """
    moved = [secret for secret in server.secrets if not secret.by_path]
    if not (moved or wrapped or go):
        return server.argv
    steps = [line for secret in moved for line in secret_lines(secret, server.name)]
    steps += [f"cd {shlex.quote(working_directory(server))}"] if go else []
    return ("/bin/sh", "-c", "; ".join(["set -eu", *steps, 'exec "$@"']), "sh", *server.argv)


def working_directory(server: Server) -> str:
    """Where the server runs."""
    return server.profile.runtime.cwd or "/"


def plain_environment(server: Server) -> list[tuple[str, str]]:
    """Variables that may stand in a file: the profile's, and the paths of secret files."""
    return [*server.env, *((s.variable, s.value) for s in server.secrets if s.by_path)]
