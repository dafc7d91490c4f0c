"""`export llama-swap`: profiles as models of llama-swap's config.yaml. Pure; gives plain data, not YAML.

llama-swap splits `cmd` into lines, drops those that start with `#`, joins those that end with a backslash, replaces
`${NAME}` and then splits like a shell. Values that hold such things are quoted so that none of it happens to them.
Source: llama-swap's internal/config, commands.go and load.go.
"""

from __future__ import annotations

import shlex

from llamaagent.neighbours.outgoing import Left, cards_said, left_out, lines_of_options, supported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from llamaagent.neighbours.outgoing import Server

_CARRIED = (
    *("state", "priority", "evict.pinned", "runtime.binary", "runtime.env", "runtime.wrap", "listen"),
    *("health.path", "health.start_timeout", "stop.grace", "idle.stop_after", "labels"),
)
_REASONS = {
    "restart": "llama-swap starts a server again when the next request comes",
    "runtime.cwd": "llama-swap has no working directory for a model",
    "stop.drain": "llama-swap waits for nobody when it unloads",
    "health": "llama-swap asks only while a server starts, and only with GET",
    "schedule": "llama-swap has no hours",
}
_ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - read, not bound


def llamaswap_document(servers: Sequence[Server]) -> tuple[dict[str, Any], list[Left]]:
    """The whole configuration as plain data, and what it does not say."""
    kept, left = supported(servers, {"process"})
    models: dict[str, Any] = {}
    taken = {server.name for server in kept}
    for server in kept:
        model, missing = _model(server, taken)
        models[server.name] = model
        left += missing
    if not models:
        return {}, left
    document: dict[str, Any] = {
        "healthCheckTimeout": _start_timeout(kept),
        "models": models,
        "groups": _groups(kept),
    }
    preload = [server.name for server in kept if server.profile.state == "running"]
    if preload:
        document["hooks"] = {"on_startup": {"preload": preload}}
    priority = {server.name: server.profile.priority for server in kept if server.profile.priority}
    if priority:
        document["routing"] = {"scheduler": {"settings": {"fifo": {"priority": priority}}}}
    return document, left


def quoted_word(word: str) -> str:
    r"""A word of `cmd` that llama-swap hands on as it is.

    >>> quoted_word("a b"), quoted_word("${X}"), quoted_word("a\n#b")
    ("'a b'", "'$''{X}'", "'a''\n''#b'")
    """
    return shlex.quote(word).replace("${", "$''{").replace("\n", "''\n''")


def _model(server: Server, taken: set[str]) -> tuple[dict[str, Any], list[Left]]:
    profile = server.profile
    left: list[Left] = []
    fixed = profile.listen.port is not None
    port = str(profile.listen.port) if fixed else "${PORT}"
    made: dict[str, Any] = {"cmd": _command(server, port), "proxy": _proxy(server, port)}
    made["checkEndpoint"] = "none" if profile.health.probe == "none" else profile.health.path
    made["unloadTimeout"] = max(1, profile.stop.grace_s)
    if profile.idle.stop_after_s is not None:
        made["ttl"] = profile.idle.stop_after_s
    env = _environment(server, left)
    aliases = _aliases(server, taken, left)
    metadata = _metadata(server, left)
    made |= {
        key: value for key, value in (("env", env), ("aliases", aliases), ("metadata", metadata)) if value
    }
    for key, said in (("checkEndpoint", "health.path"), ("proxy", "args.api-prefix")):
        if "${" in made[key].replace("${PORT}", "", 1 if key == "proxy" and not fixed else 0):
            left.append(Left(server.name, said, "llama-swap would replace ${…} in it"))
            del made[key]
    carried = [*_CARRIED, *(["resources.gpus"] if cards_said(profile) else []), "secrets"]
    if profile.health.probe in {"none", "health", "http"}:
        carried.append("health.probe")
    return made, [*left, *left_out(profile, carried, _REASONS)]


def _command(server: Server, port: str) -> str:
    """One option a line; the port is the only word in which llama-swap may replace something."""
    words = server.at(server.profile.listen.host, "\0")
    lines = [
        " ".join("\0" if w == "\0" else quoted_word(w) for w in group) for group in _grouped(server, words)
    ]
    return "\n".join(lines).replace("\0", port) + "\n"


def _grouped(server: Server, words: tuple[str, ...]) -> list[list[str]]:
    return [list(words[: server.head]), *lines_of_options(words[server.head :])]


def _proxy(server: Server, port: str) -> str:
    host = server.profile.listen.host
    host = _ANY_HOST.get(host, f"[{host}]" if ":" in host else host)
    return f"{server.scheme}://{host}:{port}{server.prefix}"


def _environment(server: Server, left: list[Left]) -> list[str]:
    env: list[str] = []
    for name, value in server.env:
        if "${env." in value:
            left.append(Left(server.name, f"runtime.env.{name}", "llama-swap would replace ${env.…} in it"))
        else:
            env.append(f"{name}={value}")
    for secret in server.secrets:
        if secret.by_path:
            env.append(f"{secret.variable}={secret.value}")
        elif secret.kind == "env":
            env.append(f"{secret.variable}=${{env.{secret.value}}}")
        else:
            left.append(
                Left(server.name, f"secrets.{secret.option}", "llama-swap reads no variable from a file")
            )
    return env


def _aliases(server: Server, taken: set[str], left: list[Left]) -> list[str]:
    """The names that the server answers to, each once in the whole file."""
    value = server.profile.arg("alias")
    given = value if isinstance(value, tuple) else (str(value),) if value is not None else ()
    found: list[str] = []
    for alias in (part.strip() for text in given for part in str(text).split(",")):
        if not alias or alias == server.name or alias in found:
            continue
        if alias in taken:
            left.append(Left(server.name, f"alias {alias}", "another model of this file has this name"))
        else:
            found.append(alias)
    taken.update(found)
    return found


def _metadata(server: Server, left: list[Left]) -> dict[str, str]:
    made: dict[str, str] = {}
    for name, value in server.profile.labels:
        if "${" in value:
            left.append(Left(server.name, f"labels.{name}", "llama-swap would replace ${…} in it"))
        else:
            made[name] = value
    return made


def _groups(servers: Sequence[Server]) -> dict[str, Any]:
    """Without a group of their own llama-swap would run one model at a time."""
    made: dict[str, Any] = {}
    for name, pinned in (("together", False), ("pinned", True)):
        members = [server.name for server in servers if server.profile.evict.pinned == pinned]
        if members:
            made[name] = {"swap": False, "exclusive": False, "persistent": pinned, "members": members}
    return made


def _start_timeout(servers: Sequence[Server]) -> int:
    """llama-swap has one for all, of at least 15 s."""
    return max(15, *(server.profile.health.start_timeout_s or 86400 for server in servers))
