"""Which folders a compose service needs: those of its model and of the files its options name. Pure.

Each is mounted where it lies on the host, so that the command line stays what it is; read-only, unless the server
writes into it.
"""

from __future__ import annotations

import posixpath

from llamaagent.config.args import PATH_LISTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Any

    from llamaagent.domain.profile import Profile

_FOLDERS = frozenset(
    {"models-dir", "media-path", "path", "slot-save-path", "log-prompts-dir", "video-ffmpeg-dir"}
)
_WRITTEN = frozenset({"slot-save-path", "log-prompts-dir", "lookup-cache-dynamic"})


def mounts(profile: Profile, path_options: Collection[str], volumes: Collection[str]) -> list[dict[str, Any]]:
    """Volumes in the long form. path_options: options whose value is a path; volumes: those there are already."""
    wanted: dict[str, bool] = {}  # folder (or a file at the top) -> read-only
    for path, read_only in _needed(profile, path_options):
        if not any(_covers(volume, path) for volume in volumes):
            wanted[path] = wanted.get(path, True) and read_only
    kept = [
        path
        for path in wanted
        if not any(_inside(path, other) and wanted[other] <= wanted[path] for other in wanted)
    ]
    return [
        {"type": "bind", "source": path, "target": path, **({"read_only": True} if wanted[path] else {})}
        for path in sorted(kept)
    ]


def _needed(profile: Profile, path_options: Collection[str]) -> Iterator[tuple[str, bool]]:
    if profile.model.path is not None:
        yield _folder_of(profile.model.path), True
    for name, value in profile.args:
        if name not in path_options and name not in PATH_LISTS:
            continue
        for text in value if isinstance(value, tuple) else (str(value),):
            for path in _paths(name, text):
                yield (path if name in _FOLDERS else _folder_of(path)), name not in _WRITTEN


def _paths(name: str, text: str) -> Iterator[str]:
    for part in text.split(",") if name in PATH_LISTS else [text]:
        path, colon, scale = part.rpartition(":") if name.endswith("-scaled") else (part, "", "")
        path = path if colon or not scale else part
        if path.startswith("/"):
            yield path


def _folder_of(path: str) -> str:
    """The folder, since a model may lie in parts; never the whole host for a file at its top."""
    folder = posixpath.dirname(posixpath.normpath(path))
    return path if folder in {"/", "//"} else folder


def _inside(path: str, folder: str) -> bool:
    return path != folder and path.startswith(f"{folder.rstrip('/')}/")


def _covers(volume: str, path: str) -> bool:
    """Whether the path lies in what `SOURCE:TARGET[:MODE]` shows inside of the container."""
    parts = volume.split(":")
    target = (parts[1] if len(parts) > 1 else parts[0]).rstrip("/") or "/"
    return path == target or _inside(path, target)
