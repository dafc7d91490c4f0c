"""The command line of a server: which program, with which words."""

from __future__ import annotations

import os
import sys

from llamaagent.base.errors import ConfigError
from llamaagent.base.paths import home_of
from llamaagent.launch.environ import PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from llamaagent.domain.profile import Profile

EMBEDDED = "embedded"
EMBEDDED_MODULE = "llamaagent.launch.embedded"
_SLEEP = "--sleep-idle-seconds"


def server_argv(
    profile: Profile,
    *,
    binary: str,
    port: int,
    host: str | None = None,
    extra: Iterable[str] = (),
    options: Collection[str] | None = None,
) -> tuple[str, ...]:
    """Put the whole command line together, a word an element, no shell involved.

    binary: absolute path, or `embedded`. host: default the profile's. extra: words the agent adds, such as
    the fit for the reserved memory. options: the spellings that the binary knows, None = not known, all are
    taken. No secret is in it: those go by the environment.
    """
    words = [*profile.runtime.wrap, *program(binary), *_model(profile)]
    words += ["--host", host or profile.listen.host, "--port", str(port), "--metrics", *profile.argv]
    sleep_after = profile.idle.sleep_after_s
    if sleep_after and _SLEEP not in profile.argv and (options is None or _SLEEP in options):
        words += [_SLEEP, str(sleep_after)]
    return (*words, *extra)


def program(binary: str) -> tuple[str, ...]:
    """Words that start the server program itself. -P keeps the folder it runs in out of Python's path."""
    if binary == EMBEDDED:
        return (sys.executable, "-P", "-m", EMBEDDED_MODULE)
    return (binary,)


def _model(profile: Profile) -> tuple[str, ...]:
    """A bare --model-url is ignored by llama-server, which would start as a router without any model."""
    model = profile.model
    if model.url is not None:
        return "--model", f"{download_folder(profile)}/{model.url_file}", "--model-url", model.url
    for option, value in (("--model", model.path), ("--hf-repo", model.hf), ("--docker-repo", model.docker)):
        if value is not None:
            return option, value
    return ()


def download_folder(profile: Profile) -> str:
    """Where its llama-server keeps what it downloads, as llama.cpp itself chooses it."""
    env = dict(profile.runtime.env)
    if env.get("LLAMA_CACHE"):
        return env["LLAMA_CACHE"].rstrip("/")
    if env.get("XDG_CACHE_HOME"):
        return f"{env['XDG_CACHE_HOME']}/llama.cpp"
    return f"{env.get('HOME') or home_of(os.geteuid())}/.cache/llama.cpp"


def resolve_binary(name: str, path_env: str | None = None, remembered: str | None = None) -> str:
    """Absolute path of a server program; `embedded` stays what it is.

    name: a name, looked up once in path_env and then in the fixed PATH, or a path. remembered: what an
    earlier look-up of this name found; it holds while it is still a program, so that cron finds what the
    shell found. Raises ConfigError.
    """
    if name == EMBEDDED:
        _need_embedded()
        return name
    if "/" in name:
        if not os.path.isabs(name):
            raise ConfigError(f"binary {name} is not an absolute path")
        if not _runs(name):
            raise ConfigError(
                f"binary {name} is not a program that can be run", hint="llamaagent settings binary"
            )
        return name
    if remembered and os.path.isabs(remembered) and _runs(remembered):
        return remembered
    for folder in (*(path_env or "").split(":"), *PATH.split(":")):
        if folder.startswith("/") and _runs(f"{folder}/{name}"):
            return os.path.normpath(f"{folder}/{name}")
    raise ConfigError(
        f"binary {name} is not on PATH",
        hint="set `binary:` in the settings to its path, or to `embedded` (llama.cpp inside Python)",
    )


def _runs(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _need_embedded() -> None:
    from importlib.util import find_spec

    if find_spec("xllamacpp") is None:
        raise ConfigError(
            "binary: embedded needs the package xllamacpp", hint="pip install 'llamaagent[embedded]'"
        )


def embedded_environment() -> tuple[tuple[str, str], ...]:
    """Variables with which the embedded server finds this very package, installed or in a checkout."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return (("PYTHONPATH", os.path.dirname(package)), ("PYTHONDONTWRITEBYTECODE", "1"))


def quoted(argv: Iterable[str]) -> str:
    """One line that a POSIX shell reads back as these words."""
    import shlex

    return shlex.join(argv)


def file_identity(path: str) -> str | None:
    """Size, mtime and inode of a program as one text; it changes when the program is replaced. None: no such file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return f"{found.st_size}:{found.st_mtime_ns}:{found.st_ino}"
