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
from llamaagent.domain.profile import ModelRef

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.config.argv import ArgValue
    from llamaagent.config.catalogue import Catalogue, Option

MODEL_KEYS = {"model": "path", "model-url": "url", "hf-repo": "hf", "docker-repo": "docker"}
HIDDEN = "***"
_SECRETS = ("api-key", "hf-token")
REFERENCE = re.compile(r"\$(?:\{(?:env\.)?)?([A-Za-z_][A-Za-z0-9_]*)\}?")  # $NAME, ${NAME}, ${env.NAME}


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
            if not spelling.startswith("-"):
                faults.append(f"{spelling!r} is no option")
                continue
            faults.append(unknown_option(spelling, catalogue))
            if rest and not rest[0].startswith("-"):
                del rest[0]  # its value, which may be one not to be shown
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
    words: Sequence[str],
    name: str,
    catalogue: Catalogue | None = None,
    folder: str = "",
    *,
    cwd: str | None = None,
) -> ServerLine:
    """Read llama-server's options (without the program).

    name: of the profile, for the names of secrets. folder: where relative paths begin, default the working one; a
    relative model that is not there is left to the settings' models.directories. cwd: the folder of a server that
    runs, to which its relative paths, the model's too, belong in any case.
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
    folder = folder if cwd is None else cwd
    canonical = canonical_args(raw, catalogue, resolve=lambda _option, path: absolute(path, folder))
    faults += [fault.message for fault in canonical.faults if fault.severity == "error"]
    notes += [fault.message for fault in canonical.faults if fault.severity != "error"]
    secrets = _secrets(owned, name, notes, folder)
    _one_of_two(owned, notes)
    model = _model(owned, faults, folder, certain=cwd is not None)
    port = _port(owned.get("port"), faults)
    notes += [
        f"--{key} was left out: {OWNED[key].removeprefix('leave it out, ')}"
        for key in owned
        if _left_out(key)
    ]
    return ServerLine(model, owned.get("host"), port, canonical.args, secrets, tuple(notes), tuple(faults))


def _below(text: str) -> bool:
    return re.fullmatch("-?[0-9]{1,9}", text) is not None and int(text) < LEAST_VERBOSITY


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


def absolute(path: str, folder: str) -> str:
    """A path of a command line; `~` was for its shell to expand, and is taken so all the same."""
    if path.startswith("$"):  # begins with a variable that nobody expanded
        return path
    return os.path.abspath(os.path.join(folder, os.path.expanduser(path)))


def _one_of_two(owned: dict[str, str], notes: list[str]) -> None:
    """--model beside --model-url says where the download is kept, and the agent chooses that."""
    if not (owned.get("model") and owned.get("model-url")):
        return
    place = owned.pop("model")
    if os.path.basename(place) != ModelRef(url=owned["model-url"]).url_file:
        notes.append(
            f"--model {place}: a profile does not say where a download is kept (env LLAMA_CACHE does)"
        )


def _model(owned: dict[str, str], faults: list[str], folder: str, *, certain: bool) -> tuple[str, str] | None:
    given = [key for key in MODEL_KEYS if owned.get(key)]
    if len(given) > 1:
        faults.append(f"--{given[0]} and --{given[1]} are two models")
    if not given:
        return None
    value = owned[given[0]]
    if given[0] != "model":
        return MODEL_KEYS[given[0]], value
    return "path", absolute(value, folder) if certain else model_path(value, folder)


def model_path(text: str, folder: str = "") -> str:
    """A model's file, absolute when it is there; else as written, for the settings' models.directories."""
    path = absolute(text, folder)
    return path if os.path.exists(path) or text.startswith((".", "~")) else text


def _port(text: str | None, faults: list[str]) -> int | None:
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,9}", text) or not 0 < int(text) < 65536:
        faults.append(f"--port {text} is no port")
        return None
    return int(text)


def _secrets(owned: dict[str, str], name: str, notes: list[str], folder: str) -> dict[str, tuple[str, str]]:
    made: dict[str, tuple[str, str]] = {}
    for option in _SECRETS:
        if owned.get(option):
            reference = REFERENCE.fullmatch(owned[option])
            variable = reference[1] if reference else secret_variable(name, option)
            made[option] = ("env", variable)
            notes.append(
                f"--{option}: its value was not written; put {variable}=... into the settings' env_file"
            )
    if owned.get("api-key-file"):
        made["api-key"] = ("file", absolute(owned["api-key-file"], folder))
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
