"""The table of docs/cases.md: what can befall a supervisor, and the tests that bear each case's number.

cog runs it (make docs); tests/test_cases.py holds both sides together.
"""

from __future__ import annotations

import ast
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TESTS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests")

# peers: what other supervisors of model servers got wrong. sqlite: what a disk, a clock or a killer can do.
CASES = {
    "peers 5.1": "the agent is killed between its intent, the spawn and the storing of the pid",
    "peers 5.2": "a stored pid belongs to another process by now",
    "peers 5.3": "a stored pid was counted in another pid namespace",
    "peers 5.4": "the machine was started again, and the same pid lives",
    "peers 5.5": "another program answers on the port",
    "peers 5.6": "a port that was chosen is taken, and profiles come before others in the alphabet",
    "peers 5.7": "the leader ends and its grandchild lives",
    "peers 5.8": "a server is a zombie",
    "peers 5.9": "a server ignores SIGTERM, or cannot be killed at all",
    "peers 5.10": "a server was signalled and is still there",
    "peers 5.11": "memory of a card comes back late after an end",
    "peers 5.12": "a server that is still loading holds what it was promised",
    "peers 5.13": "a stranger holds the card's memory, or the driver hangs",
    "peers 5.14": "a launch that failed gives back what it held",
    "peers 5.15": "failures are counted over restarts of the agent, and old ones lapse",
    "peers 5.16": "the clock is set while idleness is measured",
    "peers 5.17": "a server that nobody ever asked",
    "peers 5.18": "a long answer without new requests is not idle",
    "peers 5.19": "a server writes more log than there is room for",
    "peers 5.20": "a line of a megabyte",
    "peers 5.21": "watching must not wake, load or disturb",
    "peers 5.22": "a folder of profiles that is half written, empty or gone",
    "peers 5.23": "two edits in quick succession, two passes at once",
    "peers 5.24": "a key that does not exist",
    "peers 5.25": "a container's name is still taken, its card is lost",
    "peers 5.26": "secrets, everywhere one could look",
    "peers 5.27": "a card has another index than before",
    "peers 5.28": "two writers, and a disk without room",
    "peers 5.29": "never more at once than there is room for",
    "peers 5.30": "an image for another vendor's cards",
    "sqlite 5.1": "one write, sync, truncation or deletion of a pass fails",
    "sqlite 5.2": "the power goes",
    "sqlite 5.3": "the agent is killed at a random moment",
    "sqlite 5.4": "the agent is killed between intent, spawn and pid",
    "sqlite 5.5": "the disk is full",
    "sqlite 5.6": "the database is read-only or somebody else's",
    "sqlite 5.7": "the database file is damaged",
    "sqlite 5.8": "two or eight agents start at once",
    "sqlite 5.9": "a reader stays for long",
    "sqlite 5.10": "the clock is set, the machine is started again",
    "sqlite 5.11": "a pid is used again",
    "sqlite 5.12": "a zombie, a server that cannot be killed, one that ignores SIGTERM",
    "sqlite 5.13": "a crash loop, a slow load, a hang, a taken port, a bad option",
    "sqlite 5.14": "the driver is missing, fails in the middle, or loses a card",
    "sqlite 5.15": "a newer database, a foreign one, a half-done migration",
    "sqlite 5.16": "a backup is interrupted, its disk is full",
    "sqlite 5.17": "hostile YAML, SQL, HTML and command lines",
    "sqlite 5.18": "a fresh database equals an old one after its migrations",
    "sqlite 5.19": "anything in any order",
}


def marked() -> dict[str, list[str]]:
    """Case -> the tests that bear it, as file:function below tests/, sorted."""
    found: dict[str, list[str]] = {}
    for folder, _, names in sorted(os.walk(TESTS)):
        for name in sorted(names):
            if name.startswith("test_") and name.endswith(".py"):
                path = os.path.join(folder, name)
                for case, function in _cases(path):
                    found.setdefault(case, []).append(f"{os.path.relpath(path, TESTS)}: {function}")
    return found


def _cases(path: str) -> list[tuple[str, str]]:
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    return [
        (argument.value, node.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for mark in node.decorator_list
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.case"
        for argument in mark.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]


def write(out: Callable[[str], None]) -> None:
    """One row a case."""
    tests = marked()
    out("| case | what happens | tests |\n|---|---|---|\n")
    for case, words in CASES.items():
        out(f"| {case} | {words} | {'<br>'.join(f'`{test}`' for test in tests.get(case, []))} |\n")
