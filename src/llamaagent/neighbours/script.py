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
from llamaagent.config.serverline import REFERENCE
from llamaagent.config.special import looks_secret
from llamaagent.neighbours.carried import Taking, beside, profile_name
from llamaagent.neighbours.commandline import is_server, take_apart, take_server
from llamaagent.neighbours.dockerrun import take_run
from llamaagent.neighbours.environment import SECRETS, Variable
from llamaagent.neighbours.scriptcase import Cases, Known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.neighbours.carried import Source, Taken
    from llamaagent.neighbours.commandline import Command

KIND = "command"
_ASSIGNED = re.compile(r"(?:export\s+|readonly\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_USE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_READ = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=\"?\$\(\s*cat\s+([^()]+?)\s*\)\"?\s*")
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
    cases, known = Cases(), Known({}, {}, {}, source)
    for line, logical in _logical_lines(text):
        command, known = cases.enter(logical, known)
        taking.source = known.source
        if not _secret_file(command, known):
            for words in _commands(line, command, taking):
                known = _follow(taking, words, line, known, cases.name)
    if not taking.drafts:
        taking.lose("file", None, "no command runs llama-server or a container")
    return taking.result(KIND)


def _follow(taking: Taking, words: list[str], line: int, known: Known, chosen: str | None) -> Known:
    """What one simple command says; gives what is known after it. chosen: the word by which it is chosen."""
    assigned = _ASSIGNED.fullmatch(words[-1]) if len(words) == 1 else None
    if words[0] in {"export", "readonly", "declare"} and len(words) == 2:
        assigned = _ASSIGNED.fullmatch(words[1])
    if assigned:
        name, value = assigned[1], _put_in(assigned[2], known.values)
        known.values[name] = value
        if words[0] == "export":
            known.exported[name] = Variable(name, value, line)
        return known
    command = take_apart(words)
    if words[0] == "cd" and len(words) == 2:
        known = known._replace(source=_change_folder(known.source, _put_in(words[1], known.values)))
        taking.source = known.source
    elif command is not None:
        _take(taking, command, line, known, chosen)
    elif words[0] not in {"set", "exit", "echo", "export", ":", *_LEADING}:
        taking.lose(f"line {line}", line, f"{words[0]} is neither llama-server nor docker nor podman")
    return known


def _secret_file(command: str, known: Known) -> bool:
    """Note `KEY=$(cat FILE)`, which a profile can say by a reference."""
    read = _READ.fullmatch(command)
    if read is None or not (looks_secret(read[1]) or read[1] in SECRETS):
        return False
    try:
        words = shlex.split(read[2])
    except ValueError:
        return False
    if len(words) != 1 or "$" in words[0] or "`" in words[0]:
        return False
    known.files[read[1]] = beside(known.source, words[0])
    return True


def _is_secret(name: str, value: str) -> bool:
    """Whether a variable's value must not be shown; that of a KEY_FILE is where the key lies."""
    return looks_secret(name) and not (name.upper().endswith("_FILE") and value.startswith(("/", "~", ".")))


def _change_folder(source: Source, folder: str) -> Source:
    """Relative paths begin here from now on."""
    if "$" in folder:
        return source
    return source._replace(
        folder=beside(source, folder), folder_known=source.folder_known or folder.startswith(("/", "~"))
    )


def _take(taking: Taking, command: Command, line: int, known: Known, chosen: str | None) -> None:
    """Values of secret variables stay references; the others that the script sets are put in."""
    plain = {name: value for name, value in known.values.items() if not _is_secret(name, value)}
    for name, value in known.values.items():
        if _is_secret(name, value) and value and not REFERENCE.fullmatch(value):
            taking.hide(name, value)
    words = tuple(_put_in(word, plain) for word in command.words)
    variables = tuple((name, _put_in(value, plain)) for name, value in command.variables)
    command = command._replace(words=words, variables=variables, program=_put_in(command.program, plain))
    wanted = chosen or profile_name(_name(command, taking.source.default_name))
    draft = taking.draft(wanted, f"line {line}", line)
    done = (
        take_server(draft, command, tuple(known.exported.values()), "")
        if is_server(command.program)
        else take_run(draft, command, key="")
    )
    if not done:
        draft.drop()
        return
    for name, path in known.files.items():
        draft.document.setdefault("secrets", {})[SECRETS.get(name, name)] = {"file": path}


def _name(command: Command, otherwise: str) -> str:
    """What the command calls it: --alias, --name of a container, else the model's file."""
    pairs = dict(pairwise(command.words))
    called = pairs.get("--alias") or pairs.get("-a") or pairs.get("--name")
    model = pairs.get("-m") or pairs.get("--model") or pairs.get("-hf") or pairs.get("--hf-repo")
    if called or not model or not is_server(command.program):
        return called.partition(",")[0] if called else otherwise
    return os.path.basename(model).removesuffix(".gguf")


def _commands(line: int, logical: str, taking: Taking) -> Iterator[list[str]]:
    """The words of every simple command; what stands behind a redirection is left out."""
    if "$(" in logical or "`" in logical:
        if _PROGRAMS.search(logical):
            taking.lose(
                f"line {line}", line, "it holds the output of a command, which only a shell can put in"
            )
        return
    try:
        lexer = shlex.shlex(logical, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        tokens = list(lexer)
    except ValueError as error:
        if _PROGRAMS.search(logical):
            taking.lose(f"line {line}", line, f"it cannot be split into words: {error}")
        return
    for words in _simple(tokens):
        while words and words[0] in _LEADING - {"cd"}:
            del words[0]
        if words:
            yield words


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
