"""systemd units that run the agent: what in them would end the servers, or end all for one. Pure.

A server belongs to the control group of the unit whose agent launched it. Sources: systemd.kill(5),
systemd.service(5), systemd.unit(5) on drop-ins.
"""

from __future__ import annotations

from llamaagent.doctor.finding import ERROR, WARNING, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Unit:
    """The last value of each key, over the file and its drop-ins; list keys keep every value."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.values: dict[str, str] = {}
        self.commands: list[str] = []
        for text in texts:
            self._read(text)

    def _read(self, text: str) -> None:
        section = ""
        for line in text.replace("\\\n", " ").splitlines():
            line = line.strip()  # noqa: PLW2901 - the same line without its margins
            if line.startswith("["):
                section = line.strip("[]")
            elif section == "Service" and line[:1] not in {"#", ";", ""}:
                key, _, value = line.partition("=")
                self.values[key.strip()] = value.strip()
                if key.strip() == "ExecStart":
                    self.commands = [*self.commands, value.strip()] if value.strip() else []

    @property
    def runs_agent(self) -> bool:
        """Whether it starts llamaagent's `run`."""
        return any("llamaagent" in words and " run" in words for words in self.commands)

    @property
    def is_oneshot(self) -> bool:
        """Whether it makes single passes, for a timer."""
        return self.values.get("Type") == "oneshot" or any("--once" in words for words in self.commands)


def judge_unit(name: str, path: str, unit: Unit, *, user: bool) -> Iterator[Finding]:
    """What is wrong with a unit that runs the agent. name: as systemctl takes it."""
    if not unit.runs_agent:
        return
    edit = f"systemctl {'--user ' if user else ''}edit {name}"
    mode = unit.values.get("KillMode", "control-group")
    if mode in {"control-group", "mixed"}:
        when = "each pass" if unit.is_oneshot else "each stop or restart of the agent"
        what = f"KillMode={mode}: {when} ends with every server being killed"
        yield Finding(
            ERROR if unit.is_oneshot else WARNING, path, what, f"{edit}   # [Service] KillMode=process"
        )
    if not unit.is_oneshot and unit.values.get("OOMPolicy", "stop") != "continue":
        what = "without OOMPolicy=continue one server that runs out of memory ends the agent with it"
        yield Finding(WARNING, f"{path} (memory)", what, f"{edit}   # [Service] OOMPolicy=continue")


def judge_linger(user: str, path: str, *, lingers: bool) -> Finding | None:
    """A unit of a user manager that ends with the user's last session."""
    if lingers:
        return None
    what = f"the units of {user} end with the last session, and the servers with them"
    return Finding(WARNING, f"{path} (linger)", what, f"loginctl enable-linger {user}")


def judge_session(profile: str, cgroup: str, *, kills: bool, lingers: bool, user: str) -> Finding | None:
    """A server that lives in a login session or below a user manager. kills: logind's KillUserProcesses."""
    linger = f"loginctl enable-linger {user}"
    if "/session-" in cgroup and cgroup.rstrip("/").endswith(".scope") and kills:
        what = "it was launched from a login session, and logind ends it with that session (KillUserProcesses=yes)"
        return Finding(
            WARNING, profile, what, f"{linger}; llamaagent restart {profile} from cron's or systemd's agent"
        )
    if "/user@" in cgroup and not lingers:
        return Finding(WARNING, profile, f"it ends with the last session of {user}", linger)
    return None
