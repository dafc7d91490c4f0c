"""Bytes over the machine's own network interfaces. Sources: proc_pid_net(5), /sys/class/net."""

from __future__ import annotations

import os

from llamaagent.base.errors import ParseError
from llamaagent.base.record import NamedTuple
from llamaagent.collect.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.base.paths import HostPaths

# Made by software: what passes them also passes the interface below, or never leaves the machine.
_VIRTUAL = (
    "lo", "veth", "docker", "br-", "virbr", "vnet", "tun", "tap", "wg", "bond", "team", "dummy", "ifb",
    "cni", "flannel", "cali", "vxlan", "kube", "podman", "lxc", "lxdbr", "tailscale", "zt", "sit", "gre",
    "ip6tnl", "tunl", "nlmon",
)  # fmt: skip


class NetworkBytes(NamedTuple):
    """Counters since boot."""

    rx_bytes_total: int
    tx_bytes_total: int


def read_net_dev(paths: HostPaths) -> bytes | None:
    """Text of /proc/net/dev (the caller's network namespace), None where there is none."""
    return read_file(paths.proc + "/net/dev")


def parse_net_dev(text: bytes) -> dict[str, NetworkBytes]:
    """Counters by interface. Raises ParseError naming a line that is not one of the table."""
    found: dict[str, NetworkBytes] = {}
    for line in text.split(b"\n")[2:]:
        name, colon, rest = line.rpartition(b":")
        if not colon:
            continue
        fields = rest.split()
        try:
            found[name.strip().decode(errors="replace")] = NetworkBytes(int(fields[0]), int(fields[8]))
        except (ValueError, IndexError) as error:
            raise ParseError(f"/proc/net/dev: {line[:120]!r}") from error
    return found


def sum_real(paths: HostPaths, interfaces: Mapping[str, NetworkBytes]) -> NetworkBytes | None:
    """Add up the interfaces that stand for hardware.

    Those have a `device` in sysfs. Inside a container none has, and there the names that are not typical
    of virtual interfaces count. None when nothing is left.
    """
    base = paths.sys + "/class/net/"
    real = [name for name in interfaces if name != "lo" and os.path.exists(f"{base}{name}/device")]
    if not real:
        real = [name for name in interfaces if not name.startswith(_VIRTUAL) and "." not in name]
    if not real:
        return None
    rx = sum(interfaces[name].rx_bytes_total for name in real)
    return NetworkBytes(rx, sum(interfaces[name].tx_bytes_total for name in real))
