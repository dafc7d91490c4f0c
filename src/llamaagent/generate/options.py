"""The options of a generation: llama-server's names for them, the fields of its requests, and what a value may be."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from llamaagent.base.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Option(NamedTuple):
    """One option. names: llama-server's long spellings, no dashes. kind: float | int | bool | text | list | json."""

    field: str  # of a request, and of a cache key
    names: tuple[str, ...]
    kind: str = "float"
    separator: str = ";"  # of a list in one text


OPTIONS = (
    Option("temperature", ("temp", "temperature")),
    Option("top_k", ("top-k",), "int"),
    Option("top_p", ("top-p",)),
    Option("min_p", ("min-p",)),
    Option("top_n_sigma", ("top-nsigma", "top-n-sigma")),
    Option("typical_p", ("typical", "typical-p")),
    Option("xtc_probability", ("xtc-probability",)),
    Option("xtc_threshold", ("xtc-threshold",)),
    Option("repeat_last_n", ("repeat-last-n",), "int"),
    Option("repeat_penalty", ("repeat-penalty",)),
    Option("presence_penalty", ("presence-penalty",)),
    Option("frequency_penalty", ("frequency-penalty",)),
    Option("dry_multiplier", ("dry-multiplier",)),
    Option("dry_base", ("dry-base",)),
    Option("dry_allowed_length", ("dry-allowed-length",), "int"),
    Option("dry_penalty_last_n", ("dry-penalty-last-n",), "int"),
    Option("dry_sequence_breakers", ("dry-sequence-breaker",), "list", ""),
    Option("adaptive_target", ("adaptive-target",)),
    Option("adaptive_decay", ("adaptive-decay",)),
    Option("dynatemp_range", ("dynatemp-range",)),
    Option("dynatemp_exponent", ("dynatemp-exp",)),
    Option("mirostat", ("mirostat",), "int"),
    Option("mirostat_eta", ("mirostat-lr",)),
    Option("mirostat_tau", ("mirostat-ent",)),
    Option("samplers", ("samplers",), "list"),
    Option("ignore_eos", ("ignore-eos",), "bool"),
    Option("seed", ("seed",), "int"),
    Option("n_predict", ("n-predict", "predict"), "int"),
    Option("stop", ("stop", "reverse-prompt"), "list", ""),
    Option("grammar", ("grammar",), "text"),
    Option("json_schema", ("json-schema", "schema"), "json"),
)
BY_NAME = {name: option for option in OPTIONS for name in option.names}
_BY_FIELD = {option.field: option for option in OPTIONS}
_WORDS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}


def find(name: str) -> Option | None:
    """The option that llama-server's name, or the field of a request, means."""
    return BY_NAME.get(name.lstrip("-").replace("_", "-")) or _BY_FIELD.get(name)


def settings_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a request from options by either name; None is left out.

    Raises UsageError for a name that is no option of a generation, one given twice, and a value it cannot have.
    """
    made: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        option = find(name)
        if option is None:
            raise UsageError(f"{name} is not an option of a generation", hint=_nearest(name))
        if option.field in made:
            raise UsageError(f"{name} is given twice, under two names")
        made[option.field] = read_value(option, name, value)
    if "grammar" in made and "json_schema" in made:
        raise UsageError("a grammar and a schema exclude each other")
    return made


def read_value(option: Option, name: str, value: Any) -> Any:
    """A value as the request carries it. Raises UsageError naming the option."""
    kind = option.kind
    if kind in {"float", "int"}:
        return _number(name, value, whole=kind == "int")
    if kind == "bool":
        found = value if isinstance(value, bool) else _WORDS.get(str(value).lower())
        if found is None:
            raise UsageError(f"{name} is true or false, not {value!r}")
        return found
    if kind == "list":
        return _listed(option, value)
    if kind == "json":
        return _json(name, value)
    if not isinstance(value, str):
        raise UsageError(f"{name} is a text, not {value!r}")
    return value


def _number(name: str, value: Any, *, whole: bool) -> int | float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number) or (whole and number != int(number)):
        raise UsageError(f"{name} is a {'whole ' if whole else ''}number, not {value!r}")
    return int(number) if whole else number


def _listed(option: Option, value: Any) -> list[str]:
    if isinstance(value, str):
        return value.split(option.separator) if option.separator else [value]
    return [str(item) for item in value]


def _json(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise UsageError(f"{name} is not JSON: {error}") from error


def pairs(words: Iterable[str]) -> dict[str, str]:
    """`NAME=VALUE` words as a mapping. Raises UsageError for a word without `=`."""
    made: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"{word!r} is not of the form NAME=VALUE", hint="-o top-k=40")
        made[name.strip()] = value
    return made


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name.lstrip("-").replace("_", "-"), list(BY_NAME), 1, 0.5)
    return f"did you mean {near[0]}?" if near else "options: " + ", ".join(o.names[0] for o in OPTIONS)
