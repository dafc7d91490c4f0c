"""Typed values of the key-value store `config`: what a value's type is, how it is written as JSON, and back.

The five types are those of the tables before us: str, int, float, bool, json. What is read back equals what was
put in and has the same type; a value for which that cannot be promised is refused.
"""

from __future__ import annotations

import json
import re

from llamaagent.base.errors import BadInputError

TYPES = ("str", "int", "float", "bool", "json")
LONGEST_KEY = 200
LARGEST_VALUE_BYTES = 1 << 20
_DEEPEST = 100
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]*")
_SECRET_KEY = re.compile(
    r"(?:^|[._:/-]|(?<=[a-z])(?=[A-Z]))(password|passwd|secret|token|api_?key)$", re.IGNORECASE
)
_REFERENCE = re.compile(r"(?:env|file):.+", re.DOTALL)
_INT = re.compile(r"[+-]?\d+", re.ASCII)
_FLOAT = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?", re.ASCII)


def check_key(key: str, value: object = None) -> str:
    """Return the key. Raises BadInputError for what is no key, and for a secret that is no reference.

    A key that ends in password, secret, token or api_key may hold `env:NAME` or `file:/path` only: the database is
    copied, exported and published.
    """
    if len(key) > LONGEST_KEY or not _KEY.fullmatch(key):
        raise BadInputError(
            f"{key!r} is no key: letters, digits and _ . : / -, at most {LONGEST_KEY}, not beginning with a sign"
        )
    if _SECRET_KEY.search(key) and isinstance(value, str) and not _REFERENCE.fullmatch(value):
        raise BadInputError(
            f"{key} looks like a secret, and the database keeps none",
            hint="store env:NAME or file:/path instead",
        )
    return key


def encode(value: object) -> tuple[str, str]:
    """Return (JSON text, type) of a value.

    Raises BadInputError for one that JSON does not bring back as it was: an infinite number, a tuple, a key that
    is no text, anything that is too large or nested too deep.

    >>> encode("a"), encode(True), encode(1), encode(1.0), encode([None])
    (('"a"', 'str'), ('true', 'bool'), ('1', 'int'), ('1.0', 'float'), ('[null]', 'json'))
    """
    _refuse_unfaithful(value, 0)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        size = len(text.encode("utf-8", "surrogatepass"))
        text.encode()
    except UnicodeEncodeError:  # half of a pair: only its escape can be stored
        text = json.dumps(value, allow_nan=False)
        size = len(text)
    except ValueError as error:
        raise BadInputError(f"the value cannot be stored: {error}") from error
    if size > LARGEST_VALUE_BYTES:
        raise BadInputError(f"the value takes {size} bytes; at most {LARGEST_VALUE_BYTES} can be stored")
    return text, _type_of(value)


def decode(text: str, value_type: str) -> object:
    """Return the value that a row holds; a float that an older tool wrote as `1` is a float.

    >>> decode("1", "float"), decode('"1"', "str")
    (1.0, '1')
    """
    value: object = json.loads(text)
    if value_type == "float" and isinstance(value, int):
        return float(value)
    return value


def from_words(text: str, value_type: str | None = None) -> object:
    """Return the value that somebody typed, of the type asked for, else of the type that it looks like.

    Without a type: true and false, whole and other numbers, JSON objects, lists and null; all else is text.
    Raises BadInputError for a text that is no such value.

    >>> from_words("8"), from_words("8", "str"), from_words("0.5"), from_words("true"), from_words("[1]")
    (8, '8', 0.5, True, [1])
    """
    kind = value_type or _looks_like(text)
    if kind == "str":
        return text
    if kind == "bool" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    try:
        if kind == "int" and _INT.fullmatch(text):
            return int(text)
        if kind == "float" and (_INT.fullmatch(text) or _FLOAT.fullmatch(text)):
            return float(text)
        if kind == "json":
            value: object = json.loads(text)
            return value
    except (ValueError, RecursionError) as error:
        if value_type is None:
            return text
        raise BadInputError(f"{text[:80]!r} is no {kind}: {error}") from error
    raise BadInputError(f"{text[:80]!r} is no {kind}")


def _looks_like(text: str) -> str:
    if text in {"true", "false"}:
        return "bool"
    if _INT.fullmatch(text):
        return "int"
    if _FLOAT.fullmatch(text):
        return "float"
    return "json" if text == "null" or text[:1] in {"{", "["} else "str"


def _type_of(value: object) -> str:
    for kind, name in ((bool, "bool"), (int, "int"), (float, "float"), (str, "str")):
        if isinstance(value, kind):
            return name
    return "json"


def _refuse_unfaithful(value: object, depth: int) -> None:
    if depth > _DEEPEST:
        raise BadInputError(f"the value is nested more than {_DEEPEST} deep")
    if value is None or type(value) in {bool, int, float, str}:
        return
    if type(value) is list:
        for item in value:
            _refuse_unfaithful(item, depth + 1)
    elif type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise BadInputError(f"a key of an object must be text, not {key!r}")
            _refuse_unfaithful(item, depth + 1)
    else:
        raise BadInputError(
            f"a {type(value).__name__} cannot be stored: text, numbers, booleans, lists, objects and null can"
        )
