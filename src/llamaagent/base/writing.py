"""Writing to a descriptor: all of it, however little one call takes."""

from __future__ import annotations

import os


def write_all(fd: int, data: bytes | bytearray) -> None:
    """Write every byte. Raises OSError, with some of them written."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
