"""What the last parse gave, kept beside the database, so that an idle pass reads no YAML.

One JSON file per way of asking (settings file, profiles, folder, environment). It is believed only when it
is ours, complete, and every file and folder looked at then has the same time stamp, size, inode, mode and
owner now; in all other cases it is as if it were not there.
"""

from __future__ import annotations

import binascii
import json
import os
import stat

import llamaagent
from llamaagent.base.record import NamedTuple
from llamaagent.config.document import profile_from_document
from llamaagent.config.files import FolderState, is_young, signature
from llamaagent.config.site import Site
from llamaagent.domain.settings import Catalog, Fault, Headroom, ProjectLimits, Reports, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from llamaagent.config.files import Places

_KEPT = 32  # files; people ask in few ways
_HERE = os.path.dirname(__file__)


def key_of(
    config: str | None,
    profiles: tuple[str, ...],
    environ: Mapping[str, str],
    cwd: str,
    portable: bool,
    host: str | None,
) -> str:
    """Everything besides files that the result depends on, as one text."""
    relevant = {
        name: value
        for name, value in environ.items()
        if name in {"HOME", "PATH", "XDG_CONFIG_HOME"} or name.startswith("LLAMAAGENT_")
    }
    parts = [llamaagent.__version__, os.geteuid(), os.uname().nodename, config, profiles, cwd, portable, host]
    records = (Site, Settings, Headroom, ProjectLimits, Reports, Catalog)
    shape = [record._fields for record in records]
    return json.dumps([*parts, relevant, shape, code()], sort_keys=True)


class _Recalled(NamedTuple):
    """What a file of the cache held when it was last read by this process. entry: without the site's own row."""

    body: bytes
    entry: dict[str, Any]
    site: Site


_recalled: dict[
    str, _Recalled
] = {}  # path -> the last one: the loop asks for the same site in each of its passes


def recall(folder: str, key: str, now: int) -> Site | None:
    """The remembered site if nothing has changed since, else None. Never raises."""
    path = _path(folder, key)
    try:
        body = fetch(path)
        known = _recalled.get(path)
        if known is not None and known.body == body:
            return known.site if known.entry["key"] == key and _unchanged(known.entry, now) else None
        entry = json.loads(body)
        if entry["key"] != key or not _unchanged(entry, now):
            return None
        site = _site(entry.pop("site"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    _recalled.clear()
    _recalled[path] = _Recalled(body, entry, site)
    return site


def keep(folder: str, key: str, site: Site, places: Places) -> None:
    """Remember a site; left undone when a file is too young to be trusted or nothing can be written."""
    if site.young_files or not places.cacheable or _changed_since(places):
        return
    entry = {
        "key": key,
        "files": places.signatures,
        "programs": places.programs,  # young ones too: nobody builds a server twice within a tick
        "probes": places.probes,
        "site": site._replace(profiles=tuple(_profile_row(profile) for profile in site.profiles)),  # type: ignore[misc]
    }
    store(_path(folder, key), json.dumps(entry, separators=(",", ":")).encode())
    forget_old(folder, "site-", _KEPT)


def fetch(path: str) -> bytes:
    """What `store` has put there, if it is whole and ours alone; else nothing. Never raises."""
    try:
        check, _, body = _read_own(path).partition(b"\n")
    except OSError:
        return b""
    return body if check == _checksum(body) else b""


def store(path: str, body: bytes) -> None:
    """Keep a text in a folder that is ours alone, made when missing; left undone when that cannot be."""
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if _is_own(os.stat(folder)):
            _write(path, _checksum(body) + b"\n" + body)
    except OSError:
        return


def _path(folder: str, key: str) -> str:
    return os.path.join(folder, f"site-{binascii.crc32(key.encode()):08x}.json")


def code() -> list[int]:
    """Changes when this package does: its sources' newest time stamp, and their count."""
    try:
        stamps = [
            os.stat(os.path.join(_HERE, name)).st_mtime_ns for name in os.listdir(_HERE) if name[0] != "_"
        ]
    except OSError:  # inside a zip file
        return []
    return [max(stamps), len(stamps)]


def _is_own(info: os.stat_result) -> bool:
    """True when it is ours and writable by nobody else: what is remembered here is launched."""
    return info.st_uid == os.geteuid() and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _checksum(body: bytes) -> bytes:
    """Enough against a disk's damage; against people there are the file's owner and mode."""
    return b"%08x" % binascii.crc32(body)


def _read_own(path: str) -> bytes:
    """A file's bytes; nothing when file or folder are not ours alone."""
    if not _is_own(os.stat(os.path.dirname(path))):
        return b""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode) or not _is_own(info):
            return b""
        return os.read(descriptor, info.st_size + 1)
    finally:
        os.close(descriptor)


def _write(path: str, data: bytes) -> None:
    """Put in place by one rename, so that no reader sees half."""
    partial = f"{path}.{os.getpid()}"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
        os.replace(partial, path)
    except OSError:
        os.unlink(partial)
        raise


def forget_old(folder: str, prefix: str, kept: int) -> None:
    """Keep the newest few of those that begin so."""
    try:
        paths = [os.path.join(folder, name) for name in os.listdir(folder) if name.startswith(prefix)]
        paths.sort(key=lambda path: (signature(path) or [0])[0])
        for path in paths[:-kept]:
            os.unlink(path)
    except OSError:
        return


def _unchanged(entry: dict[str, Any], now: int) -> bool:
    for path, sign in entry["files"].items():
        if signature(path) != sign or is_young(sign, now):
            return False
    if any(signature(path) != sign for path, sign in entry["programs"].items()):
        return False
    return all(os.path.exists(path) is there for path, there in entry["probes"].items())


def _changed_since(places: Places) -> bool:
    """True when a file changed while it was being read."""
    looked_at = places.signatures | places.programs
    return any(signature(path) != sign for path, sign in looked_at.items())


def _profile_row(profile: Any) -> list[object]:
    return [profile.document, profile.source, profile.line, [profile.launch_hash, profile.profile_hash]]


def _tuples(value: Any) -> Any:
    """JSON knows no tuples; records hold nothing else."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _site(row: list[Any]) -> Site:
    settings, profiles, other, faults, folders, real, names, ok, broken, young = row
    return Site(
        settings=_settings(settings),
        profiles=tuple(
            profile_from_document(document, source, line, hashes=tuple(hashes))
            for document, source, line, hashes in profiles
        ),
        other_hosts=tuple(other),
        faults=tuple(Fault(*fault) for fault in faults),
        folders=tuple(FolderState(*_tuples(folder)) for folder in folders),
        real_file=real,
        names_declared=tuple(names),
        settings_ok=ok,
        broken_files=tuple(broken),
        young_files=tuple(young),
    )


def _settings(row: list[Any]) -> Settings:
    plain = Settings(*_tuples(row))
    return plain._replace(
        headroom=Headroom(*plain.headroom),
        projects=tuple(ProjectLimits(*project) for project in plain.projects),
        reports=Reports(*plain.reports),
        catalog=Catalog(*plain.catalog),
    )
