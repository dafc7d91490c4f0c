"""Words of a systemd command line, as systemd splits and expands them. Pure."""

from __future__ import annotations

import re

_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "s": " ",
    "\\": "\\",
    '"': '"',
    "'": "'",
}
_CODE = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|([0-7]{3})")
_WHOLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_INSIDE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PREFIXES = "-@:+!|"


class UnitSyntaxError(Exception):
    """The line cannot be split; the message says why."""


def without_prefix(text: str) -> tuple[str, str]:
    """The command without the signs in front of it, and these."""
    bare = text.lstrip(_PREFIXES + " \t")
    return bare, text[: len(text) - len(bare)].replace(" ", "")


def split_words(text: str, variables: dict[str, str] | None) -> list[str]:
    r"""Words; variables: what `$NAME` (a word by itself, split at blanks) and `${NAME}` stand for, None: leave them.

    A variable that is not known stays as it is written. `%%` is a percent sign, other specifiers stay.
    Raises UnitSyntaxError for quotes that do not close.

    >>> split_words(r'/bin/x "a b" \x41 ${N}.gguf $M', {"N": "q", "M": "-c 5"})
    ['/bin/x', 'a b', 'A', 'q.gguf', '-c', '5']
    """
    words: list[str] = []
    for word, is_quoted in _split(text):
        plain = word.replace("%%", "%")
        if variables is None:
            words.append(plain)
            continue
        alone = None if is_quoted else _WHOLE.fullmatch(plain)
        if alone and alone[1] in variables:
            words += variables[alone[1]].split()
        else:
            words.append(_INSIDE.sub(lambda match: _value(match, variables), plain))
    return words


def _value(match: re.Match[str], variables: dict[str, str]) -> str:
    return "$" if match[0] == "$$" else variables.get(match[1], match[0])


def _split(text: str) -> list[tuple[str, bool]]:
    """(word, was it quoted); quotes count only where a word begins or goes on after a quoted part."""
    words: list[tuple[str, bool]] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        word: list[str] = []
        quoted = False
        while at < len(text) and not text[at].isspace():
            if text[at] in "\"'":
                part, at = _quoted(text, at)
                word.append(part)
                quoted = True
            elif text[at] == "\\":
                part, at = _escape(text, at)
                word.append(part)
            else:
                word.append(text[at])
                at += 1
        words.append(("".join(word), quoted))
    return words


def _quoted(text: str, at: int) -> tuple[str, int]:
    """What stands between two equal quotes, and where to go on."""
    quote = text[at]
    at += 1
    out: list[str] = []
    while at < len(text):
        if text[at] == quote:
            return "".join(out), at + 1
        if text[at] == "\\":
            part, at = _escape(text, at)
            out.append(part)
        else:
            out.append(text[at])
            at += 1
    raise UnitSyntaxError("a quote is not closed")


def _escape(text: str, at: int) -> tuple[str, int]:
    code = _CODE.match(text, at + 1)
    if code:
        number = int(code[1] or code[2] or code[3], 8 if code[3] else 16)
        return chr(number), code.end()
    letter = text[at + 1 : at + 2]
    return _ESCAPES.get(letter, "\\" + letter), at + 2
