"""The file that node_exporter's textfile collector reads: whole at every moment, readable by everybody."""

from __future__ import annotations

import os

from llamaagent.base.errors import CannotCreateError
from llamaagent.metrics.families import families
from llamaagent.metrics.textformat import prometheus_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.store.types import Connection

_MODE = 0o644


def write_textfile(db: Connection, path: str, version: str) -> None:
    """Replace the file at path by today's figures. Raises CannotCreateError; then the file is as it was.

    What a killed writer left beside it is written over; the collector only reads names that end with .prom.
    """
    text = prometheus_text(families(db, version)).encode()
    part = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.part")
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, _MODE)
            file.write(text)
        os.replace(part, path)
    except OSError as error:
        _remove(part)
        raise CannotCreateError(f"prometheus.textfile: cannot write {path}: {error.strerror}") from error


def _remove(part: str) -> None:
    import contextlib

    with contextlib.suppress(OSError):
        os.unlink(part)
