"""A command line, or a shell script that holds some, to profiles. Nothing is run and nothing is expanded.

Only plain commands are taken: words, quotes, continued lines, assignments in front, simple variables that the script
itself sets. What a shell would decide while it runs (conditions, loops, `$(…)`) is not known here.
"""

from __future__ import annotations

import os
import re
import shlex
from itertools import pairwise
from typing import TYPE_CHECKING

from llamaagent.config.foreign import text_of_file
from llamaagent.config.special import looks_secret
from llamaagent.neighbours.carried import Taking, beside, profile_name
from llamaagent.neighbours.commandline import is_server, take_apart, take_server
from llamaagent.neighbours.dockerrun import take_run
from llamaagent.neighbours.environment import Variable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.neighbours.carried import Source, Taken
    from llamaagent.neighbours.commandline import Command

KIND = "command"
_ASSIGNED = re.compile(r"(?:export\s+|readonly\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_USE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_OPERATORS = frozenset(
    {"&&", "||", "|", ";", "&", "|&", ";;", "(", ")", "<", ">", ">>", ">&", "&>", "<<", "<<<", "&>>"}
)
_LEADING = frozenset(
    {"if", "then", "else", "do", "while", "until", "!", "{", "time", "fi", "done", "}", "esac", "cd"}
)
_LONGEST = 100_000
_PROGRAMS = re.compile("llama-server|docker|podman")


def read_script(source: Source) -> Taken:
    """One profile for each llama-server or container command. Raises BadInputError for what is no text."""
    text = text_of_file(source.data, source.name).replace("\r\n", "\n")
    taking = Taking(source)
    values: dict[str, str] = {}
    exported: dict[str, Variable] = {}
    for line, words in _commands(text, taking):
        assigned = _ASSIGNED.fullmatch(words[-1]) if len(words) == 1 else None
        if words[0] in {"export", "readonly", "declare"} and len(words) == 2:
            assigned = _ASSIGNED.fullmatch(words[1])
        if assigned:
            name, value = assigned[1], _put_in(assigned[2], values)
            values[name] = value
            if words[0] == "export":
                exported[name] = Variable(name, value, line)
            continue
        command = take_apart(words)
        if words[0] == "cd" and len(words) == 2:
            _change_folder(taking, _put_in(words[1], values))
        elif command is not None:
            _take(taking, command, line, values, tuple(exported.values()))
        elif words[0] not in {"set", "exit", "echo", "export", *_LEADING}:
            taking.lose(f"line {line}", line, f"{words[0]} is neither llama-server nor docker nor podman")
    if not taking.drafts:
        taking.lose("file", None, "no command runs llama-server or a container")
    return taking.result(KIND)


def _change_folder(taking: Taking, folder: str) -> None:
    """Relative paths begin here from now on."""
    if "$" not in folder:
        known = taking.source.folder_known or folder.startswith(("/", "~"))
        taking.source = taking.source._replace(folder=beside(taking.source, folder), folder_known=known)


def _take(
    taking: Taking, command: Command, line: int, values: dict[str, str], exported: tuple[Variable, ...]
) -> None:
    """Values of secret variables stay references; the others that the script sets are put in."""
    known = {name: value for name, value in values.items() if not looks_secret(name)}
    for name, value in values.items():
        if looks_secret(name) and value:
            taking.hide(name, value)
    words = tuple(_put_in(word, known) for word in command.words)
    variables = tuple((name, _put_in(value, known)) for name, value in command.variables)
    command = command._replace(words=words, variables=variables, program=_put_in(command.program, known))
    draft = taking.draft(profile_name(_name(command, taking.source.default_name)), f"line {line}", line)
    done = (
        take_server(draft, command, exported, "")
        if is_server(command.program)
        else take_run(draft, command, key="")
    )
    if not done:
        draft.drop()


def _name(command: Command, otherwise: str) -> str:
    """What the command calls it: --alias, --name of a container, else the model's file."""
    pairs = dict(pairwise(command.words))
    called = pairs.get("--alias") or pairs.get("-a") or pairs.get("--name")
    model = pairs.get("-m") or pairs.get("--model") or pairs.get("-hf") or pairs.get("--hf-repo")
    if called or not model or not is_server(command.program):
        return called.partition(",")[0] if called else otherwise
    return os.path.basename(model).removesuffix(".gguf")


def _commands(text: str, taking: Taking) -> Iterator[tuple[int, list[str]]]:
    """(line, words) of every simple command; what stands behind a redirection is left out."""
    for line, logical in _logical_lines(text):
        if "$(" in logical or "`" in logical:
            if _PROGRAMS.search(logical):
                taking.lose(
                    f"line {line}", line, "it holds the output of a command, which only a shell can put in"
                )
            continue
        try:
            lexer = shlex.shlex(logical, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            tokens = list(lexer)
        except ValueError as error:
            if _PROGRAMS.search(logical):
                taking.lose(f"line {line}", line, f"it cannot be split into words: {error}")
            continue
        for words in _simple(tokens):
            while words and words[0] in _LEADING - {"cd"}:
                del words[0]
            if words:
                yield line, words


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines, continued ones joined; inside of one, comment lines are dropped (as people write them)."""
    held: list[str] = []
    begin = 1
    for number, line in enumerate(text.splitlines(), start=1):
        if not held:
            begin = number
        if line.lstrip().startswith("#"):
            continue
        if line.rstrip().endswith("\\"):
            held.append(line.rstrip()[:-1])
            continue
        whole = " ".join([*held, line])
        held = []
        if whole.strip():
            yield begin, whole
    if held:
        yield begin, " ".join(held)


def _simple(tokens: list[str]) -> Iterator[list[str]]:
    """Split at operators; the word behind a redirection belongs to it, and so does the number before it."""
    words: list[str] = []
    skip = False
    for token in tokens:
        if token in _OPERATORS or set(token) <= set("<>&|;()"):
            if "<" in token or ">" in token:
                skip = token[-1] in "<>&" or token in {"&>", "&>>"}
                if words and words[-1] in {"1", "2"}:
                    words.pop()
                continue
            yield words
            words, skip = [], False
        elif skip:
            skip = False
        else:
            words.append(token)
    yield words


def _put_in(text: str, values: dict[str, str]) -> str:
    done = _USE.sub(lambda match: values.get(match[1] or match[2], match[0]), text)
    return done if len(done) <= _LONGEST else text
