"""Reading a neighbour's file as `import` does, without the command line around it."""

from pathlib import Path
from typing import Any

from llamaagent.config.catalogue import load_catalogue
from llamaagent.neighbours.carried import Source, Taken
from llamaagent.neighbours.recognise import reader_of, recognise

CATALOGUE = load_catalogue()
FOLDER = "/nowhere"


def source_of(text: str | bytes, folder: str = FOLDER, name: str = "f") -> Source:
    """A file with this content."""
    data = text.encode() if isinstance(text, str) else text
    return Source(name, folder, data, lambda _binary: CATALOGUE, "f")


def taken(text: str | bytes, kind: str | None = None, folder: str | Path = FOLDER) -> Taken:
    """What it comes to."""
    source = source_of(text, str(folder))
    return reader_of(kind or recognise(source))(source)


def profiles(
    text: str | bytes, kind: str | None = None, folder: str | Path = FOLDER
) -> dict[str, dict[str, Any]]:
    """Documents by name."""
    return {one.name: one.document for one in taken(text, kind, folder).profiles}


def lost(text: str | bytes, kind: str | None = None) -> dict[str, str]:
    """Reasons by key; those of one key joined."""
    found: dict[str, str] = {}
    for loss in taken(text, kind).losses:
        found[loss.key] = f"{found[loss.key]}; {loss.reason}" if loss.key in found else loss.reason
    return found
