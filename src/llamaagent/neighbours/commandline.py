"""A command, as words, to what a profile says: llama-server itself, or docker or podman that run a container."""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.config.args import PATH_LISTS
from llamaagent.config.serverline import REFERENCE, read_server_line, read_words, secret_variable
from llamaagent.neighbours.carried import beside
from llamaagent.neighbours.environment import Variable, take_variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.config.catalogue import Catalogue, Option
    from llamaagent.config.serverline import ServerLine
    from llamaagent.neighbours.carried import Draft

ENGINES = ("docker", "podman")
_BEFORE = ("exec", "nohup", "command", "env")  # say nothing about the server
_WRAPPERS = (
    "numactl",
    "nice",
    "ionice",
    "taskset",
    "chrt",
    "stdbuf",
    "setpriv",
    "systemd-inhibit",
    "prlimit",
)
_SHELLS = ("sh", "bash", "dash", "zsh")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_SECRET_OPTION = re.compile(r"-{1,2}(?:[\w-]*[-_])?(?:api-?key|secret-key|access-key|token|secret|password)")


class Command(NamedTuple):
    """A command taken apart. program: llama-server by any path, or docker or podman."""

    variables: tuple[tuple[str, str], ...]
    wrap: tuple[str, ...]
    program: str
    words: tuple[str, ...]


def is_server(word: str) -> bool:
    """True for the llama-server program, wherever it lies."""
    name = os.path.basename(word)
    return name == "llama-server" or name.startswith("llama-server-")


def is_engine(word: str) -> bool:
    """True for the program of a container engine."""
    return os.path.basename(word) in ENGINES


def take_apart(words: Sequence[str]) -> Command | None:
    """Variables, wrapper, program and the rest; None when it runs neither llama-server nor a container."""
    rest = _inside_shell(words)
    variables: list[tuple[str, str]] = []
    while rest:
        assigned = _ASSIGNMENT.fullmatch(rest[0])
        if assigned:
            variables.append((assigned[1], assigned[2]))
        elif rest[0] not in _BEFORE:
            break
        del rest[0]
    at = next((index for index, word in enumerate(rest) if is_server(word) or is_engine(word)), None)
    if at is None or (at > 0 and os.path.basename(rest[0]) not in _WRAPPERS):
        return None
    return Command(tuple(variables), tuple(rest[:at]), rest[at], tuple(rest[at + 1 :]))


def _inside_shell(words: Sequence[str]) -> list[str]:
    """The words of `sh -c 'one plain command'`; a line that a shell must work out stays what it is."""
    is_shell = len(words) == 3 and os.path.basename(words[0]) in _SHELLS and words[1] in {"-c", "-lc", "-ec"}
    if not is_shell or re.search(r"[|&;<>()`\n]", words[2]):
        return list(words)
    try:
        return shlex.split(words[2])
    except ValueError:
        return list(words)


def take_server(draft: Draft, command: Command, variables: Sequence[Variable] = (), key: str = "cmd") -> bool:
    """Put a llama-server command line into a profile; False when it cannot be one, which is noted."""
    source = draft.taking.source
    program = command.program
    if "/" in program or program.startswith("~"):
        program = beside(source, program)
    catalogue = source.options(program if "/" in program else None)
    own = [Variable(*pair, draft.line) for pair in command.variables]
    extra = take_variables(draft, [*variables, *own], catalogue)
    words = [*_unless_given(extra, command.words, catalogue), *command.words]
    line = read_server_line(words, draft.name, catalogue, source.folder)
    for text in (*line.faults, *line.notes):
        draft.lose(key, text)
    for option, (kind, variable) in line.secrets.items():
        draft.document.setdefault("secrets", {})[option] = {kind: variable}
    hide_values(draft, words, catalogue)
    if line.model is None:
        draft.lose(key, "no model is named: a router that loads models on request has no equal here")
        return False
    put_server(draft, line)
    if "/" in program:
        draft.put("runtime.binary", program)
    draft.put("runtime.wrap", list(command.wrap) or None)
    if not source.folder_known:
        _note_relative(draft, words, key, catalogue)
    return True


def put_server(draft: Draft, line: ServerLine) -> None:
    """What was read of a command line, as a profile says it."""
    if line.model is not None:
        kind, value = line.model
        draft.put("model", value if kind == "path" else {kind: value})
        if "$" in value:
            draft.lose("model", f"{value!r} is written as it stands; a profile expands no variables")
    draft.put("listen.host", line.host)
    draft.put("listen.port", line.port)
    args = {name: list(value) if isinstance(value, tuple) else value for name, value in line.args}
    for name, given in args.items():
        if isinstance(given, str) and re.search(r"\$\{|\$[A-Z_]", given):
            draft.lose(f"args.{name}", f"{given!r} is written as it stands; a profile expands no variables")
    draft.put("args", args or None)


def take_secret_words(draft: Draft, words: Sequence[str], key: str) -> list[str]:
    """The words of a container's command without options that carry a secret, which become references."""
    kept: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if not _SECRET_OPTION.fullmatch(option) and option != "-hft":
            kept.append(word)
            continue
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("-") else ""
        name = "hf-token" if option == "-hft" else option.lstrip("-").replace("_", "-")
        match = REFERENCE.fullmatch(value)
        variable = match[1] if match else secret_variable(draft.name, name)
        if not match:
            draft.taking.hide(variable, value)
        if name in {"api-key", "hf-token"}:
            draft.secret(name, variable)
        else:
            name = variable
            draft.secret(variable, variable)
        draft.lose(
            key,
            f"{option}: its value was not written; put {variable}=... into the settings' env_file (secrets.{name})",
        )
    return kept


def _unless_given(extra: list[str], words: Sequence[str], catalogue: Catalogue) -> list[str]:
    """Options of variables that the command line does not set itself: there it wins."""
    given = {word.option.name for word in read_words(words, catalogue)[0]}
    kept: list[str] = []
    for word in read_words(extra, catalogue)[0]:
        if word.option.name not in given:
            kept += [word.spelling, *word.values]
    return kept


def hide_values(draft: Draft, words: Sequence[str], catalogue: Catalogue) -> None:
    """Remember the secrets of a command line, so that they are shown nowhere."""
    for word in read_words(words, catalogue)[0]:
        if (
            word.option.name in {"api-key", "hf-token"}
            and word.values
            and not REFERENCE.fullmatch(word.values[0])
        ):
            draft.taking.hide(f"{draft.name} {word.option.name}", word.values[0])


def is_relative(option: Option, value: str) -> bool:
    """True for a path that means a file only together with a folder."""
    takes_path = option.value == "path" or option.name in PATH_LISTS
    return takes_path and bool(value) and not value.startswith(("/", "~", "$"))


def _note_relative(draft: Draft, words: Sequence[str], key: str, catalogue: Catalogue) -> None:
    """A relative path means the folder that the neighbour runs in, which its file does not say."""
    for word in read_words(words, catalogue)[0]:
        path = word.values[0] if word.values else ""
        if is_relative(word.option, path):
            draft.lose(
                key, f"{word.spelling} {path}: taken as lying beside this file or in models.directories"
            )
