"""Small files that one build leaves for the next, to save it work. Without them it does the work once more, no harm."""

from __future__ import annotations

import os


def leave_note(path: str, text: str) -> None:
    """Write it at once or not at all, for the owner alone; left undone where that cannot be."""
    fresh = f"{path}.new"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(fresh, path)
    except (OSError, ValueError):
        return


def find_note(path: str) -> str:
    """What was left there; empty when nothing can be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError):
        return ""
