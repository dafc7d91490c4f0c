"""The texts of SQL, and nothing else: no connection is opened here.

Two kinds. `schema.sql`, `views.sql` and `migrations/` define the database; they lie at the top of the
repository and are copied beside this module when a wheel is built. The statements that the program runs lie
beside this module in both cases, one file for each area, each statement under a heading `-- name: verb_noun`.
Files are read through the module's own loader, so a zip archive does as well as a folder.
"""

from __future__ import annotations

import os
from functools import cache

from llamaagent.base.errors import InstallError

_HERE = os.path.dirname(os.path.abspath(__file__))
_CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(_HERE)))
_HEADING = "-- name:"


class Statements(dict[str, str]):
    """The statements of one area by name: `area["insert_row"]`, or `area.insert_row`."""

    def __getattr__(self, name: str) -> str:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@cache
def statements(area: str) -> Statements:
    """Return the statements of `sql/<area>.sql`.

    What stands before the first heading is a comment. Raises InstallError when the file is missing, a heading
    stands twice or has no statement.
    """
    return split_statements(_read(_HERE, f"{area}.sql"), f"sql/{area}.sql")


def split_statements(file_text: str, label: str) -> Statements:
    """Return the statements of a text of that form. Raises InstallError, which calls the text by its label."""
    found = Statements()
    for part in f"\n{file_text}".split(f"\n{_HEADING}")[1:]:
        name, _, text = part.partition("\n")
        name, text = name.strip(), text.strip()
        if not name.isidentifier() or not text or name in found:
            raise InstallError(f"{label}: heading {name!r} is no name, stands twice or has no statement")
        found[name] = text
    return found


@cache
def ddl(name: str) -> str:
    """Return the text of `schema.sql`, `views.sql` or `migrations/NNNN_words.sql`.

    From beside this module (a wheel), else from the top of the checkout. Raises InstallError when it is in
    neither place, or is not ours by its first line.
    """
    for folder in (_HERE, _CHECKOUT):
        try:
            text = _read(folder, name)
        except InstallError:
            continue
        if not text.startswith("-- llamaagent "):
            raise InstallError(f"{os.path.join(folder, name)} is not llamaagent's {name}")
        return text
    raise InstallError(f"{name} is missing from this installation")


@cache
def fingerprint(name: str) -> str:
    """Return length and checksum of `ddl(name)`: enough to see that a text is another one.

    A real digest would load OpenSSL in each pass; nobody gains anything by forging this.
    """
    import zlib

    data = ddl(name).encode()
    return f"{len(data)}-{zlib.crc32(data):08x}"


def _read(folder: str, name: str) -> str:
    path = os.path.join(folder, *name.split("/"))
    loader = __spec__.loader if __spec__ else None
    try:
        # A loader of files and one of zip archives both have it; a zip is asked with the path inside it.
        data: bytes = loader.get_data(path)  # type: ignore[union-attr]
    except (OSError, AttributeError) as error:
        raise InstallError(f"{path} is missing from this installation") from error
    return data.decode()
