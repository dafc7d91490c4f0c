"""Variables that a neighbour gives to a server: what becomes an option, a card, a secret, or stays a variable."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.config.serverline import REFERENCE, secret_variable
from llamaagent.config.special import looks_secret

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.config.catalogue import Catalogue
    from llamaagent.neighbours.carried import Draft

SECRETS = {"LLAMA_API_KEY": "api-key", "HF_TOKEN": "hf-token"}
_CARDS = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
_ORDER = ("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_EXPANDS = re.compile(r"\$(?:\{|[A-Za-z_])")


class Variable(NamedTuple):
    """One variable. value None: taken from the environment of whoever starts the server."""

    name: str
    value: str | None
    line: int | None = None


def take_variables(draft: Draft, variables: Iterable[Variable], catalogue: Catalogue) -> list[str]:
    """Put variables where a profile has them; the words of a command line that LLAMA_ARG_ variables stand for."""
    words: list[str] = []
    for variable in variables:
        name, value, line = variable
        if not _VARIABLE.fullmatch(name):
            draft.lose("env", f"{name!r} is no name of a variable", line)
        elif name.startswith("LLAMA_ARG_"):
            words += _option(draft, variable, catalogue)
        elif name.startswith("LLAMAAGENT_"):
            draft.lose(f"env.{name}", "variables of this name are the agent's own", line)
        elif (name, value) == _ORDER and draft.get("runtime.kind") != "container":
            continue  # every launch of ours says so by itself
        elif name in _CARDS and value is not None and not _EXPANDS.search(value):
            take_cards(draft, name, value, line)
        elif value is None or REFERENCE.fullmatch(value):
            _refer(draft, variable, value)
        elif value and (looks_secret(name) or name in SECRETS):
            _hide(draft, variable, value)
        else:
            if _EXPANDS.search(value):
                draft.lose(f"env.{name}", "it is written as it stands; a profile expands no variables", line)
            draft.document.setdefault("runtime", {}).setdefault("env", {})[name] = value
    return words


def take_cards(draft: Draft, key: str, text: str, line: int | None = None) -> None:
    """`0,1`, uuids, `all`, or nothing to `resources.gpus`."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if text.strip() in {"all", "none"}:
        draft.put("resources.gpus", text.strip())
    elif not words or words[0] in {"-1", "void", "NoDevFiles"}:
        draft.put("resources.gpus", "none")
    elif len(set(words)) == len(words) and all(word.isdecimal() or len(word) > 4 for word in words):
        draft.put("resources.gpus", words)
    else:
        draft.lose(key, f"{text!r} is no list of cards", line)


def _option(draft: Draft, variable: Variable, catalogue: Catalogue) -> list[str]:
    """A LLAMA_ARG_ variable as the option that it means."""
    name, value, line = variable
    text = value or ""
    if value is None or REFERENCE.fullmatch(text):
        draft.lose(f"env.{name}", "an option cannot come from a variable here; write it under `args`", line)
        return []
    for option in catalogue.options.values():
        if option.env == name and not option.gone:
            if option.value != "none":
                return [option.names[-1], text]
            is_on = text.lower() in {"on", "enabled", "true", "1"}
            return [option.names[-1] if is_on else option.negations[-1]] if is_on or option.negations else []
        if option.env and option.negations and name == option.env.replace("LLAMA_ARG_", "LLAMA_ARG_NO_", 1):
            return [option.negations[-1]]
    draft.lose(f"env.{name}", f"{catalogue.source} has no option that is set by it", line)
    return []


def _refer(draft: Draft, variable: Variable, value: str | None) -> None:
    """A variable that comes from the environment: a reference says the same."""
    match = REFERENCE.fullmatch(value or "")
    source = match[1] if match else variable.name
    draft.secret(SECRETS.get(variable.name, variable.name), source)
    draft.lose(
        f"env.{variable.name}",
        f"it comes from outside; put {source}=... into the settings' env_file",
        variable.line,
    )


def _hide(draft: Draft, variable: Variable, value: str) -> None:
    """A literal secret becomes a reference; its value goes nowhere."""
    name = variable.name
    source = name
    if not draft.taking.hide(name, value):
        source = secret_variable(draft.name, name)
        draft.taking.hide(source, value)
    draft.secret(SECRETS.get(name, name), source)
    draft.lose(
        f"env.{name}",
        f"its value was not written; put {source}=... into the settings' env_file",
        variable.line,
    )
