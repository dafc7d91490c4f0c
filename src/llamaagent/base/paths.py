"""Where things are: the kernel's folders, and ours.

The environment comes in as a mapping, so that only `cli` reads the real one; `/proc` and `/sys` come in as a
`HostPaths`, so that a test hands a folder instead. Source of the user's folders: the XDG base directory
specification; root without XDG variables keeps to `/var` and `/run` as services do.
"""

from __future__ import annotations

import os
import stat

from llamaagent.base.errors import CannotCreateError
from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "llamaagent"


class HostPaths(NamedTuple):
    """Roots of the kernel's own file systems."""

    proc: str = "/proc"
    sys: str = "/sys"
    dev: str = "/dev"


class Places(NamedTuple):
    """Folders and files of one user on one host, all absolute. Nothing here has been created yet."""

    database: str
    data: str
    state: str
    logs: str  # one file a launch
    exits: str  # one file a finished launch
    cache: str
    runtime: str  # gone after a reboot
    report: str


def host_paths(environ: Mapping[str, str]) -> HostPaths:
    """The roots, or those that LLAMAAGENT_HOST_SYS and LLAMAAGENT_HOST_DEV name.

    They do where a container sees the host's folders under another name, and in tests.
    """
    return HostPaths(
        sys=environ.get("LLAMAAGENT_HOST_SYS") or "/sys", dev=environ.get("LLAMAAGENT_HOST_DEV") or "/dev"
    )


def places(environ: Mapping[str, str], *, home: str | None = None, uid: int | None = None) -> Places:
    """Say where this user's files lie.

    environ: usually the process's own; read are LLAMAAGENT_DB_PATH and XDG_*. A relative XDG path is ignored,
    as its specification asks. home: default HOME, else the password database. uid: default the effective one.
    """
    uid = os.geteuid() if uid is None else uid
    root = uid == 0
    base = (home or environ.get("HOME") or home_of(uid)).rstrip("/")
    data = _xdg(environ, "XDG_DATA_HOME", "/var/lib" if root else f"{base}/.local/share")
    state = _xdg(environ, "XDG_STATE_HOME", "/var/lib" if root else f"{base}/.local/state")
    cache = _xdg(environ, "XDG_CACHE_HOME", "/var/cache" if root else f"{base}/.cache")
    services = root and not environ.get("XDG_STATE_HOME", "").startswith("/")
    database = environ.get("LLAMAAGENT_DB_PATH") or f"{data}/{NAME}.db"
    return Places(
        database=os.path.abspath(database),
        data=data,
        state=state,
        logs=f"/var/log/{NAME}" if services else f"{state}/logs",
        exits=f"{state}/exits",
        cache=cache,
        runtime=_xdg(environ, "XDG_RUNTIME_DIR", "/run")
        if root
        else _xdg(environ, "XDG_RUNTIME_DIR", "", state),
        report=f"{data}/site",
    )


def _xdg(environ: Mapping[str, str], name: str, default: str, whole: str = "") -> str:
    value = environ.get(name, "")
    if value.startswith("/"):
        return f"{value.rstrip('/')}/{NAME}"
    return whole or f"{default.rstrip('/')}/{NAME}"


def home_of(uid: int) -> str:
    """Home folder from the password database, `/` for a uid that is not in it."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return "/"


def ensure_private_dir(path: str, *, mode: int = 0o700, exact: bool = False) -> str:
    """Make a folder that only we can write to, or make sure that it is one, and return its path.

    Missing parents are made with the same mode. exact: also give an existing folder of ours this mode.
    Raises CannotCreateError when it is no folder, belongs to a stranger (neither us nor root), is open for
    writing to others, or cannot be made.
    """
    made = _make(path, mode)
    try:
        found = os.stat(path)
    except OSError as error:
        raise CannotCreateError(f"cannot use folder {path}: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise CannotCreateError(f"{path} is not a folder")
    if found.st_uid not in {os.geteuid(), 0}:
        raise CannotCreateError(
            f"folder {path} belongs to uid {found.st_uid}, not to you", hint="choose a folder of your own"
        )
    ours = found.st_uid == os.geteuid()
    if ours and stat.S_IMODE(found.st_mode) != mode and (made or exact):
        os.chmod(path, mode)
    elif stat.S_IMODE(found.st_mode) & 0o022:
        raise CannotCreateError(f"folder {path} can be written to by others", hint=f"chmod go-w {path}")
    return path


def _make(path: str, mode: int) -> bool:
    if os.path.isdir(path):
        return False
    parent = os.path.dirname(os.path.abspath(path))
    if parent != path and not os.path.isdir(parent):
        _make(parent, mode)
    try:
        os.mkdir(path, mode)
    except FileExistsError:  # another program was faster, or it is a file: the caller looks
        return False
    except OSError as error:
        raise CannotCreateError(f"cannot make folder {path}: {error.strerror}") from error
    return True
