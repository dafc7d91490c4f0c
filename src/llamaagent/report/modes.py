"""Who may read a site: its files and folders get the mode that is wanted today, whoever could read them before."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from llamaagent.base.record import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PUBLIC_FOLDER, PRIVATE_FOLDER = 0o755, 0o700


class Modes(NamedTuple):
    """What a file and a folder of ours gets."""

    file: int
    folder: int


def choose_modes(*, public: bool) -> Modes:
    """For everyone, as a web server needs it, or for the owner alone."""
    return Modes(0o644, PUBLIC_FOLDER) if public else Modes(0o600, PRIVATE_FOLDER)


def settle_modes(directory: str, paths: Iterable[str], modes: Modes, *, whole: bool) -> tuple[str, ...]:
    """Give files and the folders that they lie in their mode; returns the files of which it was another.

    paths: relative, those that are not there are passed over. whole: the site's folder is ours too. A folder below
    it counts as ours where its mode is one that we give; another is somebody's choice. Raises OSError.
    """
    changed = []
    folders = {""} if whole else set()
    for path in paths:
        if _settle(os.path.join(directory, path), modes.file, stat.S_ISREG):
            changed.append(path)
        while path := os.path.dirname(path):
            folders.add(path)
    for folder in sorted(folders):
        _settle(os.path.join(directory, folder), modes.folder, _is_our_folder)
    return tuple(changed)


def _settle(path: str, mode: int, is_ours: Callable[[int], bool]) -> bool:
    try:
        found = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    if stat.S_IMODE(found) == mode or not is_ours(found):
        return False
    os.chmod(path, mode)
    return True


def _is_our_folder(mode: int) -> bool:
    return stat.S_ISDIR(mode) and stat.S_IMODE(mode) in (PUBLIC_FOLDER, PRIVATE_FOLDER)
