"""A scan: what lies in directories, set beside what the last scan stored; only what changed is opened."""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple
from llamaagent.gguf.find import Found, Trouble, find_models, presence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llamaagent.domain.modelfile import KnownFile


class Survey(NamedTuple):
    """fresh: to be read; same: unchanged since the last scan; gone: stored, below these directories, not there."""

    fresh: tuple[Found, ...]
    same: tuple[KnownFile, ...]
    gone: tuple[KnownFile, ...]
    troubles: tuple[Trouble, ...]


def survey(directories: Iterable[str], known: Mapping[str, KnownFile], *, again: bool = False) -> Survey:
    """Look at directories (absolute paths) without opening a file. again: take unchanged files for new."""
    fresh: dict[str, Found] = {}
    same: dict[str, KnownFile] = {}
    troubles: list[Trouble] = []
    visited: set[tuple[int, int]] = set()
    roots = tuple(directories)
    for root in roots:
        for found in find_models(root, seen=visited):
            if isinstance(found, Trouble):
                troubles.append(found)
                continue
            path = found.paths[0]
            before = known.get(path)
            if before is not None and not again and _unchanged(found, before):
                same[path] = before
            else:
                fresh[path] = found
    here = tuple(os.path.join(root, "") for root in roots)
    unseen = [
        file
        for path, file in known.items()
        if path not in fresh and path not in same and path.startswith(here)
    ]
    gone = tuple(file for file in unseen if presence(file.path) == "gone")
    return Survey(tuple(fresh.values()), tuple(same.values()), gone, tuple(troubles))


def _unchanged(found: Found, before: KnownFile) -> bool:
    now = (found.size_bytes, found.mtime_ns, found.inode, found.parts)
    return now == (before.size_bytes, before.mtime_ns, before.inode, before.parts)
