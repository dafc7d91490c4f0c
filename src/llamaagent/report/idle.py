"""Is there anything new at all? Asked before anything is loaded: by sizes and times of files, not by their content.

A build that wrote all it should leaves a note of what it saw. While database, settings, templates and the five
minutes of the clock are the same, the site is what it would become.
"""

from __future__ import annotations

import os

from llamaagent import __version__
from llamaagent.report.notes import find_note, leave_note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NOTE = ".llamaagent-mark"
_SLOT_S = 300  # the shortest bucket of a whole day


def see(argv: Sequence[str], now: int) -> str | None:
    """All that a build depends on, as one line; None when it cannot be said. argv: the child's command line."""
    given = dict(word[2:].partition("=")[::2] for word in argv if word.startswith("--"))
    if "database" not in given or "out" not in given or "single-file" in given:
        return None
    try:
        seen = [_stat(given["database"])]
        wal = given["database"] + "-wal"
        if os.path.exists(wal) and os.path.getsize(wal):
            seen.append(_stat(wal))
        seen += [_stat(given[key]) for key in ("logo",) if key in given]
        for folder in (_own_templates(), given.get("templates")):
            if folder:
                seen += [
                    _stat(entry.path) for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)
                ]
    except OSError:
        return None
    slot = "" if "now" in given else str(now // _SLOT_S)
    zone = os.environ.get("TZ") or os.path.realpath("/etc/localtime")
    return "|".join((__version__, zone, slot, *(word.replace("\n", " ") for word in argv), *seen))


def told_before(directory: str, seen: str) -> str | None:
    """What the last build told, when it saw the same and its first page is still there; else None."""
    before, _, told = find_note(os.path.join(directory, NOTE)).partition("\n")
    same = before == seen and os.path.exists(os.path.join(directory, "index.html"))
    return told or None if same else None


def note(directory: str, seen: str, told: str) -> None:
    """Leave a note for the next build; it names the database, so it is the owner's alone."""
    leave_note(os.path.join(directory, NOTE), f"{seen}\n{told}")


def _stat(path: str) -> str:
    stat = os.stat(path)
    return f"{path}:{stat.st_size}:{stat.st_mtime_ns}"


def _own_templates() -> str | None:
    from llamaagent.report.folder import site_folder

    return site_folder()
