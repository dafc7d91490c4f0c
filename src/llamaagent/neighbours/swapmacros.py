"""llama-swap's macros, ports and commands: text put in place of `${name}`. Pure."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.neighbours.yamlread import map_of, refused, text_of

if TYPE_CHECKING:
    from llamaagent.config.node import Node

RESERVED = ("PID", "PORT", "MODEL_ID")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,63}")
_USE = re.compile(r"\$\{([a-zA-Z0-9_-]+)\}")  # `${env.X}` has a point and stays
_LONGEST = 100_000  # characters of a text with its macros put in


class UnknownMacroError(Exception):
    """A text uses a macro that nobody defined; the message is its name."""


class Macros(NamedTuple):
    """What stands for each name."""

    values: dict[str, str]

    def put_in(self, text: str) -> str:
        """The text with every macro replaced. Raises UnknownMacroError; `${PID}` stays."""

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name in self.values:
                return self.values[name]
            if name in RESERVED:
                return match[0]
            raise UnknownMacroError(name)

        done = _USE.sub(value, text)
        if len(done) > _LONGEST:
            raise UnknownMacroError("(the text grows beyond all measure)")
        return done

    def with_values(self, **values: str) -> Macros:
        """The same with more, put into the others too (`${PORT}` in a macro means the port of the model)."""
        more = Macros({**self.values, **values})
        return Macros({name: more.put_in(text) for name, text in more.values.items()})


def read_macros(node: Node | None, above: Macros) -> Macros:
    """A mapping or an ordered list of one-entry mappings; each may use those before it.

    Raises BadInputError for what llama-swap refuses: reserved or odd names, values with parts.
    """
    values = dict(above.values)
    for name, item in _entries(node):
        if name in RESERVED:
            raise refused(item, f"macro name {name!r} is reserved")
        if not _NAME.fullmatch(name):
            raise refused(item, f"{name!r} is no name of a macro: letters, digits, _ and -, at most 63")
        text = text_of(item)
        if text is None:
            raise refused(item, f"macro {name!r} must be a single value")
        try:
            values[name] = Macros(values).put_in(text)
        except UnknownMacroError as error:
            raise refused(item, f"macro {name!r} uses ${{{error}}}, which is not defined before it") from None
    return Macros(values)


def _entries(node: Node | None) -> list[tuple[str, Node]]:
    if node is not None and isinstance(node.value, list):
        return [pair for item in node.items for pair in _entries(item)]
    found = map_of(node, "macros")
    return [(name, item) for name, (_, item) in found.map.items()] if found else []


def split_command(text: str) -> list[str]:
    r"""Words as llama-swap splits them: comment lines dropped, lines joined, quotes as in a POSIX shell, no expansion.

    Raises ValueError for quotes that do not close.

    >>> split_command("llama-server \\\n  # hot\n  -m 'a b.gguf'\n  --temp 0.5")
    ['llama-server', '-m', 'a b.gguf', '--temp', '0.5']
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines)
    return shlex.split(re.sub(r"\\[ \t]*\n", " ", joined))
