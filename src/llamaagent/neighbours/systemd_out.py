"""`export systemd --servers`: one unit a server, which systemd then runs instead of llamaagent. Pure.

ExecStart is read by systemd alone: it knows quotes and C escapes, expands `%` (doubled here) and `$` (doubled too).
Environment knows no `$`. Sources: systemd.service(5), systemd.exec(5), systemd.syntax(7).
"""

from __future__ import annotations

from llamaagent.neighbours.outgoing import left_out, supported
from llamaagent.neighbours.shell_out import plain_environment, starter, starter_keys, working_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.neighbours.outgoing import Left, Server

_RESTART = {"always": "always", "on-failure": "on-failure", "never": "no"}
_CARRIED = ("restart.policy", "restart.backoff", "restart.give_up_after", "stop.grace")
_REASONS = {
    "restart": "systemd waits equally long each time",
    "stop.drain": "systemd waits for no request",
    "health": "systemd restarts what ends, and does not ask whether it answers",
}
_SIMPLE = frozenset("/._-=:,+@%$")


def unit_name(name: str) -> str:
    """The unit's file name."""
    return f"llama-server-{name}.service"


def systemd_units(
    servers: Sequence[Server], header: str, *, user: bool, env_file: str | None
) -> tuple[dict[str, str], list[Left]]:
    """Texts by file name, and what they do not say. env_file: the settings', if there is one."""
    kept, left = supported(servers, {"process"})
    units: dict[str, str] = {}
    for server in kept:
        units[unit_name(server.name)] = _unit(server, header, user=user, env_file=env_file)
        left += left_out(server.profile, (*starter_keys(server), *_CARRIED), _REASONS)
    return units, left


def _unit(server: Server, header: str, *, user: bool, env_file: str | None) -> str:
    profile = server.profile
    restart = profile.restart
    # The program's own path is not expanded where `$` in the other words is, so a shell takes such a path.
    place = working_directory(server)
    odd = not place.isprintable() or place != place.strip()
    words = starter(server, wrapped="$" in server.argv[0], go=odd)
    environment = [
        f"Environment={systemd_word(f'{n}={v}', dollar=False)}" for n, v in plain_environment(server)
    ]
    lines = [
        *header.splitlines(),
        "[Unit]",
        f"Description=llama-server {server.name}, from a profile of llamaagent",
        *(() if user else ("Wants=network-online.target", "After=network-online.target")),
        *_limit(restart.give_up_failures, restart.give_up_within_s),
        "",
        "[Service]",
        "Type=exec",
        f"ExecStart={' '.join(systemd_word(word) for word in words)}",
        f"WorkingDirectory={'/' if odd else _path(place)}",
        *environment,
        *_secret_source(server, env_file),
        f"Restart={_RESTART[restart.policy]}",
        f"RestartSec={restart.backoff_s}",
        "# A server that is asked to end waits for its clients; after this it is killed.",
        f"TimeoutStopSec={max(1, profile.stop.grace_s)}",
        "UMask=0077",
        "",
        "[Install]",
        f"WantedBy={'default.target' if user else 'multi-user.target'}",
    ]
    return "\n".join(lines) + "\n"


def _limit(failures: int | None, within_s: int) -> list[str]:
    if failures is None:
        return ["StartLimitIntervalSec=0"]
    return [f"StartLimitIntervalSec={within_s}", f"StartLimitBurst={failures}"]


def _secret_source(server: Server, env_file: str | None) -> list[str]:
    """Where the variables come from that the command moves to those of the server."""
    names = [secret.value for secret in server.secrets if secret.kind == "env"]
    if not names:
        return []
    if env_file is not None and env_file.isprintable():
        return [f"EnvironmentFile={_path(env_file)}"]
    said = (
        f"# This unit needs {', '.join(names)}: name a file of mode 0600 that sets it, NAME=value a line, by"
    )
    return [said, "# EnvironmentFile=/etc/llama-server.env"]


def _path(path: str) -> str:
    """A path where systemd takes the rest of the line, quotes included, for one."""
    return path.replace("%", "%%")


def systemd_word(word: str, *, dollar: bool = True) -> str:
    r"""A word for ExecStart, or for Environment (where `$` means itself).

    >>> systemd_word("50% $x"), systemd_word("a\nb"), systemd_word("$x", dollar=False)
    ('"50%% $$x"', '"a\\nb"', '$x')
    """
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    text = text.replace("$", "$$") if dollar else text
    text = "".join(c if c >= " " and c != "\x7f" else _escape(c) for c in text)
    plain = text and all(c.isalnum() or c in _SIMPLE for c in text)
    return text if plain else f'"{text}"'


def _escape(character: str) -> str:
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character) or f"\\x{ord(character):02x}"
