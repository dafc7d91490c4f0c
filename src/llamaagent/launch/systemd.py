"""What systemd says of a unit, asked through `systemctl show`. Changes nothing.

Source: systemctl(1), systemd.service(5). A unit is the system's, or with `user` that of this user's own manager.
"""

from __future__ import annotations

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.base.record import NamedTuple

_DEADLINE_S = 2.0
_ASKED = "LoadState,MainPID,Restart,UnitFileState"


class Unit(NamedTuple):
    """One service. main_pid None: it does not run. restart: no, always, on-failure, ...; file_state: enabled, ..."""

    name: str
    user: bool
    loaded: bool
    main_pid: int | None
    restart: str
    file_state: str


def ask_unit(name: str, *, user: bool = False) -> Unit:
    """Ask for a unit, at most two seconds long. Raises ServiceUnavailableError: no systemd here, or no answer."""
    from llamaagent.base.run import run

    words = ["systemctl", *(["--user"] if user else []), "--no-pager", "show", "-p", _ASKED, "--", name]
    result = run(words, deadline_s=_DEADLINE_S, max_output_bytes=65536, cwd="/")
    if result.timed_out:
        raise ServiceUnavailableError(f"systemctl did not answer for {name} within {_DEADLINE_S:g} s")
    if result.code != 0:
        said = result.err.decode("utf-8", "replace").strip().partition("\n")[0]
        raise ServiceUnavailableError(f"systemctl cannot tell of {name}: {said or f'status {result.code}'}")
    return parse_unit(result.text, name, user=user)


def parse_unit(text: str, name: str, *, user: bool = False) -> Unit:
    """Read the `KEY=value` lines of `systemctl show`.

    >>> parse_unit("MainPID=7", "a.service").main_pid
    7
    """
    found = dict(line.partition("=")[::2] for line in text.splitlines())
    pid = found.get("MainPID", "0")
    return Unit(
        name,
        user,
        found.get("LoadState") == "loaded",
        int(pid) if pid.isdigit() and pid != "0" else None,
        found.get("Restart", "") or "no",
        found.get("UnitFileState", ""),
    )


def find_unit(name: str) -> Unit:
    """The system's unit of this name, else the user's. Raises ServiceUnavailableError when neither can be asked."""
    try:
        system = ask_unit(name)
    except ServiceUnavailableError as error:
        try:
            return ask_unit(name, user=True)
        except ServiceUnavailableError:
            raise error from None
    if system.loaded:
        return system
    try:
        own = ask_unit(name, user=True)
    except ServiceUnavailableError:
        return system
    return own if own.loaded else system
