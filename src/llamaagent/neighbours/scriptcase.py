"""A script that chooses among servers by a word: `case $1 in NAME) … ;; esac`, each branch with variables of its own.

Only the form with each pattern, each `;;` and `esac` at the end of a line is known; so are the scripts that `export
shell` writes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from llamaagent.neighbours.carried import Source
    from llamaagent.neighbours.environment import Variable

_CASE = re.compile(r"\s*case\s.*\sin\s*")
_PATTERN = re.compile(r"\s*\(?([^\s()'\"]+)\)\s*(.*)", re.DOTALL)
_CLOSED = re.compile(r"(.*?)\s*;;\s*", re.DOTALL)
_VERBS = frozenset({"start", "stop", "restart", "run", "up", "down", "serve", "server", "status", "debug"})


class Known(NamedTuple):
    """What a script has settled so far. files: variables whose value a file holds, and its path."""

    values: dict[str, str]
    exported: dict[str, Variable]
    files: dict[str, str]
    source: Source

    def copy(self) -> Known:
        """One of its own, for a branch."""
        return Known(dict(self.values), dict(self.exported), dict(self.files), self.source)


class Cases:
    """Follows the branches line by line. `name` is the word that the present one is chosen by, when it names one."""

    def __init__(self) -> None:
        self._before: list[Known] = []
        self.name: str | None = None

    def enter(self, line: str, known: Known) -> tuple[str, Known]:
        """What of a line is a command, and what is known there."""
        if _CASE.fullmatch(line):
            self._before.append(known.copy())
            return "", known
        if not self._before:
            return line, known
        if line.strip() == "esac":
            self.name = None
            return "", self._before.pop()
        if pattern := _PATTERN.fullmatch(line):
            word = pattern[1]
            is_name = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", word) and word not in _VERBS
            self.name = word if is_name else None
            known, line = self._before[-1].copy(), pattern[2]
        if closed := _CLOSED.fullmatch(line):
            line = closed[1]
        return line, known
