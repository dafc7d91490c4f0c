"""`args:` of a profile: any spelling of llama-server's options turned into one canonical form and an argv.

Pure: plain values in, plain values out. Numbers may come as the text that the person wrote (`0.70`, `017`);
what they mean depends on the option, which is known only here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.config.argv import TWO_VALUES, WORDS, argv_of
from llamaagent.config.catalogue import bare
from llamaagent.config.near import MOST, did_you_mean, nearest
from llamaagent.config.wording import shown, wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llamaagent.config.argv import ArgValue
    from llamaagent.config.catalogue import Catalogue, Option

    Resolve = Callable[[str, str], str]  # (long name of the option, path) -> absolute path

# What the agent passes itself, and where a profile says it.
OWNED = {
    "model": "use 'model:' of the profile",
    "model-url": "use 'model: {url: ADDRESS}'",
    "hf-repo": "use 'model: {hf: USER/REPO:QUANT}'",
    "hf-file": "use 'model: {hf: USER/REPO:QUANT}' or 'model: {url: ADDRESS}'",
    "hf-token": "use 'secrets: {hf-token: {env: NAME}}'",
    "docker-repo": "use 'model: {docker: REPO}'",
    "host": "use 'listen: {host: ADDRESS}'",
    "port": "use 'listen: {port: NUMBER}'",
    "api-key": "use 'secrets: {api-key: {env: NAME}}'",
    "api-key-file": "use 'secrets: {api-key: {file: PATH}}'",
    "metrics": "leave it out, it is always on",
    "log-file": "leave it out, the agent keeps the log (llamaagent logs NAME)",
    "log-disable": "leave it out, requests are counted from the log",
    "fit": "use 'resources: {gpu_memory: SIZE}'",
}
DANGEROUS = ("tools", "agent", "mcp-servers-config", "mcp-servers-json", "ui-mcp-proxy", "rpc")
JSON_TEXT = ("chat-template-kwargs", "json-schema", "ui-config")  # a mapping is written out as JSON
PATH_LISTS = ("lora", "lora-scaled", "control-vector", "control-vector-scaled")
_MEANT = {"verbose": "verbosity: 3", "ui": "ui-config"}  # a switch that was given a value
LEAST_VERBOSITY = 3  # below it the server logs no request


class ArgFault(NamedTuple):
    """What is wrong with one key of `args`."""

    key: str
    message: str
    severity: str = "error"


class Canonical(NamedTuple):
    """`args` by long names, sorted; the command line they make; what was wrong (those are left out)."""

    args: tuple[tuple[str, ArgValue], ...]
    argv: tuple[str, ...]
    faults: tuple[ArgFault, ...]


class _BadValueError(ValueError):
    """The value does not suit the option."""


def canonical_args(
    raw: Mapping[str, object],
    catalogue: Catalogue,
    *,
    allow_dangerous: bool = False,
    resolve: Resolve | None = None,
) -> Canonical:
    """Check and normalise options.

    raw: spelling -> None (left out), bool, int, float, text, or a list of these; a mapping where the option
    takes JSON. resolve: (long name, path) -> absolute path, for the options that take one.
    """
    faults: list[ArgFault] = []
    values: dict[str, ArgValue] = {}
    for name, (key, value) in _renamed(raw, catalogue, faults).items():
        option = catalogue.options[name]
        try:
            _refuse(option, key, value, allow_dangerous)
            result = None if value is None else _convert(option, value, resolve)
            if result is not None:
                _warn(key, name, result, faults)
                values[name] = result
        except _BadValueError as error:
            faults.append(ArgFault(key, str(error)))
    args = tuple(sorted(values.items()))
    return Canonical(args, argv_of(args), tuple(faults))


def rename(key: str, value: object, catalogue: Catalogue) -> tuple[str, object]:
    """(canonical name, value), a negated spelling turned round. Raises KeyError when unknown."""
    hit = catalogue.find(key)
    if hit is None:
        raise KeyError(key)
    option, negated = hit
    if negated and isinstance(value, bool):
        value = not value
    return option.name, value


def unknown_option(key: str, catalogue: Catalogue) -> str:
    """The sentence for a spelling that the catalogue does not have."""
    spelling = bare(key)
    today = catalogue.gone.get(spelling)
    if today is not None:
        return f"{key!r} is not an option of today's llama-server; {today}"
    near = nearest(spelling, catalogue.spellings)
    whose = f": {catalogue.source} has no such option" if catalogue.own else ""
    if near is None:
        return f"unknown key {key!r}{whose or ': llama-server has no such option'}"
    name, negated = catalogue.spellings[near]
    return f"unknown key {key!r}{whose}, did you mean {(near if negated else name)!r}?"


def _renamed(
    raw: Mapping[str, object], catalogue: Catalogue, faults: list[ArgFault]
) -> dict[str, tuple[str, object]]:
    """Canonical name -> (the spelling used, value)."""
    found: dict[str, tuple[str, object]] = {}
    for key, given in raw.items():
        try:
            name, value = rename(key, given, catalogue)
        except KeyError:
            text = unknown_option(key, catalogue) if len(faults) < MOST else f"unknown key {key!r}"
            faults.append(ArgFault(key, text))
            continue
        if name in found:
            faults.append(ArgFault(key, f"{found[name][0]!r} and {key!r} are the same option"))
        else:
            found[name] = (key, value)
    return found


def _refuse(option: Option, key: str, value: object, allow_dangerous: bool) -> None:
    """Raise for an option that cannot stand in a profile, whatever its value. key: the spelling that was used."""
    refusal = _refusal(option, key, value, allow_dangerous)
    if refusal is not None:
        raise _BadValueError(refusal)


def _refusal(option: Option, key: str, value: object, allow_dangerous: bool) -> str | None:
    name = option.name
    if name in OWNED:
        return f"{name!r} is set by the agent; {OWNED[name]}"
    if option.gone is not None:
        spelling = key if f"--{bare(key)}" in option.names else name
        return f"{spelling!r} is no longer an option of llama-server; {option.gone}"
    if option.exits:
        return f"{name!r} makes llama-server print something and end; run it by hand"
    if option.preset:
        return f"{name!r} chooses a model by itself; use 'model: {{hf: USER/REPO:QUANT}}'"
    if name in DANGEROUS and value is not False and value is not None and not allow_dangerous:
        return f"{name!r} lets clients act on this machine; it needs 'allow_dangerous: true'"
    return None


def _warn(key: str, name: str, value: ArgValue, faults: list[ArgFault]) -> None:
    if name == "verbose" or (name == "verbosity" and isinstance(value, int) and value > 4):
        text = f"{name!r} at this level makes llama-server fail some requests; use verbosity 4 at most"
        faults.append(ArgFault(key, text, "warning"))


def _convert(option: Option, value: object, resolve: Resolve | None) -> ArgValue | None:
    """The canonical value; None = nothing to pass."""
    if isinstance(value, dict):
        if option.name not in JSON_TEXT:
            raise _BadValueError(f"{option.name!r} takes {wanted(option)}, not a mapping")
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if option.value == "none":
        return _flag(option, value)
    if isinstance(value, list | tuple):
        return _list(option, list(value), resolve)
    single = _single(option, value, resolve)
    if option.name in TWO_VALUES:
        return _list(option, [*str(single).split()], resolve)
    return single


def _flag(option: Option, value: object) -> bool | None:
    if not isinstance(value, bool):
        meant = _MEANT.get(option.name)
        extra = f" (or use {meant!r})" if meant else ""
        raise _BadValueError(f"{option.name!r} is a switch: write true or false, not {shown(value)}{extra}")
    return value if value or option.negations else None


def _list(option: Option, values: list[object], resolve: Resolve | None) -> ArgValue | None:
    """Joined by the option's separator, or kept apart where every occurrence counts."""
    items = [_single(option, value, resolve) for value in values]
    if not items:
        return None
    if option.values > 1:
        if len(items) != option.values:
            raise _BadValueError(f"{option.name!r} takes {option.values} values, not {len(items)}")
        return tuple(str(item) for item in items)
    if len(items) == 1:
        return items[0]
    if option.repeatable:
        return tuple(_text(item) for item in items)
    if option.separator is None:
        raise _BadValueError(f"{option.name!r} takes one value, not a list")
    return option.separator.join(_text(item) for item in items)


def _single(option: Option, value: object, resolve: Resolve | None) -> str | int | float:
    """One value of the kind that the option takes."""
    if isinstance(value, list | tuple | dict) or value is None:
        raise _BadValueError(f"{option.name!r} takes {wanted(option)}, not {shown(value)} inside a list")
    if isinstance(value, bool):
        if option.value == "enum" and {"on", "off"} <= set(option.choices):
            return "on" if value else "off"
        raise _BadValueError(f"{option.name!r} takes {wanted(option)}, not {shown(value)}")
    text = _text(value)
    if option.name == "logit-bias" and "," in text:
        raise _BadValueError(
            "'logit-bias' takes one TOKEN(+/-)BIAS, the server drops the rest; write a list of them"
        )
    if option.value == "int" or (option.value == "number" and _is_whole(text)):
        return _integer(option, text)
    if option.value in {"float", "number"}:
        return _decimal(option, text)
    if option.value == "enum" and option.choices and text not in option.choices:
        near = did_you_mean(text, option.choices)
        raise _BadValueError(f"{option.name!r} takes {wanted(option)}, not {text!r}" + near)
    if resolve is not None and (option.value == "path" or option.name in PATH_LISTS):
        return _resolved(option, text, resolve)
    return text


def _integer(option: Option, text: str) -> int | str:
    if text in option.choices or text in WORDS.get(option.name, ()):
        return text
    try:
        number = int(text, 0) if text[:2].lower() in {"0x", "0o"} else int(text)
    except ValueError:
        number = _whole_float(option, text)
    if option.name == "verbosity" and number < LEAST_VERBOSITY:
        raise _BadValueError(
            f"'verbosity' must be {LEAST_VERBOSITY} or more: below it no request is logged or counted"
        )
    return number


def _whole_float(option: Option, text: str) -> int:
    """`1e3` is a whole number too."""
    try:
        number = float(text)
        if number == int(number):
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise _BadValueError(f"{option.name!r} takes {wanted(option)}, not {text!r}")


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _decimal(option: Option, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if number - number != 0:  # not a number, or infinite
        raise _BadValueError(f"{option.name!r} takes {wanted(option)}, not {text!r}")
    return number


def _resolved(option: Option, text: str, resolve: Resolve) -> str:
    """Every path in the value made absolute; `FILE:SCALE` keeps its scale."""
    if option.value == "path":
        return resolve(option.name, text)
    parts = []
    for part in text.split(","):
        path, colon, scale = part.rpartition(":") if option.name.endswith("-scaled") else (part, "", "")
        parts.append(resolve(option.name, path) + colon + scale if path else part)
    return ",".join(parts)


def _text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)
