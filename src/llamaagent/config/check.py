"""One node against its Spec: the canonical plain value, or a fault that says what would be right.

Canonical values are JSON and are themselves good YAML input: durations and sizes in their shortest exact
spelling, paths absolute, numbers as numbers. Free of I/O except that models are looked for on disk.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.base import units
from llamaagent.config import special
from llamaagent.config.near import MOST, did_you_mean, nearest
from llamaagent.config.node import Faults, Mark, Node, kind_of
from llamaagent.config.schema import NAME_PATTERN, PROJECT, Spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.config.catalogue import Catalogue
    from llamaagent.config.files import Places
    from llamaagent.config.special import Json

MISSING = special.MISSING


class Checker(NamedTuple):
    """What checking needs besides the node."""

    faults: Faults
    places: Places
    catalogue: Catalogue

    def value(self, label: str, node: Node, spec: Spec) -> Json:
        """The canonical value of one key, MISSING after a fault."""
        return _READERS[spec.kind](self, label, node, spec)

    def entries(self, node: Node, keys: dict[str, Spec], where: str) -> dict[str, Json]:
        """The canonical entries of a map; faults for unknown keys and wrong values."""
        out: dict[str, Json] = {}
        unknown = 0
        for key, (mark, item) in node.map.items():
            spec = keys.get(key)
            if spec is None:
                unknown += 1
                text = self._unknown(key, keys, where) if unknown <= MOST else f"unknown key {key!r}"
                self.faults.add(mark, text)
                continue
            value = self.value(key, item, spec)
            if value is not MISSING:
                out[key] = value
        return out

    def _unknown(self, key: str, keys: dict[str, Spec], where: str) -> str:
        near = nearest(key, keys)
        if near is None and where == "profile" and self.catalogue.find(key):
            return f"unknown key {key!r}: options of llama-server stand under 'args'"
        if near is None:
            place = "" if where in {"profile", "settings"} else f" in {where!r}"
            return f"unknown key {key!r}{place}; known are {', '.join(sorted(keys))}"
        return f"unknown key {key!r}, did you mean {near!r}?"

    def wrong(self, label: str, node: Node, wanted: str) -> Json:
        """Note that a value is of the wrong kind."""
        self.faults.add(node.mark, f"{label!r} must be {wanted}, not {kind_of(node)}")
        return MISSING

    def say(self, mark: Mark, message: str) -> Json:
        """Note a fault."""
        self.faults.add(mark, message)
        return MISSING


def text_of(node: Node) -> str | None:
    """Text, or a number as it was written; None for anything else."""
    if isinstance(node.value, str):
        return node.value
    return node.text


def _text(check: Checker, label: str, node: Node, _spec: Spec) -> Json:
    text = text_of(node)
    if text is None:
        return check.wrong(label, node, "text")
    if not text.strip() or "\0" in text:
        return check.say(node.mark, f"{label!r} is empty")
    return text


def _url(check: Checker, label: str, node: Node, _spec: Spec) -> Json:
    """The message does not quote it: who knows such an address may use it."""
    text = text_of(node)
    if text is None or not re.fullmatch(r"https?://[^\s/]\S*", text):
        return check.say(node.mark, f"{label!r} must be an http:// or https:// URL")
    return text


def _name(check: Checker, label: str, node: Node, _spec: Spec) -> Json:
    text = text_of(node)
    if text is None or not re.fullmatch(NAME_PATTERN, text) or len(text) > 100:
        wanted = "small letters, digits, '.', '_' and '-', a letter or digit first"
        return check.wrong(label, node, wanted)
    return text


def _choice(check: Checker, label: str, node: Node, spec: Spec) -> Json:
    text = text_of(node)
    if text not in spec.choices:
        near = did_you_mean(text, spec.choices) if text else ""
        return check.say(node.mark, f"{label!r} must be {_one_of(spec.choices)}, not {kind_of(node)}{near}")
    return text


def _one_of(words: tuple[str, ...]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def _bool(check: Checker, label: str, node: Node, _spec: Spec) -> Json:
    return node.value if isinstance(node.value, bool) else check.wrong(label, node, "true or false")


def _number(check: Checker, label: str, node: Node, spec: Spec) -> Json:
    value = node.value
    whole = spec.kind == "int"
    bounds = _bounds(spec)
    if isinstance(value, bool) or not isinstance(value, int | float) or value - value != 0:  # infinite
        return check.wrong(label, node, f"a {'whole ' * whole}number{bounds}")
    if whole and value != int(value):
        return check.wrong(label, node, f"a {'whole ' * whole}number{bounds}")
    if (spec.low is not None and value < spec.low) or (spec.high is not None and value > spec.high):
        return check.wrong(label, node, f"a {'whole ' * whole}number{bounds}")
    return int(value) if value == int(value) else float(value)


def _bounds(spec: Spec) -> str:
    if spec.low is not None and spec.high is not None:
        return f" from {spec.low:g} to {spec.high:g}" if spec.high < 1_000_000 else ""
    return f" of at least {spec.low:g}" if spec.low is not None else ""


def _quantity(
    parse: Callable[[str], object], form: Callable[..., str], example: str
) -> Callable[[Checker, str, Node, Spec], Json]:
    """A reader for what has units: parse the text, give its canonical spelling."""

    def read(check: Checker, label: str, node: Node, spec: Spec) -> Json:
        text = text_of(node)
        if text is None:
            return check.wrong(label, node, example)
        try:
            value = parse(text)
        except units.UnitError as error:
            return check.say(node.mark, f"{label!r}: {error}")
        if value is None and not spec.never:
            return check.say(node.mark, f"{label!r} cannot be never")
        if isinstance(value, int) and spec.low is not None and value < spec.low:
            return check.say(node.mark, f"{label!r} must be at least {form(int(spec.low))}")
        return form(value)

    return read


def _list(check: Checker, label: str, node: Node, spec: Spec) -> Json:
    """A list; a single entry may stand without one."""
    if isinstance(node.value, dict | bool) or node.value is None:
        return check.wrong(label, node, "a list")
    item_spec = Spec(spec.item, choices=spec.choices)
    nodes = node.items if isinstance(node.value, list) else [node]
    values = [check.value(label, item, item_spec) for item in nodes]
    return MISSING if MISSING in values else values


def _map(check: Checker, label: str, node: Node, spec: Spec) -> Json:
    if not isinstance(node.value, dict):
        return check.wrong(label, node, "a mapping")
    return check.entries(node, dict(spec.keys), label)


def _texts(check: Checker, label: str, node: Node, _spec: Spec) -> Json:
    if not isinstance(node.value, dict):
        return check.wrong(label, node, "a mapping of names to text")
    out: dict[str, Json] = {}
    for key, (_, item) in node.map.items():
        text = text_of(item)
        if text is None:
            hint = "text (put it in quotes)" if isinstance(item.value, bool) else "text"
            check.wrong(f"{label}.{key}", item, hint)
        else:
            out[key] = text
    return out


def _path(check: Checker, label: str, node: Node, spec: Spec) -> Json:
    text = _text(check, label, node, spec)
    return check.places.absolute(text, node.mark.file) if isinstance(text, str) and text != MISSING else text


def _model(check: Checker, label: str, node: Node, spec: Spec) -> Json:
    text = _text(check, label, node, spec)
    return (
        check.places.find_model(text, node.mark.file) if isinstance(text, str) and text != MISSING else text
    )


def _binary(check: Checker, label: str, node: Node, spec: Spec) -> Json:
    text = _text(check, label, node, spec)
    if isinstance(text, str) and ("/" in text or text.startswith("~")):
        return check.places.absolute(text, node.mark.file)
    return text


def _projects(check: Checker, label: str, node: Node, _spec: Spec) -> Json:
    if not isinstance(node.value, dict):
        return check.wrong(label, node, "a mapping of project names to limits")
    out: dict[str, Json] = {}
    for key, (mark, item) in node.map.items():
        if not re.fullmatch(NAME_PATTERN, key):
            check.say(mark, f"project name {key!r} must be small letters, digits, '.', '_' and '-'")
            continue
        value = _map(check, key, item, PROJECT)
        if value is not MISSING:
            out[key] = value
    return out


_READERS: dict[str, Callable[[Checker, str, Node, Spec], Json]] = {
    "text": _text,
    "url": _url,
    "name": _name,
    "choice": _choice,
    "bool": _bool,
    "int": _number,
    "number": _number,
    "duration": _quantity(units.parse_duration, units.format_duration, "a duration such as 30s or 5m"),
    "size": _quantity(units.parse_size, units.format_size, "a size such as 512MiB"),
    "rate": _quantity(units.parse_rate, units.format_rate, "an amount per window such as 100/week"),
    "list": _list,
    "map": _map,
    "texts": _texts,
    "path": _path,
    "model": _model,
    "binary": _binary,
    "projects": _projects,
    "env": special.read_env,
    "secrets": special.read_secrets,
    "gpus": special.read_gpus,
    "port": special.read_port,
    "range": special.read_range,
    "window": special.read_window,
    "zone": special.read_zone,
    "command": special.read_command,
    "unit": special.read_unit,
    "give_up": special.read_give_up,
    "args": special.read_args,
}
