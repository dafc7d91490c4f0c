"""Which port an instance gets. Pure: what is free is handed in as a question."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection


def choose_port(
    last: int | None, ports: tuple[int, int], taken: Collection[int], is_free: Callable[[int], bool]
) -> int | None:
    """The profile's last port, else the lowest of the range that nobody declares or keeps, and that binds.

    taken: ports that profiles declare or that other profiles keep. None: the range is full.
    """
    if last is not None and last not in taken and is_free(last):
        return last
    for port in range(ports[0], ports[1] + 1):
        if port not in taken and is_free(port):
            return port
    return None
