"""Looking at who would end the servers: units of systemd, sessions, linger, limits of control groups and processes."""

from __future__ import annotations

import os

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.collect.files import read_file
from llamaagent.doctor import limits, unitfile
from llamaagent.doctor.running import live_servers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.doctor.finding import Case, Finding

_DEADLINE_S = 5.0


def units(case: Case) -> Iterator[Finding]:
    """Unit files that run the agent, with their drop-ins; a user's units need linger."""
    for path, user in _unit_files(case):
        unit = unitfile.Unit(_texts(path))
        if not unit.runs_agent:
            continue
        yield from unitfile.judge_unit(os.path.basename(path), path, unit, user=user)
        if user:
            name = user_name()
            finding = unitfile.judge_linger(name, path, lingers=lingers(case, name))
            if finding is not None:
                yield finding


def _unit_files(case: Case) -> Iterator[tuple[str, bool]]:
    base = case.environ.get("XDG_CONFIG_HOME") or os.path.join(case.environ.get("HOME", "/"), ".config")
    for folder, user in (
        (f"{case.etc}/systemd/system", False),
        (f"{case.etc}/systemd/user", True),
        (f"{base}/systemd/user", True),
    ):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            if name.endswith(".service") and os.path.isfile(f"{folder}/{name}"):
                yield f"{folder}/{name}", user


def _texts(path: str) -> Iterator[str]:
    """The unit's text, then those of its drop-ins in order of name."""
    folder = f"{path}.d"
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for one in (path, *(f"{folder}/{name}" for name in names if name.endswith(".conf"))):
        yield (read_file(one) or b"").decode("utf-8", "replace")


def user_name() -> str:
    """The name behind our uid."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def lingers(case: Case, name: str) -> bool:
    """Whether this user's manager lives without a session: logind says, else its mark in the file system."""
    from llamaagent.base.run import run

    words = ["loginctl", "show-user", name, "-p", "Linger", "--value"]
    try:
        result = run(words, deadline_s=_DEADLINE_S, env={**case.environ, "LC_ALL": "C"})
    except ServiceUnavailableError:
        result = None
    if result is not None and result.code == 0 and result.text.strip() in {"yes", "no"}:
        return result.text.strip() == "yes"
    return os.path.exists(os.path.join(case.var, "lib", "systemd", "linger", name))


def sessions(case: Case) -> Iterator[Finding]:
    """Live servers that go when somebody logs out."""
    name = user_name()
    kills = _kills_user_processes(case)
    linger: bool | None = None
    for profile, pid in live_servers(case):
        group = limits.parse_cgroup(read_file(f"{case.host.proc}/{pid}/cgroup") or b"")
        if group is None or ("/user@" not in group and not kills):
            continue
        linger = lingers(case, name) if linger is None else linger
        finding = unitfile.judge_session(profile, group, kills=kills, lingers=linger, user=name)
        if finding is not None:
            yield finding


def _kills_user_processes(case: Case) -> bool:
    """The last word of logind.conf(5) on it; systemd's own default is yes, Debian's and most others' is no."""
    value = "no"
    path = f"{case.etc}/systemd/logind.conf"
    for text in _texts(path):
        for line in text.splitlines():
            key, _, given = line.strip().partition("=")
            if key.strip() == "KillUserProcesses":
                value = given.strip().lower()
    return value in {"yes", "true", "1", "on"}


def ulimits(case: Case) -> Iterator[Finding]:
    """What the kernel lets live servers do, and us where none lives yet."""
    live = dict(live_servers(case))
    own = read_file(f"{case.host.proc}/self/limits") or b""
    for profile in case.site.profiles:
        pid = live.get(profile.name)
        if profile.runtime.kind != "process" or (pid is None and profile.state != "running"):
            continue
        found = limits.parse_limits(
            own if pid is None else read_file(f"{case.host.proc}/{pid}/limits") or b""
        )
        yield from limits.judge_limits(profile, found, _size(profile.model.path))


def _size(path: str | None) -> int | None:
    try:
        return None if path is None else os.stat(path).st_size
    except OSError:
        return None


def memory(case: Case) -> Iterator[Finding]:
    """Control groups that are nearly full, and servers that the kernel would choose first when memory is short."""
    told: set[str] = set()
    usual = _number(read_file(f"{case.host.proc}/1/oom_score_adj")) or 0
    for profile, pid in live_servers(case):
        group = limits.parse_cgroup(read_file(f"{case.host.proc}/{pid}/cgroup") or b"")
        while group and group not in told:
            told.add(group)
            folder = f"{case.host.sys}/fs/cgroup{group.rstrip('/')}"
            used, limit = (_number(read_file(f"{folder}/memory.{name}")) for name in ("current", "max"))
            finding = limits.judge_group(group, used, limit)
            if finding is not None:
                yield finding
            group = os.path.dirname(group) if group != "/" else ""
        score = _number(read_file(f"{case.host.proc}/{pid}/oom_score_adj"))
        finding = limits.judge_oom_score(profile, score, usual)
        if finding is not None:
            yield finding


def _number(text: bytes | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:  # "max"
        return None
