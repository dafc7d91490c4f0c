"""Which models lie below a directory: names, sizes and times only, no file is opened.

`NAME-00001-of-00003.gguf` and its sisters are one model. Links are followed, each directory once, down to a
fixed depth.
"""

from __future__ import annotations

import os
import re

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DEPTH = 12
_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")
_REGULAR, _DIRECTORY, _KIND = 0o100000, 0o040000, 0o170000
_INT64 = (1 << 63) - 1


class Found(NamedTuple):
    """A model as the file system shows it. paths: of all parts, in order; fault: why it cannot be one."""

    paths: tuple[str, ...]
    size_bytes: int
    mtime_ns: int
    inode: int
    parts: int = 1
    fault: str | None = None


class Trouble(NamedTuple):
    """A place that could not be looked at, or a file whose name cannot be kept."""

    path: str
    reason: str


def find_models(
    directory: str, depth: int = DEPTH, seen: set[tuple[int, int]] | None = None
) -> Iterator[Found | Trouble]:
    """All models below an absolute path, by path. seen: directories already visited, for several calls in a row."""
    visited = set() if seen is None else seen
    try:
        info = os.stat(directory)
        if (info.st_dev, info.st_ino) in visited:
            return
        visited.add((info.st_dev, info.st_ino))
        with os.scandir(directory) as entries:
            names = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield Trouble(directory, error.strerror or str(error))
        return
    files: dict[str, os.stat_result] = {}
    below: list[str] = []
    for entry in names:
        try:
            kind = (info := entry.stat()).st_mode & _KIND
        except OSError:
            continue  # a link that leads nowhere, or gone since
        if kind == _DIRECTORY:
            below.append(entry.path)
        elif kind == _REGULAR and entry.name.endswith(".gguf"):
            if not entry.path.isprintable() and _unwritable(entry.path):
                yield Trouble(entry.path, "its name is not UTF-8")
            else:
                files[entry.path] = info
    for found in _models(files):
        first = found.paths[0]
        yield Trouble(first, found.fault) if found.fault and found.fault.startswith("part 1 ") else found
    for path in below if depth > 0 else ():
        yield from find_models(path, depth - 1, visited)


def look_at(path: str) -> Found:
    """The model that a path names, with its other parts. Raises OSError when the file is not there."""
    match = _PART.fullmatch(path)
    stats = {path: os.stat(path)}
    if match is not None:
        for number in range(1, min(int(match[3]), 1000) + 1):
            part = f"{match[1]}-{number:05}-of-{match[3]}.gguf"
            try:
                stats[part] = os.stat(part)
            except OSError:
                continue
    return next(_models(dict(sorted(stats.items()))))


def _unwritable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _models(files: dict[str, os.stat_result]) -> Iterator[Found]:
    """Parts put together; files in order of their names, which is that of the parts."""
    groups: dict[str, list[str]] = {}
    for path in files:
        match = _PART.fullmatch(path)
        groups.setdefault(f"{match[1]}-of-{match[3]}" if match else path, []).append(path)
    for paths in groups.values():
        match = _PART.fullmatch(paths[0])
        stats = [files[path] for path in paths]
        count = int(match[3]) if match else 1
        fault = None
        if match and len(paths) != count:
            there = {int(path[-19:-14]) for path in paths}
            lost = next((number for number in range(1, count + 1) if number not in there), None)
            fault = f"part {lost} of {count} is missing" if lost else f"{len(paths)} parts, not {count}"
        yield Found(
            paths=tuple(paths),
            size_bytes=min(sum(info.st_size for info in stats), _INT64),
            mtime_ns=max(info.st_mtime_ns for info in stats),
            inode=stats[0].st_ino & _INT64,
            parts=max(count, 1),
            fault=fault,
        )


def presence(path: str) -> str:
    """`there`, `gone`, `away` (its directory is missing or empty: unmounted?) or `unsure` (cannot be looked at)."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError:
        return "unsure"
    else:
        return "there"
    try:
        with os.scandir(os.path.dirname(path)) as entries:
            return "gone" if any(entry.name != "lost+found" for entry in entries) else "away"
    except (FileNotFoundError, NotADirectoryError):
        return "away"
    except OSError:
        return "unsure"
