"""A systemd unit whose ExecStart runs llama-server or a container, to a profile.

Its quoting and its continued lines are systemd's (systemd.syntax(7), systemd.service(5)), which differ from a
shell's: there are no pipes, `%` begins a specifier, `$$` is a dollar.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.config.foreign import text_of_file
from llamaagent.config.special import looks_secret
from llamaagent.neighbours.carried import Taking, beside, number_of
from llamaagent.neighbours.commandline import is_server, take_apart, take_server
from llamaagent.neighbours.container import read_size
from llamaagent.neighbours.dockerrun import take_run
from llamaagent.neighbours.environment import Variable
from llamaagent.neighbours.unitwords import UnitSyntaxError, split_words, without_prefix

if TYPE_CHECKING:
    from llamaagent.neighbours.carried import Draft, Source, Taken

KIND = "unit"
_RESTART = {"no": "never", "on-failure": "on-failure", "on-abnormal": "on-failure", "on-abort": "on-failure"}
_TWICE = "two supervisors would fight over one server: `systemctl disable --now` the unit before you start the profile"
_SAID = {
    "EnvironmentFile": "it is not read; put what it sets into the settings' env_file and name it under `secrets`",
    "User": "the server runs as the user of llamaagent",
    "Group": "the server runs with the group of llamaagent",
    "ExecStartPre": "a profile runs one command",
    "ExecStartPost": "a profile runs one command; `health` says when it is ready",
    "ExecStop": "the agent stops it itself: SIGTERM, `stop.grace`, SIGKILL",
    "ExecStopPost": "the agent stops it itself",
    "ExecReload": "a changed profile restarts the server (`update.restart`)",
    "StandardOutput": "the agent keeps the log (llamaagent logs NAME)",
    "StandardError": "the agent keeps the log (llamaagent logs NAME)",
    "CPUQuota": "write `resources: {cpus: N}`",
}
_QUIET = {("Unit", "Description"), ("Service", "Type"), ("Install", "WantedBy")}


class Line(NamedTuple):
    """One setting of the unit."""

    section: str
    key: str
    value: str
    line: int


def parse_unit(text: str) -> list[Line]:
    """Settings in order: continued lines joined by a blank, comments left out, also between continued lines."""
    found: list[Line] = []
    section = ""
    held, begin = "", 0
    for number, line in enumerate([*text.replace("\r\n", "\n").split("\n"), ""], start=1):
        bare = line.strip()
        if bare[:1] in {"#", ";"} or (not bare and not held):
            continue
        if not held:
            begin = number
        if bare.endswith("\\"):
            held += bare[:-1] + " "
            continue
        whole, held = (held + bare).strip(), ""
        if whole.startswith("[") and whole.endswith("]"):
            section = whole[1:-1]
        elif "=" in whole:
            key, _, value = whole.partition("=")
            found.append(Line(section, key.strip(), value.strip(), begin))
    return found


def read_unit(source: Source) -> Taken:
    """One profile. Raises BadInputError for what is no text."""
    lines = parse_unit(text_of_file(source.data, source.name))
    starts = _after_reset([line for line in lines if (line.section, line.key) == ("Service", "ExecStart")])
    folder = _last(lines, "WorkingDirectory")
    if folder is not None and folder.value.lstrip("-").startswith("/"):
        source = source._replace(folder=folder.value.lstrip("-"), folder_known=True)
    else:
        source = source._replace(folder_known=False)
    taking = Taking(source)
    for start in starts:
        draft = taking.draft(source.default_name, "ExecStart", start.line)
        if not _take(draft, start, lines):
            draft.drop()
            continue
        draft.put("state", "stopped")
        _others(draft, lines)
        break
    if not starts:
        taking.lose("ExecStart", None, "the unit starts nothing")
    for more in starts[starts.index(start) + 1 :] if starts else ():
        taking.lose("ExecStart", more.line, "a profile runs one command")
    return taking.result(KIND)


def _after_reset(lines: list[Line]) -> list[Line]:
    """An empty assignment takes back all before it."""
    at = max((index for index, line in enumerate(lines) if not line.value), default=-1)
    return lines[at + 1 :]


def _last(lines: list[Line], key: str) -> Line | None:
    return next((line for line in reversed(lines) if (line.section, line.key) == ("Service", key)), None)


def _take(draft: Draft, start: Line, lines: list[Line]) -> bool:
    try:
        variables = _variables(draft, lines)
        known = {one.name: one.value or "" for one in variables if not looks_secret(one.name)}
        text, prefix = without_prefix(start.value)
        words = split_words(text, known)
    except UnitSyntaxError as error:
        draft.lose("", str(error))
        return False
    for sign in prefix:
        if sign == "@" and len(words) > 1:
            del words[1]
        elif sign in "+!|":
            draft.lose(
                "", f"the prefix {sign} asks for other rights; the server runs with those of llamaagent"
            )
    for word in words:
        if re.search(r"%[a-zA-Z]", word):
            draft.lose("", f"{word!r} holds a specifier of systemd, which is written as it stands")
    command = take_apart(words)
    if command is None:
        draft.lose("", f"{words[0] if words else 'nothing'} is neither llama-server nor docker nor podman")
        return False
    if is_server(command.program):
        return take_server(draft, command, variables, "")
    return take_run(draft, command, key="")


def _variables(draft: Draft, lines: list[Line]) -> list[Variable]:
    """Environment= of the unit; PassEnvironment= names variables that come from outside."""
    found: dict[str, Variable] = {}
    for line in lines:
        if line.section != "Service" or line.key not in {"Environment", "PassEnvironment"}:
            continue
        if not line.value:
            found.clear()
        for word in split_words(line.value, None):
            name, equals, value = word.partition("=")
            found[name] = Variable(name, value if equals else None, line.line)
            if looks_secret(name) and value:
                draft.taking.hide(name, value)
    return list(found.values())


def _others(draft: Draft, lines: list[Line]) -> None:
    """Everything but ExecStart and Environment."""
    for line in lines:
        text = line.value
        if line.section == "Service" and line.key == "WorkingDirectory":
            if draft.get("runtime.kind") != "container":
                draft.put("runtime.cwd", beside(draft.taking.source, text.lstrip("-")))
        elif line.section == "Service" and line.key == "Restart":
            policy = _RESTART.get(text, "always")
            draft.put("restart.policy", policy if policy != "always" else None)
            said = f"{text} became `restart: {policy}`, with `state: stopped`; {_TWICE}"
            draft.taking.lose("Service.Restart", line.line, said)
        elif line.section == "Service" and line.key in {"MemoryMax", "MemoryLimit"} and read_size(text):
            draft.put("resources.memory", read_size(text))
        elif line.section == "Service" and line.key == "TimeoutStopSec" and number_of(text.rstrip("s")):
            draft.put("stop.grace", f"{text.rstrip('s')}s")
        elif (
            line.key not in {"ExecStart", "Environment", "PassEnvironment"}
            and (line.section, line.key) not in _QUIET
        ):
            said = _SAID.get(line.key, "it is systemd's own")
            draft.taking.lose(f"{line.section}.{line.key}", line.line, said)
    description = next(
        (line.value for line in lines if (line.section, line.key) == ("Unit", "Description")), ""
    )
    if description:
        draft.label("description", description)
    if _last(lines, "Restart") is None:
        draft.lose("", f"it is written with `state: stopped`; {_TWICE}, by `llamaagent start {draft.name}`")
