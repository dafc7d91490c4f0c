"""Reading the small text files of the kernel with as few system calls and imports as there can be."""

from __future__ import annotations

import os

_CHUNK = 65536
CUT = ".1"  # after a log's name: the end of what it held before it was cut


def read_file(path: str, limit: int = 1 << 20) -> bytes | None:
    """Read a file to its end, at most `limit` bytes.

    None when it is not there, may not be read, or its process ended meanwhile: for a kernel file all of
    these mean "not measured", so nothing is raised.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.read(fd, min(_CHUNK, limit))
        if not data:
            return data
        parts = [data]
        size = len(data)
        while size < limit and (data := os.read(fd, min(_CHUNK, limit - size))):
            parts.append(data)
            size += len(data)
        return b"".join(parts)
    except OSError:
        return None
    finally:
        os.close(fd)


def list_folder(path: str) -> list[str] | None:
    """Names in a folder, unsorted; None when it is not there or may not be read."""
    try:
        return os.listdir(path)
    except OSError:
        return None


def has_news(path: str, inode: int | None, offset: int) -> bool:
    """Whether `log.read_log` would find anything new: one system call.

    Stands here so that a pass without news needs neither the states of the logs nor the code that reads them.
    """
    try:
        found = os.stat(path)
    except OSError:
        return False
    return found.st_size != offset or found.st_ino != inode


def bytes_on_disk(path: str) -> int:
    """What a file really takes: holes count nothing. 0 when it is not there."""
    try:
        return os.stat(path).st_blocks * 512
    except OSError:
        return 0


def too_large(path: str, cap: int) -> bool:
    """Whether a log takes more than `cap` bytes on disk, with what was kept of it when it was cut."""
    size = bytes_on_disk(path)
    return size > cap // 2 and size + bytes_on_disk(path + CUT) > cap


def nothing_waits(state: str | None) -> bool:
    """Whether a log state's text (`LogState.to_json`) holds no request, told without reading it as JSON."""
    return state is None or state == "{}" or '"open":[]' in state


def is_ours(folder: str, path: str) -> bool:
    """Whether a log lies where we put the logs of what we launch; any other is its owner's to keep or cut."""
    return path.startswith(f"{folder}/")
