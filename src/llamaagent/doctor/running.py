"""Looking at what runs: ports, servers without rows, rows without servers, passes and who makes them."""

from __future__ import annotations

import os

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.doctor import judge
from llamaagent.doctor.finding import WARNING, Finding
from llamaagent.domain import instance as st
from llamaagent.launch.adopt import find_launched
from llamaagent.launch.identity import alive, boot_id
from llamaagent.launch.listeners import listener_pids, listeners

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.doctor.finding import Case
    from llamaagent.domain.instance import Instance

_DEADLINE_S = 5.0
_UNITS = ("/systemd/system/llamaagent.service", "/systemd/user/llamaagent.service")


def _rows(case: Case) -> tuple[tuple[Instance, ...], dict[str, int]]:
    """The newest row of each profile, and the ports that profiles keep; nothing without a database."""
    from llamaagent.store.connect import open_database
    from llamaagent.store.instances import InstanceStore

    if not os.path.exists(case.database):
        return (), {}
    db = open_database(case.database, write=False)
    try:
        store = InstanceStore(db)
        return tuple(store.newest()), dict(store.ports())
    finally:
        db.close()


def ports(case: Case) -> Iterator[Finding]:
    """Ports that strangers hold, and a range that is used up."""
    rows, kept = _rows(case)
    profiles = [p for p in case.site.profiles if p.state == "running" and p.runtime.kind != "external"]
    low, high = case.site.settings.ports
    mine = {p.name: p.listen.port or kept.get(p.name) for p in profiles}
    fixed = {p.name for p in profiles if p.listen.port is not None}
    busy = {
        one.port for one in listeners({*range(low, high + 1), *filter(None, mine.values())}, case.host) or ()
    }
    ours = _our_pids(case, rows)
    for name, port in mine.items():
        if port is None or port not in busy:
            continue
        holders = listener_pids(port, case.host)
        if any(holder.pid in ours for holder in holders):
            continue
        known = next((f"pid {holder.pid} ({holder.command})" for holder in holders), None)
        yield judge.stranger(name, port, known, fixed=name in fixed)
    taken = busy | {port for port in mine.values() if port is not None}
    needed = sum(1 for port in mine.values() if port is None)
    full = judge.range_full((low, high), needed, sum(1 for port in range(low, high + 1) if port not in taken))
    if full is not None:
        yield full


def _our_pids(case: Case, rows: tuple[Instance, ...]) -> set[int]:
    found = {row.pid for row in rows if row.pid is not None and row.status in st.LIVE}
    for launch in find_launched(case.site_id, case.host):
        found |= {one.pid for one in (launch.server, launch.wrapper, *launch.others) if one is not None}
    return found


def live_servers(case: Case) -> list[tuple[str, int]]:
    """Profile and pid of the servers that live according to their rows and to /proc."""
    rows, _ = _rows(case)
    boot = boot_id(case.host)
    return [
        (row.profile, row.pid)
        for row in rows
        if row.status in st.LIVE and row.pid is not None and alive(row.server, case.host, boot=boot)
    ]


def strays(case: Case) -> Iterator[Finding]:
    """Servers of this site that no row or no profile knows, or that should be over; rows whose process is gone."""
    rows, _ = _rows(case)
    live = {row.launch_id for row in rows if row.status in st.LIVE}
    profiles = {profile.name for profile in case.site.profiles}
    for launch in find_launched(case.site_id, case.host):
        if launch.launch_id in live or launch.server is None:
            continue
        stored = _row_of(case, launch.launch_id)
        others = any(one.profile == launch.profile and one.status in st.LIVE for one in rows)
        yield judge.stray(
            launch.profile,
            launch.server.pid,
            stored,
            declared=launch.profile in profiles,
            others=others,
        )
    boot = boot_id(case.host)
    for row in rows:
        if row.status in st.LIVE and row.pid is not None and not alive(row.server, case.host, boot=boot):
            what = f"the database says {row.status}, but its process {row.pid} is gone"
            yield Finding(WARNING, row.profile, what, "llamaagent run --once")


def _row_of(case: Case, launch_id: str) -> tuple[str, str | None] | None:
    """Status and reason of the row of a launch, None when there is none."""
    from llamaagent.store.connect import open_database
    from llamaagent.store.read import select

    if not os.path.exists(case.database):
        return None
    db = open_database(case.database, write=False)
    try:
        found = select(db, "list_launch", {"launch_id": launch_id}).rows
    finally:
        db.close()
    return (str(found[0]["status"]), str(found[0]["reason"])) if found else None


def passes(case: Case) -> Iterator[Finding]:
    """Whether passes are made, and whether somebody makes the next one."""
    wanted = sum(1 for profile in case.site.profiles if profile.state == "running")
    last = _last_sample(case)
    who = maker(case)
    finding = judge.passes(last, case.clock.now(), case.site.settings.interval_s, wanted, who)
    if finding is not None:
        yield finding


def _last_sample(case: Case) -> int | None:
    from llamaagent.store.connect import open_database
    from llamaagent.store.read import select

    if not os.path.exists(case.database):
        return None
    db = open_database(case.database, write=False)
    try:
        last = select(db, "list_last_sample").rows[0]["ts"]
    finally:
        db.close()
    return last if isinstance(last, int) else None


def maker(case: Case) -> str | None:
    """Who makes the passes, as far as can be seen: a loop that runs, a unit, a line of a crontab."""
    if _loop_runs(case.database):
        return "a running loop"
    base = case.environ.get("XDG_CONFIG_HOME") or os.path.join(case.environ.get("HOME", "/"), ".config")
    for path in (*(case.etc + unit for unit in _UNITS), base + _UNITS[1]):
        if os.path.exists(path):
            return f"systemd ({path})"
    return "cron" if any("llamaagent" in line for line in cron_lines(case)) else None


def _loop_runs(database: str) -> bool:
    """Whether somebody holds the loop's lock; looked at without taking it."""
    import fcntl

    try:
        descriptor = os.open(f"{database}.agent.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def cron_lines(case: Case) -> list[str]:
    """Lines of the caller's crontab and of the system's that do something."""
    from llamaagent.base.run import run

    texts: list[bytes] = []
    try:
        environ = {**case.environ, "LC_ALL": "C"}
        texts.append(run(["crontab", "-l"], deadline_s=_DEADLINE_S, env=environ).out)
    except ServiceUnavailableError:  # no cron here
        pass
    folder = os.path.join(case.etc, "cron.d")
    names = (
        [os.path.join(folder, name) for name in sorted(os.listdir(folder))] if os.path.isdir(folder) else []
    )
    for path in (os.path.join(case.etc, "crontab"), *names):
        try:
            with open(path, "rb") as file:
                texts.append(file.read(1_000_000))
        except OSError:  # not there, or not for us
            continue
    lines = b"\n".join(texts).decode("utf-8", "replace").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
