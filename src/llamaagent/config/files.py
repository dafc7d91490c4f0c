"""Finding and reading the files of a site; each one looked at is noted, so that a later pass can skip it all.

A file is read only when it is a plain file that belongs to the caller or to root: whoever can write a profile
can run programs.
"""

from __future__ import annotations

import os
import stat

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.config.node import Faults, Mark

    Signature = list[int] | None

SETTINGS_NAME = "llamaagent.yaml"
YOUNG_S = 2  # what changed this recently may change again within one tick of its time stamp
_LARGEST = 1_000_001  # one byte more than is allowed, so that "too large" is seen


class FolderState(NamedTuple):
    """A place where profiles are looked for: a folder, or one file that the settings name."""

    path: str
    readable: bool
    files: tuple[str, ...] = ()  # profile files in it, absolute, sorted; bases are not among them
    valid_count: int = 0  # profiles of any host that passed every check
    error: str | None = None  # why it cannot be read


def signature(path: str) -> Signature:
    """[mtime_ns, size, inode, mode, owner]: changes when a file or folder does. None when it is not there."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    return [info.st_mtime_ns, info.st_size, info.st_ino, info.st_mode, info.st_uid]


def is_young(sign: Signature, now: int) -> bool:
    """True when it changed within the last two seconds (or, by its time stamp, in the future)."""
    return sign is not None and sign[0] > (now - YOUNG_S) * 1_000_000_000


class Places:
    """Where relative paths lead, and every path that the result depends on."""

    def __init__(self, environ: Mapping[str, str], cwd: str) -> None:
        self.environ = environ
        self.cwd = cwd
        self.model_directories: tuple[str, ...] = ()
        self.portable = False
        self.signatures: dict[str, Signature] = {}
        self.programs: dict[str, Signature] = {}  # looked for as server programs, found or not
        self.probes: dict[str, bool] = {}
        self.cacheable = True

    def absolute(self, text: str, file: str) -> str:
        """A path as it stands in `file`: `~` is the home folder, relative means beside that file."""
        return os.path.normpath(os.path.join(os.path.dirname(file), self._home(text)))

    def find_model(self, text: str, file: str) -> str:
        """A model's path: relative ones are looked for in models.directories, then beside the file.

        `./x.gguf` means beside the file only. What is nowhere is expected in the first directory.
        """
        path = self._home(text)
        beside = os.path.normpath(os.path.join(os.path.dirname(file), path))
        if os.path.isabs(path) or path.startswith(("./", "../")):
            return beside
        candidates = [os.path.normpath(os.path.join(folder, path)) for folder in self.model_directories]
        for candidate in [*candidates, beside]:
            if self.exists(candidate):
                return candidate
        return candidates[0] if candidates else beside

    def exists(self, path: str) -> bool:
        """Is it there? The answer becomes part of what a remembered parse depends on."""
        return self.probes.setdefault(path, os.path.exists(path))

    def find_program(self, path: str) -> str | None:
        """The path if a program is there that may be run. A remembered parse depends on just this one."""
        sign = self.programs.setdefault(path, signature(path))
        runs = sign is not None and stat.S_ISREG(sign[3]) and os.access(path, os.X_OK)
        return path if runs else None

    def read(self, path: str, mark: Mark, faults: Faults) -> bytes | None:
        """A file's bytes; None after a fault at `mark` (the place that asked for the file)."""
        self.signatures[path] = signature(path)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            faults.add(mark, f"cannot read {path}: {self.reason(error)}")
            return None
        try:
            info = os.fstat(descriptor)
            refusal = self._refusal(info)
            if refusal is not None:
                faults.add(mark, f"cannot read {path}: {refusal}")
                return None
            return self._all(descriptor)
        except OSError as error:
            faults.add(mark, f"cannot read {path}: {self.reason(error)}")
            return None
        finally:
            os.close(descriptor)

    def list_folder(self, path: str) -> tuple[list[str], str | None]:
        """(names of *.yaml and *.yml, sorted; why the folder cannot be read)."""
        self.signatures[path] = signature(path)
        try:
            names = os.listdir(path)
        except OSError as error:
            return [], self.reason(error)
        return sorted(n for n in names if n.endswith((".yaml", ".yml")) and not n.startswith(".")), None

    def reason(self, error: OSError) -> str:
        """The system's sentence, lower case. Anything but absence and rights is not worth remembering."""
        if not isinstance(
            error, FileNotFoundError | PermissionError | NotADirectoryError | IsADirectoryError
        ):
            self.cacheable = False
        return (error.strerror or "unknown error").lower()

    def _home(self, text: str) -> str:
        if text == "~" or text.startswith("~/"):
            return self.environ.get("HOME", "/") + text[1:]
        return text

    @staticmethod
    def _refusal(info: os.stat_result) -> str | None:
        if stat.S_ISDIR(info.st_mode):
            return "is a directory"
        if not stat.S_ISREG(info.st_mode):
            return "not a plain file"
        if info.st_uid not in {os.geteuid(), 0}:
            return f"it belongs to user {info.st_uid}, neither to you nor to root"
        return None

    @staticmethod
    def _all(descriptor: int) -> bytes:
        parts = []
        left = _LARGEST
        while left > 0:
            part = os.read(descriptor, min(left, 262144))
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def find_settings(config: str | None, places: Places) -> tuple[str | None, bool]:
    """(path of the settings file, was it named by hand). The first that exists; a named one need not."""
    named = config or places.environ.get("LLAMAAGENT_CONFIG")
    if named:
        path = places.absolute(named, os.path.join(places.cwd, "."))
        return (os.path.join(path, SETTINGS_NAME) if os.path.isdir(path) else path), True
    for folder in _search_folders(places):
        path = os.path.join(folder, SETTINGS_NAME)
        if places.exists(path):
            return path, False
    return None, False


def _search_folders(places: Places) -> list[str]:
    """The working folder up to the git root (outside of git only itself), the user's, the system's."""
    upwards = [places.cwd]
    while not places.exists(os.path.join(upwards[-1], ".git")):
        parent = os.path.dirname(upwards[-1])
        if parent == upwards[-1]:
            upwards = upwards[:1]
            break
        upwards.append(parent)
    base = places.environ.get("XDG_CONFIG_HOME") or os.path.join(places.environ.get("HOME", "/"), ".config")
    return [*upwards, os.path.join(base, "llamaagent"), "/etc/llamaagent"]
