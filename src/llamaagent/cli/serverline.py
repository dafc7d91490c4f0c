"""A llama-server command line read into what a profile says. Pure but for making relative paths absolute.

What the agent passes itself is left out or becomes the key that stands for it, each with a line about it; a
secret's value goes nowhere.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.base.errors import BadInputError
from llamaagent.config.args import LEAST_VERBOSITY, OWNED, canonical_args, unknown_option
from llamaagent.config.catalogue import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.config.argv import ArgValue
    from llamaagent.config.catalogue import Catalogue, Option

MODEL_KEYS = {"model": "path", "model-url": "url", "hf-repo": "hf", "docker-repo": "docker"}
HIDDEN = "***"
_SECRETS = ("api-key", "hf-token")


class ServerLine(NamedTuple):
    """What a command line asks for. model: `path|url|hf|docker` and its value; secrets: option -> reference."""

    model: tuple[str, str] | None
    host: str | None
    port: int | None
    args: tuple[tuple[str, ArgValue], ...]
    secrets: dict[str, tuple[str, str]]  # option -> (env | file, name or path)
    notes: tuple[str, ...]  # what was left out or became another key
    faults: tuple[str, ...]


class Word(NamedTuple):
    """One option as it was given. values: the words that follow it."""

    option: Option
    spelling: str
    negated: bool
    values: tuple[str, ...]


def read_words(words: Sequence[str], catalogue: Catalogue) -> tuple[list[Word], list[str]]:
    """Split a command line as llama-server does: an option and its value are separate words (`--a=b` is taken too).

    The second list says what could not be read.
    """
    found: list[Word] = []
    faults: list[str] = []
    rest = list(words)
    while rest:
        spelling = rest.pop(0)
        hit = catalogue.find(spelling) if spelling.startswith("-") else None
        if hit is None and "=" in spelling and spelling.startswith("-"):
            spelling, _, value = spelling.partition("=")
            hit = catalogue.find(spelling)
            rest[:0] = [value] if hit is not None and hit[0].value != "none" else []
        if hit is None:
            faults.append(
                unknown_option(spelling, catalogue)
                if spelling.startswith("-")
                else f"{spelling!r} is no option"
            )
            continue
        option, negated = hit
        count = 0 if option.value == "none" or negated else option.values
        if len(rest) < count:
            faults.append(f"{spelling!r} needs a value")
            break
        found.append(Word(option, spelling, negated, tuple(rest[:count])))
        del rest[:count]
    return found, faults


def read_server_line(
    words: Sequence[str], name: str, catalogue: Catalogue | None = None, *, cwd: str | None = None
) -> ServerLine:
    """Read llama-server's options (without the program). name: of the profile, for the names of secrets.

    cwd: the folder of a server that runs, to which its relative paths, the model's too, belong. None: ours, and
    a relative model that is not there is left to the settings' models.directories.
    """
    catalogue = catalogue or load_catalogue()
    found, faults = read_words(words, catalogue)
    raw: dict[str, object] = {}
    owned: dict[str, str] = {}
    notes: list[str] = []
    for word in found:
        if word.option.name in OWNED:
            owned[word.option.name] = word.values[0] if word.values else ""
        elif word.option.name == "verbosity" and _below(word.values[0]):
            notes.append(
                f"{word.spelling} {word.values[0]} was left out: below {LEAST_VERBOSITY} no request is logged"
            )
        else:
            _add(raw, word)
    canonical = canonical_args(raw, catalogue, resolve=lambda _option, path: absolute(path, cwd))
    faults += [fault.message for fault in canonical.faults if fault.severity == "error"]
    notes += [fault.message for fault in canonical.faults if fault.severity != "error"]
    secrets = _secrets(owned, name, notes, cwd)
    model = _model(owned, faults, cwd)
    port = _port(owned.get("port"), faults)
    notes += [
        f"--{key} was left out: {OWNED[key].removeprefix('leave it out, ')}"
        for key in owned
        if _left_out(key)
    ]
    return ServerLine(model, owned.get("host"), port, canonical.args, secrets, tuple(notes), tuple(faults))


def _below(text: str) -> bool:
    return text.lstrip("-").isdigit() and int(text) < LEAST_VERBOSITY


def _add(raw: dict[str, object], word: Word) -> None:
    """Add an option given once more: it accumulates where llama-server lets it, else the last one counts."""
    name = word.option.name
    value: object = not word.negated
    if len(word.values) > 1:
        value = list(word.values)
    elif word.values:
        value = word.values[0]
        before = raw.get(name)
        if word.option.repeatable and before is not None:
            value = [*before, value] if isinstance(before, list) else [before, value]
    raw[name] = value


def absolute(path: str, cwd: str | None) -> str:
    """A path of a command line; `~` was for its shell to expand, and is taken so all the same."""
    return os.path.abspath(os.path.join(cwd or "", os.path.expanduser(path)))


def _model(owned: dict[str, str], faults: list[str], cwd: str | None) -> tuple[str, str] | None:
    given = [key for key in MODEL_KEYS if owned.get(key)]
    if len(given) > 1:
        faults.append(f"--{given[0]} and --{given[1]} are two models")
    if not given:
        return None
    value = owned[given[0]]
    if given[0] != "model":
        return MODEL_KEYS[given[0]], value
    return "path", model_path(value) if cwd is None else absolute(value, cwd)


def model_path(text: str) -> str:
    """A model's file, absolute when it is there; else as written, for the settings' models.directories."""
    path = os.path.expanduser(text)
    return os.path.abspath(path) if os.path.exists(path) or text.startswith((".", "~")) else text


def _port(text: str | None, faults: list[str]) -> int | None:
    if text is None:
        return None
    if not text.isdigit() or not 0 < int(text) < 65536:
        faults.append(f"--port {text} is no port")
        return None
    return int(text)


def _secrets(
    owned: dict[str, str], name: str, notes: list[str], cwd: str | None
) -> dict[str, tuple[str, str]]:
    made: dict[str, tuple[str, str]] = {}
    for option in _SECRETS:
        if owned.get(option):
            variable = secret_variable(name, option)
            made[option] = ("env", variable)
            notes.append(
                f"--{option}: its value was not written; put {variable}=... into the settings' env_file"
            )
    if owned.get("api-key-file"):
        made["api-key"] = ("file", absolute(owned["api-key-file"], cwd))
    return made


def secret_variable(name: str, option: str) -> str:
    """The variable that a profile's secret is read from.

    >>> secret_variable("qwen3-8b", "api-key")
    'QWEN3_8B_API_KEY'
    """
    word = re.sub(r"[^A-Z0-9]+", "_", f"{name}_{option}".upper())
    return word if word[0].isalpha() else f"_{word}"


def _left_out(key: str) -> bool:
    """Dropped without a key of the profile that takes its place."""
    return key not in {*MODEL_KEYS, "host", "port", *_SECRETS, "api-key-file"}


def without_secrets(words: Sequence[str], catalogue: Catalogue) -> tuple[list[str], list[str]]:
    """The same command line without its model, secrets as `***`, and which secrets these are.

    `new` makes a reference of a secret whatever its value is. Raises BadInputError when the line cannot be read:
    what cannot be read cannot be shown either.
    """
    found, faults = read_words(words, catalogue)
    if faults:
        raise BadInputError(faults[0])
    kept: list[str] = []
    secret: list[str] = []
    for word in found:
        if word.option.name in _SECRETS:
            secret.append(f"--{word.option.name}")
            kept += [word.spelling, HIDDEN]
        elif word.option.name != "model":
            kept += [word.spelling, *word.values]
    return kept, secret
