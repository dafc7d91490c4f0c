"""May a running server that we did not launch become ours without a restart? Pure.

Two supervisors of one process fight, and a process that we may not signal cannot be stopped: each such case is
named, with what to type instead.
"""

from __future__ import annotations

import re

from llamaagent.base.record import NamedTuple

_ID = re.compile(
    r"(?:docker|libpod|crio|cri-containerd|containerd|lxc|machine)[-/:.]+(?:payload\.)?([\w.-]+)|/(kubepods)"
)
SUPERVISORS = frozenset(
    (
        *("supervisord", "llama-swap", "llamactl", "ollama", "lemond", "runsv", "s6-supervise", "supervise"),
        *("circusd", "monit", "god", "nomad", "overmind", "foreman", "honcho"),
    )
)
_CONTAINERS = frozenset({"containerd-shim", "containerd-shim-runc-v2", "conmon", "lxc-start"})


class Parent(NamedTuple):
    """One of the processes above it, nearest first. names: of its program, and of the script it runs."""

    pid: int
    names: tuple[str, ...]


class UnitFacts(NamedTuple):
    """The systemd service in whose control group it lives. fault: why systemd could not be asked about it."""

    name: str
    user: bool = False
    restart: str = "no"
    main_pid: int | None = None
    fault: str | None = None


class Circumstances(NamedTuple):
    """What bears on whether it can be ours. same_namespace None: not known."""

    pid: int
    uid: int
    my_uid: int
    user: str | None
    cgroup: str
    my_cgroup: str
    same_namespace: bool | None
    parents: tuple[Parent, ...]
    unit: UnitFacts | None


class Obstacle(NamedTuple):
    """Why not, what to type, and whether it can at least be watched."""

    reason: str
    commands: tuple[str, ...] = ()
    watchable: bool = True


def obstacle(at: Circumstances) -> Obstacle | None:
    """The first thing that stands against taking it over; None when nothing does."""
    box = container_of(at.cgroup)
    if at.same_namespace is False or (box is not None and box != container_of(at.my_cgroup)):
        return Obstacle("it runs in a container, which its engine starts and stops", (), watchable=False)
    for parent in at.parents:
        if not _CONTAINERS.isdisjoint(parent.names):
            return Obstacle(f"it runs in a container (below pid {parent.pid})", (), watchable=False)
        if "llama-server" in parent.names:
            return Obstacle(
                f"the router pid {parent.pid} started it and will start it again", (), watchable=False
            )
        keeper = next((name for name in parent.names if name in SUPERVISORS or name.startswith("PM2")), None)
        if keeper is not None:
            return Obstacle(f"{keeper} (pid {parent.pid}) keeps it running: two supervisors would fight")
    if at.uid != at.my_uid:
        return Obstacle(
            f"it runs as {at.user or at.uid}: we could neither signal it nor start it again as that user"
        )
    return _of_unit(at)


def _of_unit(at: Circumstances) -> Obstacle | None:
    unit = at.unit
    if unit is None:
        return None
    sudo = "systemctl --user" if unit.user else "systemctl"
    commands = (f"{sudo} disable --now {unit.name}", "llamaagent run --once")
    if unit.fault is not None:
        return Obstacle(
            f"it belongs to {unit.name}, and whether that restarts it is not known: {unit.fault}", commands
        )
    near = {at.pid, *(parent.pid for parent in at.parents[:1])}
    if unit.restart == "no" or (unit.main_pid is not None and unit.main_pid not in near):
        return (
            None  # such as a job of cron.service: it is that service's descendant, not what it keeps running
        )
    text = f"systemd restarts it (Restart={unit.restart} in {unit.name}): two supervisors would fight"
    return Obstacle(text, commands)


def container_of(cgroup: str) -> str | None:
    """What names the container in the text of /proc/PID/cgroup; None outside of one.

    >>> container_of("0::/system.slice/docker-4f0a.scope"), container_of("0::/user.slice/session-2.scope")
    ('4f0a.scope', None)
    """
    found = _ID.search(cgroup)
    return None if found is None else found[1] or found[2]


def unit_of(cgroup: str) -> tuple[str, bool] | None:
    """(service, is it one of a user's own manager) from the text of /proc/PID/cgroup; None outside of a service.

    >>> unit_of("0::/system.slice/llama.service"), unit_of("0::/user.slice/user-7.slice/session-2.scope")
    (('llama.service', False), None)
    """
    for line in cgroup.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers not in {"", "name=systemd"}:
            continue
        parts = [part for part in path.split("/") if part.endswith((".service", ".scope"))]
        if parts and parts[-1].endswith(".service") and not parts[-1].startswith("user@"):
            return parts[-1], any(part.startswith("user@") for part in parts[:-1])
    return None
