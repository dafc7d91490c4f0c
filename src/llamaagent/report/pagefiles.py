"""The SQL files of the user's own pages: what they may be called, and what must stand in them. Pure."""

from __future__ import annotations

import re

from llamaagent.base.errors import ConfigError

_NAME = re.compile("[a-z0-9_-]+")  # it is a part of addresses
_HEADING = "-- name:"
_REMARK = re.compile(r"/\*.*?\*/", re.DOTALL)


def check_name(key: str, path: str, taken: frozenset[str]) -> None:
    """Raise ConfigError for a name that a page cannot have. taken: pages of ours that are not made of SQL."""
    if not _NAME.fullmatch(key):
        raise ConfigError(f"{path}: the name of a page is made of a-z, 0-9, _ and -")
    if key in taken:
        raise ConfigError(
            f"{path}: {key} is a page of the report that no statements belong to",
            hint=f"give your page another name; {key}.html alone goes before ours",
        )


def check_form(text: str, path: str) -> None:
    """Raise ConfigError with the line of a statement without a heading, or of a heading that is none."""
    names: set[str] = set()
    open_line = 0  # of a heading whose statement has not begun
    for number, line in enumerate(_REMARK.sub(_blank, text).splitlines(), 1):
        if line.startswith(_HEADING):
            name = line.removeprefix(_HEADING).strip()
            if open_line:
                break
            if not name.isidentifier():
                raise ConfigError(
                    f"{path}:{number}: {name!r} is no name for a statement", hint="letters, digits, _"
                )
            if name in names:
                raise ConfigError(f"{path}:{number}: a second statement is named {name}")
            names.add(name)
            open_line = number
        elif line.strip() and not line.lstrip().startswith("--"):
            if not names:
                raise ConfigError(
                    f"{path}:{number}: a statement without a heading",
                    hint=f"`{_HEADING} NAME` in a line before it",
                )
            open_line = 0
    if open_line:
        raise ConfigError(f"{path}:{open_line}: no statement stands under this heading")


def _blank(found: re.Match[str]) -> str:
    return "\n" * found.group().count("\n")
