"""The end of a short process."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End now. What a short command made is the system's to take back: taking it apart first is a tenth of a pass."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # nobody reads it, it is closed, or there is none
            continue
    os._exit(code)
