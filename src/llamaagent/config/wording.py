"""What an option takes, and what it was given, in words for a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamaagent.config.catalogue import Option


def wanted(option: Option) -> str:
    """`a whole number`, `one of on, off`, ..."""
    if option.value == "enum" and option.choices:
        return "one of " + ", ".join(option.choices)
    words = {
        "int": "a whole number",
        "float": "a number",
        "number": "a number",
        "path": "a path",
        "list": "a list or a text",
    }
    return " or ".join([words.get(option.value, "a text"), *option.choices[:4]])


def shown(value: object) -> str:
    """`true`, `a list`, `nothing`, or the value itself."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return {list: "a list", tuple: "a list", dict: "a mapping", type(None): "nothing"}.get(
        type(value), repr(value)
    )
