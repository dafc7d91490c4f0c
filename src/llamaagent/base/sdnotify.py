"""Telling systemd (or whoever set NOTIFY_SOCKET) how the loop is; nothing where nobody asked.

One datagram a message, lines of NAME=value; a manager that does not listen is no trouble of ours. Source:
sd_notify(3), sd_watchdog_enabled(3), systemd.service(5) for Type=notify-reload.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Manager:
    """Whoever supervises this process. watchdog_s: how often it wants to hear of us (half its limit), None = never."""

    def __init__(self, address: str, watchdog_s: float | None) -> None:
        self.watchdog_s = watchdog_s
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def tell(self, *lines: str) -> bool:
        """Send one message; False when it could not be sent. Never waits."""
        import socket

        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError:
            return False
        return True


def manager(environ: Mapping[str, str], pid: int) -> Manager | None:
    """The manager that this process's environment names, None when there is none.

    pid: ours; a watchdog that is meant for another process (WATCHDOG_PID) is not ours to feed.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if len(address) < 2 or address[0] not in "/@":
        return None
    limit = environ.get("WATCHDOG_USEC", "")
    meant = environ.get("WATCHDOG_PID") or str(pid)
    if not limit.isdecimal() or not int(limit) or meant != str(pid):
        return Manager(address, None)
    return Manager(address, int(limit) / 2_000_000)
