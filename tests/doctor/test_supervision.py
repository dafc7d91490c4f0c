"""What the doctor says of units, limits, locks, times and who may change what: plain values and small folders."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from llamaagent.base.clock import ManualClock
from llamaagent.base.paths import HostPaths, places
from llamaagent.config.site import Site
from llamaagent.doctor import alike, judge, limits, lockfiles, times, units
from llamaagent.doctor.finding import ERROR, INFO, WARNING, Case, Finding
from llamaagent.doctor.unitfile import Unit, judge_linger, judge_session, judge_unit
from llamaagent.domain.profile import Health, ModelRef, Profile, Schedule
from llamaagent.domain.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

LOOP = "[Service]\nExecStart=/usr/bin/llamaagent --config /s.yaml run\n"
ONCE = "[Service]\nType=oneshot\nExecStart=/usr/bin/llamaagent --config /s.yaml run --once\n"
SAFE = "KillMode=process\nOOMPolicy=continue\n"


def level(finding: Finding | None) -> str | None:
    return None if finding is None else finding.level


def profile(**keys: object) -> Profile:
    made = Profile("a", "/a.yaml", 1, ModelRef(path="/m.gguf"))
    return made._replace(**keys)  # type: ignore[arg-type]


def case(root: Path, *profiles: Profile, settings: Settings | None = None) -> Case:
    """A site without a database on a host that is a folder."""
    made = settings or Settings(file=str(root / "llamaagent.yaml"))
    site = Site(made, profiles, (), (), (), None, (), settings_ok=True)
    environ = {
        "HOME": str(root / "home"),
        "PATH": f"{root}/bin:/usr/bin:/bin",
        "XDG_DATA_HOME": str(root / "data"),
    }
    return Case(
        site=site,
        site_path=str(root / "llamaagent.yaml"),
        site_id="x",
        database=str(root / "none.db"),
        places=places(environ, uid=1000),
        environ=environ,
        clock=ManualClock(),  # type: ignore[arg-type]
        host=HostPaths(str(root / "proc"), str(root / "sys")),
        etc=str(root / "etc"),
        var=str(root / "var"),
    )


# -- units -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "levels"),
    [
        ([LOOP + SAFE], []),
        ([ONCE + "KillMode=process\n"], []),
        ([ONCE], [ERROR]),
        ([LOOP], [WARNING, WARNING]),
        ([LOOP + SAFE, "[Service]\nKillMode=mixed\n"], [WARNING]),
        ([LOOP, "[Service]\n" + SAFE], []),
        (["[Service]\nExecStart=/usr/bin/nginx run\n"], []),
        ([LOOP, "[Service]\nExecStart=\nExecStart=/bin/true\n"], []),
        (["[Service]\nExecStart=/usr/bin/llamaagent \\\n  run --once\n# KillMode=process\n"], [ERROR]),
        (["[Unit]\nKillMode=process\n" + LOOP], [WARNING, WARNING]),
    ],
)
def test_a_unit_that_would_kill_the_servers(texts: list[str], levels: list[str]) -> None:
    found = list(judge_unit("x.service", "/x.service", Unit(texts), user=False))
    assert [one.level for one in found] == levels
    assert all("systemctl edit x.service" in str(one.remedy) for one in found)


def test_units_are_looked_for_with_their_drop_ins_and_linger(tmp_path: Path) -> None:
    user = tmp_path / "home" / ".config" / "systemd" / "user"
    system = tmp_path / "etc" / "systemd" / "system"
    (user / "agent.service.d").mkdir(parents=True)
    system.mkdir(parents=True)
    (user / "agent.service").write_text(LOOP)
    (user / "agent.service.d" / "10.conf").write_text("[Service]\nKillMode=process\n")
    (system / "passes.service").write_text(ONCE)
    (system / "other.service").write_text("[Service]\nExecStart=/bin/true\n")
    there = case(tmp_path)
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "loginctl"
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o755)

    found = {one.subject.rpartition("/")[2]: one for one in units.units(there)}
    assert sorted(found) == ["agent.service (linger)", "agent.service (memory)", "passes.service"]
    assert found["passes.service"].remedy == "systemctl edit passes.service   # [Service] KillMode=process"
    assert found["agent.service (linger)"].remedy == f"loginctl enable-linger {units.user_name()}"

    (tmp_path / "var" / "lib" / "systemd" / "linger").mkdir(parents=True)
    (tmp_path / "var" / "lib" / "systemd" / "linger" / units.user_name()).touch()
    assert len(list(units.units(there))) == 2
    script.write_text("#!/bin/sh\necho no\n")
    assert len(list(units.units(there))) == 3  # logind knows better
    assert judge_linger("ann", "/x", lingers=True) is None


@pytest.mark.parametrize(
    ("cgroup", "kills", "lingers", "expected"),
    [
        ("/system.slice/cron.service", True, False, None),
        ("/user.slice/user-1000.slice/session-3.scope", False, False, None),
        ("/user.slice/user-1000.slice/session-3.scope", True, False, WARNING),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", False, False, WARNING),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", False, True, None),
        ("/", True, False, None),
    ],
)
def test_a_server_that_goes_with_a_session(
    cgroup: str, kills: bool, lingers: bool, expected: str | None
) -> None:
    assert level(judge_session("a", cgroup, kills=kills, lingers=lingers, user="ann")) == expected


def test_logind_is_asked_by_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "etc" / "systemd" / "logind.conf.d"
    folder.mkdir(parents=True)
    assert not units._kills_user_processes(case(tmp_path))
    (folder.parent / "logind.conf").write_text("[Login]\n#KillUserProcesses=yes\n")
    assert not units._kills_user_processes(case(tmp_path))
    (folder / "x.conf").write_text("[Login]\nKillUserProcesses=yes\n")
    assert units._kills_user_processes(case(tmp_path))


# -- limits ------------------------------------------------------------------------------------------

LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max file size             {fsize:<20} unlimited            bytes
Max open files            {files:<20} 1048576              files
Max locked memory         {locked:<20} 8388608              bytes
"""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, []),
        ({"files": "256"}, ["256 files"]),
        ({"fsize": "1048576"}, ["1 MiB (ulimit -f)"]),
        ({"locked": "8388608"}, ["8 MiB may be locked"]),
    ],
)
def test_limits_of_processes(given: dict[str, str], words: list[str]) -> None:
    text = LIMITS.format(**{"fsize": "unlimited", "files": "1024", "locked": "unlimited"} | given).encode()
    found = list(limits.judge_limits(profile(args=(("mlock", True),)), limits.parse_limits(text), 100 << 20))
    assert [word for word, one in zip(words, found, strict=True) if word in one.what] == words
    assert all(one.remedy for one in found)


def test_locked_memory_matters_only_to_who_locks_it() -> None:
    small = {"Max locked memory": 8 << 20}
    assert not list(limits.judge_limits(profile(), small, 100 << 20))
    assert not list(limits.judge_limits(profile(args=(("mlock", True),)), small, 1 << 20))
    assert list(limits.judge_limits(profile(args=(("load-mode", "mlock"),)), small, 100 << 20))


def test_the_kernels_own_text_is_understood() -> None:
    with open("/proc/self/limits", "rb") as file:
        found = limits.parse_limits(file.read())
    assert {"Max open files", "Max locked memory", "Max file size"} <= found.keys()


def test_our_own_limits_stand_for_a_server_that_does_not_live_yet(tmp_path: Path) -> None:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    text = LIMITS.format(fsize="unlimited", files="100", locked="unlimited")
    (tmp_path / "proc" / "self" / "limits").write_text(text)
    assert len(list(units.ulimits(case(tmp_path, profile())))) == 1
    assert not list(units.ulimits(case(tmp_path, profile(state="stopped"))))


@pytest.mark.parametrize(
    ("used", "limit", "expected"), [(None, None, None), (89, 100, None), (90, 100, WARNING), (5, None, None)]
)
def test_a_control_group_that_is_nearly_full(
    used: int | None, limit: int | None, expected: str | None
) -> None:
    assert level(limits.judge_group("/system.slice/a.service", used, limit)) == expected


def test_control_groups_by_their_texts() -> None:
    assert limits.parse_cgroup(b"12:cpu:/x\n0::/system.slice/cron.service\n") == "/system.slice/cron.service"
    assert limits.parse_cgroup(b"12:cpu:/x\n") is None
    assert level(limits.judge_oom_score("a", 200, 0)) == INFO
    assert limits.judge_oom_score("a", 985, 985) is None
    assert limits.judge_oom_score("a", None, 0) is None


# -- locks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("taker", "holder", "state", "long", "expected"),
    [
        (7, 7, "S", False, None),
        (7, 7, "T", False, ERROR),
        (7, 7, "D", False, WARNING),
        (7, 9, "S", False, WARNING),
        (7, 7, "R", True, WARNING),
        (None, 9, "S", False, None),
    ],
)
def test_a_lock_is_judged_by_its_holder(
    taker: int | None, holder: int, state: str, long: bool, expected: str | None
) -> None:
    assert level(lockfiles.judge_lock("/l", taker, holder, "x", state, long=long)) == expected


def test_the_table_of_locks() -> None:
    text = b"1: POSIX  ADVISORY  WRITE 5 08:01:99 0 EOF\n2: FLOCK  ADVISORY  WRITE 6 08:01:98 0 EOF\n"
    text += b"2: -> FLOCK  ADVISORY  WRITE 8 08:01:99 0 EOF\n3: FLOCK  ADVISORY  WRITE 7 08:01:99 0 EOF\n"
    assert lockfiles.parse_locks(text, 99, 0x801) == 7
    assert lockfiles.parse_locks(text, 1, 0x801) is None


# -- times -------------------------------------------------------------------------------------------


def test_steps_of_the_clock() -> None:
    assert times.judge_steps([]) is None
    assert level(times.judge_steps([(1, 7)])) == INFO
    found = times.judge_steps([(2, -3600), (1, 7)])
    assert found is not None
    assert (found.level, "2 times in the last week, last by -3600 s" in found.what) == (WARNING, True)


@pytest.mark.parametrize(
    ("spacing", "health", "expected"),
    [
        (30, Health(), None),
        (60, Health(), None),
        (60, Health(start_timeout_s=60), WARNING),
        (60, Health(start_timeout_s=None), None),
        (600, Health(start_timeout_s=3600, failures=3, stuck_after_s=None), WARNING),
        (120, Health(start_timeout_s=3600, stuck_after_s=60), INFO),
    ],
)
def test_passes_that_come_too_seldom(spacing: int, health: Health, expected: str | None) -> None:
    found = times.judge_spacing(profile(health=health), spacing)
    assert level(found) == expected
    assert found is None or found.remedy


def test_time_zones(tmp_path: Path) -> None:
    nightly = profile(schedule=Schedule(("Mon-Fri 08:00-18:00",)))
    lost = profile(schedule=Schedule(("Mon-Fri 08:00-18:00",), "Mars/Olympus"))
    assert [one.level for one in times.zones(case(tmp_path, nightly, lost))] == [INFO, ERROR]
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "timezone").write_text("Europe/Berlin\n")
    assert not list(times.zones(case(tmp_path, nightly)))
    assert not list(times.zones(case(tmp_path, profile())))


# -- a shell and cron --------------------------------------------------------------------------------


def test_a_program_that_only_the_shell_finds(tmp_path: Path) -> None:
    script = tmp_path / "bin" / "some-server"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    there = case(tmp_path, settings=Settings(file=None, binary="some-server"))
    (found,) = alike.programs(there)
    assert found.what == f"by this name a shell finds {script}, and cron finds nothing"
    assert str(script) in str(found.remedy)
    assert not list(alike.programs(case(tmp_path, settings=Settings(file=None, binary=str(script)))))
    assert alike.judge_program("x", "/usr/bin/x", "/usr/bin/x") is None


def test_variables_that_cron_does_not_have() -> None:
    environ = {"XDG_DATA_HOME": "/d", "LLAMAAGENT_PORTS": "1-2", "LLAMAAGENT_SITE": "x", "HOME": "/h"}
    found = alike.judge_variables(environ, ["* * * * * XDG_DATA_HOME=/d llamaagent run --once"])
    assert found is not None
    assert found.what.startswith("LLAMAAGENT_PORTS of this shell")
    assert alike.judge_variables({"HOME": "/h"}, []) is None


@pytest.mark.parametrize(
    ("mode", "group", "expected"),
    [
        (stat.S_IFREG | 0o644, 9, None),
        (stat.S_IFREG | 0o664, 5, None),
        (stat.S_IFREG | 0o664, 9, WARNING),
        (stat.S_IFREG | 0o666, 5, ERROR),
        (stat.S_IFDIR | 0o1777, 5, None),
        (stat.S_IFDIR | 0o777, 5, ERROR),
    ],
)
def test_who_may_change_what_runs(mode: int, group: int, expected: str | None) -> None:
    assert level(alike.judge_writable("/f", mode, group, 5)) == expected


def test_settings_that_everybody_may_change(tmp_path: Path) -> None:
    path = tmp_path / "llamaagent.yaml"
    path.write_text("")
    path.chmod(0o666)
    (found,) = alike.writable(case(tmp_path))
    assert (found.subject, found.remedy) == (str(path), f"chmod o-w {path}")


# -- the rest ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "declared", "others", "expected", "words"),
    [
        (None, True, False, WARNING, "adopts it"),
        (None, False, False, WARNING, "declare it"),
        (None, True, True, WARNING, "kill 7"),
        (("stopped", "override"), True, False, WARNING, "kill 7"),
        (("stopped", "detached"), True, False, INFO, "kill 7"),
    ],
)
def test_servers_that_should_not_be(
    row: tuple[str, str] | None, declared: bool, others: bool, expected: str, words: str
) -> None:
    found = judge.stray("a", 7, row, declared=declared, others=others)
    assert found.level == expected
    assert words in str(found.remedy)


def test_logs_that_take_too_much() -> None:
    mib = 1 << 20
    assert judge.log_folder("/l", 500 * mib, ("a.log", 60 * mib), 64 * mib) is None
    assert level(judge.log_folder("/l", 500 * mib, ("a.log", 129 * mib), 64 * mib)) == WARNING
    assert level(judge.log_folder("/l", 1100 * mib, ("a.log", 60 * mib), 64 * mib)) == WARNING


def test_inodes_and_sqlite() -> None:
    assert judge.inodes("/", 0, 0) is None
    assert judge.inodes("/", 10, 1000) is None
    assert level(judge.inodes("/", 9, 1000)) == ERROR
    assert judge.sqlite("3.51.0") is None
    assert level(judge.sqlite("3.36.2")) == ERROR
