"""`install cron`, `install systemd`: who runs the agent. What would be written is shown first."""

from __future__ import annotations

import os
import sys

from llamaagent.base.errors import (
    NOT_FINE,
    CannotCreateError,
    ConfigError,
    ServiceUnavailableError,
    UsageError,
)
from llamaagent.cli.output import say
from llamaagent.cli.schedule import (
    UNIT,
    agent_words,
    block,
    environment,
    marker_of,
    split_block,
    unit,
    with_block,
)
from llamaagent.cli.site import Opened, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Values

_DEADLINE_S = 20.0
_NO_CRONTAB = ("no crontab", "no such file")  # cron's own words, and busybox's, for: you have none


def cron(values: Values) -> int:
    """One marked block in the caller's crontab; nothing else in it is touched."""
    opened = agent_site(values)
    words = agent_words(values, opened.site_path)
    text = block(opened.site_path, [*words, "run", "--once"], environment(os.environ))
    if values.flag("print"):
        print(text, end="")
        return 0
    crontab = read_crontab()
    before, old, after = split_block(crontab, opened.site_path)
    if values.flag("remove"):
        return _remove_block(values, before + after, old)
    if old == text:
        say("already_installed")
        return 0
    print(text, end="")
    if not _agreed(values, "put this into the crontab?"):
        return NOT_FINE
    _write_crontab(with_block(crontab, opened.site_path, text))
    if text not in read_crontab():
        raise ServiceUnavailableError("crontab took the text and gives back another", hint="crontab -l")
    say("installed: the first pass comes with the next minute")
    warn_about_secrets(opened, "cron")
    return 0


def _remove_block(values: Values, rest: str, old: str) -> int:
    if not old:
        say("already_removed: there is no such block")
        return 0
    print(old, end="")
    if not _agreed(values, "remove this from the crontab?"):
        return NOT_FINE
    _write_crontab(rest)
    say("removed; the servers go on running (llamaagent stop --all ends them)")
    return 0


def agent_site(values: Values) -> Opened:
    """The site that an agent is to run for. Raises ConfigError when none can be named in a line of text."""
    opened = load(values)
    if opened.site.settings.file is None:
        raise ConfigError("cron and systemd need a settings file", hint="llamaagent init")
    if not opened.site_path.isprintable():
        raise ConfigError(f"{opened.site_path!r} holds characters that a crontab or a unit cannot")
    return opened


def read_crontab() -> str:
    """The caller's crontab, empty when there is none. Raises ServiceUnavailableError for any other answer."""
    from llamaagent.base.run import run

    try:
        result = run(["crontab", "-l"], deadline_s=_DEADLINE_S, env={**os.environ, "LC_ALL": "C"})
    except ServiceUnavailableError as error:
        raise ServiceUnavailableError(
            str(error), hint="install cron, or: llamaagent install systemd"
        ) from error
    text = result.err.decode("utf-8", "replace").strip()
    if result.code == 0:
        return result.out.decode("utf-8", "surrogateescape")
    if any(words in text.lower() for words in _NO_CRONTAB) and not result.out:
        return ""
    # Taking a failure for an empty crontab would erase a full one.
    raise ServiceUnavailableError(f"crontab -l failed with {result.code}: {text}")


def _write_crontab(text: str) -> None:
    from llamaagent.base.run import run

    data = text.encode("utf-8", "surrogateescape")
    result = run(["crontab", "-"], deadline_s=_DEADLINE_S, env={**os.environ, "LC_ALL": "C"}, stdin=data)
    if result.code != 0:
        raise ServiceUnavailableError(f"crontab failed: {result.err.decode('utf-8', 'replace').strip()}")


def _agreed(values: Values, question: str) -> bool:
    """Ask, unless --yes was given. Raises UsageError where there is nobody to ask."""
    if values.flag("yes"):
        return True
    if not (sys.stdin and sys.stdin.isatty()):
        raise UsageError(
            "nobody can be asked here, so nothing was changed", hint="--yes does it, --print only shows it"
        )
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in {"y", "yes"}:
        return True
    say("nothing was changed")
    return False


def warn_about_secrets(opened: Opened, who: str) -> None:
    """A variable of this shell is not one of cron's."""
    names = {ref.value for profile in opened.site.profiles for _, ref in profile.secrets if ref.kind == "env"}
    file = opened.site.settings.env_file
    if file is not None:
        from llamaagent.launch.environ import read_env_file

        names -= read_env_file(file).keys()
    if names:
        say(
            f"{who} does not have this shell's variables; put into the settings' env_file: {', '.join(sorted(names))}"
        )


def systemd(values: Values) -> int:
    """A unit that runs the loop; written by rename, never over a unit of somebody else."""
    opened = agent_site(values)
    user = values.flag("user") or os.geteuid() != 0
    path = unit_path(user)
    words = [*agent_words(values, opened.site_path), "run"]
    text = unit(opened.site_path, words, environment(os.environ), user=user)
    if values.flag("print"):
        print(text, end="")
        return 0
    before = _read_unit(path, opened.site_path)
    if values.flag("remove"):
        return _remove_unit(values, path, before, user=user)
    if before == text:
        say(f"already_installed: {path}")
        return 0
    print(f"# {path}\n{text}", end="")
    if not _agreed(values, "write this unit?"):
        return NOT_FINE
    _write_unit(path, text)
    _reload(user=user)
    _say_next(user=user, changed=before is not None)
    warn_about_secrets(opened, "systemd")
    return 0


def unit_path(user: bool) -> str:
    """Where the unit lies: the user's own, or the system's."""
    if not user:
        return f"/etc/systemd/system/{UNIT}"
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(base, "systemd", "user", UNIT)


def _read_unit(path: str, site: str) -> str | None:
    """The unit that is there. Raises CannotCreateError when it is not this site's."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(100_000)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CannotCreateError(f"cannot read {path}: {error.strerror}") from error
    owner = marker_of(text)
    if owner is None:
        raise CannotCreateError(f"{path} is there and not ours", hint="llamaagent install systemd --print")
    if owner != site:
        raise CannotCreateError(
            f"{path} runs another site: {owner}", hint="llamaagent install systemd --print"
        )
    return text


def _write_unit(path: str, text: str) -> None:
    part = f"{path}.{os.getpid()}.part"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(part, "x", encoding="utf-8") as file:
            file.write(text)
        os.replace(part, path)
    except OSError as error:
        raise CannotCreateError(f"cannot write {path}: {error.strerror}") from error


def _remove_unit(values: Values, path: str, before: str | None, *, user: bool) -> int:
    if before is None:
        say(f"already_removed: {path}")
        return 0
    print(f"to be removed: {path}")
    if not _agreed(values, "remove this unit?"):
        return NOT_FINE
    _systemctl(["disable", "--now", UNIT], user=user)
    os.unlink(path)
    _reload(user=user)
    say("removed; the servers go on running (llamaagent stop --all ends them)")
    return 0


def _systemctl(words: list[str], *, user: bool) -> bool:
    """Ask systemd; False when there is none, or it says no (in a container, say)."""
    from llamaagent.base.run import run

    try:
        result = run(["systemctl", *(["--user"] if user else []), *words], deadline_s=_DEADLINE_S)
    except ServiceUnavailableError:
        return False
    return result.code == 0


def _reload(*, user: bool) -> None:
    if not _systemctl(["daemon-reload"], user=user):
        say(
            f"systemd could not be told; it reads the unit after: systemctl {'--user ' if user else ''}daemon-reload"
        )


def _say_next(*, user: bool, changed: bool) -> None:
    manager = "systemctl --user" if user else "systemctl"
    say(f"installed; {'restart' if changed else 'start'} it with:")
    say(f"  {manager} restart {UNIT}" if changed else f"  {manager} enable --now {UNIT}")
    if user:
        from llamaagent.cli.verbs import user as name_of_user

        name = name_of_user()
        if not os.path.exists(f"/var/lib/systemd/linger/{name}"):
            say(
                f"it ends with your last session, and the servers with it, unless: loginctl enable-linger {name}"
            )
