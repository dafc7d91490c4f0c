"""A profile written as YAML that a person goes on with: few lines, plain scalars where they are safe."""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from llamaagent.config.serverline import ServerLine

# Starts so and consists of these: no YAML reads it as anything but text.
_LONGEST_KEY = 1000  # YAML wants a longer one to be announced by a question mark
_PLAIN = re.compile(r"[A-Za-z/_][A-Za-z0-9/_.,+=@~%-]*(:[A-Za-z0-9/_.,+=@~%-]+)*|\d+\.\d+\.\d+\.\d+")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "never"})


def profile_text(line: ServerLine, *, name: str, state: str | None = None) -> str:
    """The whole file; ends with a line end."""
    out = [f"# {name}: llamaagent show {name} --command prints what it becomes"]
    if state is not None:
        out.append(f"state: {state}")
    if line.model is not None:
        kind, value = line.model
        out.append(f"model: {scalar(value)}" if kind == "path" else f"model: {{{kind}: {scalar(value)}}}")
    listen = _pairs((("host", line.host), ("port", line.port)))
    if listen:
        out.append(f"listen: {{{listen}}}")
    if line.secrets:
        out.append("secrets:")
        out += [f"  {option}: {{{kind}: {scalar(value)}}}" for option, (kind, value) in line.secrets.items()]
    if line.args:
        out.append("args:")
        out += [f"  {option}: {_value(value)}" for option, value in line.args]
    return "\n".join(out) + "\n"


def document_text(document: Mapping[str, object]) -> str:
    """A document of maps, lists and scalars as block YAML; ends with a line end."""
    return "".join(f"{line}\n" for line in _block(document, ""))


def _block(document: Mapping[str, object], indent: str) -> Iterator[str]:
    for key, value in document.items():
        if len(scalar(key)) > _LONGEST_KEY:
            yield f"{indent}? {scalar(key)}"
            yield f"{indent}: {inline(value)}"
        elif isinstance(value, dict) and value:
            yield f"{indent}{scalar(key)}:"
            yield from _block(value, f"{indent}  ")
        else:
            yield f"{indent}{scalar(key)}: {inline(value)}"


def inline(value: object) -> str:
    """A value on one line, as it may stand inside of brackets too.

    >>> inline(["a", "b,c", 1]), inline({"file": "/x y"}), inline(None)
    ('[a, "b,c", 1]', '{file: "/x y"}', 'null')
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)}: {_item(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_item(item) for item in value) + "]"
    return "null" if value is None else scalar(value)


def _key(key: object) -> str:
    text = _item(key)
    return f"? {text} " if len(text) > _LONGEST_KEY else text


def _item(value: object) -> str:
    """Inside of brackets a comma ends a plain text."""
    return quoted(value) if isinstance(value, str) and "," in value else inline(value)


def _pairs(pairs: Iterable[tuple[str, object]]) -> str:
    return ", ".join(f"{key}: {_value(value)}" for key, value in pairs if value is not None)


def _value(value: object) -> str:
    return inline(value)


def scalar(value: object) -> str:
    """One value; text in quotes as soon as it could be read as something else.

    >>> scalar(8192), scalar(True), scalar("a b"), scalar("on"), scalar("/m/x.gguf"), scalar("0.5")
    ('8192', 'true', '"a b"', '"on"', '/m/x.gguf', '"0.5"')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if '"' in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return quoted(text)


def quoted(text: str) -> str:
    r"""Text between double quotes; YAML takes no pair of surrogates, so what JSON writes as one is spelled out.

    >>> quoted('a"b'), quoted(chr(0x1F642))
    ('"a\\"b"', '"\\U0001f642"')
    """
    return "".join(json.dumps(c)[1:-1] if c < "\U00010000" else f"\\U{ord(c):08x}" for c in text).join('""')
