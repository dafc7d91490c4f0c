"""`export presets`: profiles as sections of llama-server's --models-preset file. Pure.

The grammar knows no quotes: a value ends at `;`, `#` or the line's end, blanks at its ends are dropped, a repeated key
replaces the one before, and an option with two values is refused. What cannot be written so is left out and said.
Source: llama.cpp's common/preset.cpp.
"""

from __future__ import annotations

from llamaagent.neighbours.outgoing import Left, left_out, supported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llamaagent.config.argv import ArgValue
    from llamaagent.neighbours.outgoing import Server

_CARRIED = (
    "state",
    "stop.grace",
    "secrets",
    "runtime.wrap",
    "runtime.env",
)  # secrets, wrap, env: reported below
_REASONS = {
    "runtime.binary": "the router starts its own program",
    "runtime.cwd": "all models run where the router runs",
    "listen": "the router gives each model an address of its own and answers for all at its own",
    "resources.gpus": "all models see the cards that the router sees (option device chooses among them)",
    "restart": "the router starts a model again when the next request comes",
    "idle.stop_after": "the router unloads by number (--models-max), not by time",
    "schedule": "the router has no hours",
}
_MODEL_KEYS = (("model", "path"), ("model-url", "url"), ("hf-repo", "hf"), ("docker-repo", "docker"))
_ROUTER_ONLY = ("models-dir", "models-preset", "models-max", "models-autoload")
_DROPPED = ("api-prefix", "ssl-cert-file", "ssl-key-file")
_TWO = "the file cannot say an option with two values"
_COMMENT = "the file takes ; and # for the start of a comment"
_SHAPE = "the file cannot hold line ends, nor blanks at an end of a value"
_AGAIN = "the file can say an option only once"


def presets_text(servers: Sequence[Server], separators: Mapping[str, str | None]) -> tuple[str, list[Left]]:
    """One section a profile, and what is missing in them. separators: of options that take lists in one value."""
    kept, left = supported(servers, {"process"}, "it is a container, and the router starts processes")
    sections: list[str] = []
    for server in kept:
        if any(server.profile.arg(name) is not None for name in ("models-dir", "models-preset")):
            left.append(Left(server.name, "model", "it is a router itself, and a router starts no other"))
            continue
        lines, missing = _section(server, separators)
        sections.append("\n".join(lines) + "\n")
        left += missing
    return "\n".join(sections), left


def _section(server: Server, separators: Mapping[str, str | None]) -> tuple[list[str], list[Left]]:
    profile = server.profile
    left = _said_apart(server)
    lines = [f"[{server.name}]"]
    if profile.model.url is not None:  # the router wants to know where it is kept
        _line(lines, left, server.name, "model.url", "model", server.argv[server.argv.index("--model") + 1])
    for key, field in _MODEL_KEYS:
        value = getattr(profile.model, field)
        if value is not None:
            _line(lines, left, server.name, f"model.{field}", key, value)
    _line(lines, left, server.name, "metrics", "metrics", True)
    for name, value in profile.args:
        if name in _DROPPED or name in _ROUTER_ONLY:
            left.append(Left(server.name, f"args.{name}", "the router decides it for all its models"))
        else:
            _argument(lines, left, server.name, name, value, separators.get(name))
    lines.append(f"load-on-startup = {'true' if profile.state == 'running' else 'false'}")
    lines.append(f"stop-timeout = {profile.stop.grace_s}")
    return lines, [*left, *left_out(profile, _CARRIED, _REASONS)]


def _said_apart(server: Server) -> list[Left]:
    """What belongs to the environment of the router, which is one for all."""
    profile = server.profile
    left = [
        Left(server.name, f"runtime.env.{name}", "all models get the router's environment")
        for name, _ in profile.runtime.env
    ]
    if profile.runtime.wrap:
        left.append(Left(server.name, "runtime.wrap", "the router starts its own program"))
    for option, ref in profile.secrets:
        reason = f"give it to the router ({ref}); its models get none of their own"
        left.append(Left(server.name, f"secrets.{option}", reason))
    return left


def _argument(
    lines: list[str], left: list[Left], name: str, option: str, value: ArgValue, separator: str | None
) -> None:
    if isinstance(value, tuple):
        if separator is None or any(separator in item for item in value):
            reason = _TWO if option == "control-vector-layer-range" else _AGAIN
            left.append(Left(name, f"args.{option}", reason))
            return
        value = separator.join(value)
    _line(lines, left, name, f"args.{option}", option, value)


def _line(lines: list[str], left: list[Left], name: str, key: str, option: str, value: ArgValue) -> None:
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    if ";" in text or "#" in text:
        left.append(Left(name, key, _COMMENT))
    elif text != text.strip(" \t") or "\n" in text or "\r" in text:
        left.append(Left(name, key, _SHAPE))
    else:
        lines.append(f"{option} = {text}")
