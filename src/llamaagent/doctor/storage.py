"""Looking at what we keep: the database, our folders, the disks under them."""

from __future__ import annotations

import json
import os

from llamaagent.base.errors import LlamaAgentError
from llamaagent.collect.files import read_file
from llamaagent.doctor import judge
from llamaagent.doctor.finding import ERROR, INFO, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.doctor.finding import Case


def database(case: Case) -> Iterator[Finding]:
    """Whether it is there, ours, private, on a local disk, and without a log in front of it that only grows."""
    path = case.database
    if not case.site.settings.db_enabled:
        what = "it says that there is to be no database: no pass is made, nothing is recorded"
        yield Finding(ERROR, "LLAMAAGENT_DB_ENABLED", what, "unset LLAMAAGENT_DB_ENABLED")
        return
    if not os.path.exists(path):
        yield Finding(
            INFO, path, "there is no database yet; the first pass makes it", "llamaagent run --once"
        )
        return
    yield from _belongs(case)
    found = os.stat(path)
    file_system = file_system_of(os.path.realpath(path), read_file(f"{case.host.proc}/self/mountinfo") or b"")
    shared = case.site.settings.access_read is not None
    for finding in (
        judge.mode(path, found.st_mode, found.st_uid, os.geteuid(), shared=shared),
        judge.location(path, file_system),
        judge.wal(path, _size(f"{path}-wal")),
    ):
        if finding is not None:
            yield finding


def _belongs(case: Case) -> Iterator[Finding]:
    from llamaagent.store.connect import open_database
    from llamaagent.store.samples import SampleStore

    try:
        db = open_database(case.database, write=False)
    except LlamaAgentError as error:
        yield Finding(ERROR, case.database, str(error), error.hint)
        return
    try:
        stored = SampleStore(db).metadata("site")
    finally:
        db.close()
    site = json.loads(stored)["path"] if stored is not None else None
    if site is not None and case.site_path and site != case.site_path:
        what = f"it belongs to the site {site}, not to {case.site_path}"
        yield Finding(
            ERROR, case.database, what, "set `database:` in the settings, or name another with --db"
        )


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def file_system_of(path: str, mountinfo: bytes) -> str | None:
    """The kind of file system that a path lies on, None when the table does not say.

    mountinfo: /proc/self/mountinfo (proc_pid_mountinfo(5)); the last of the longest mount points holds, since a
    later mount covers an earlier one.
    """
    best, kind = -1, None
    for line in mountinfo.decode("utf-8", "surrogateescape").splitlines():
        left, separator, right = line.partition(" - ")
        fields = left.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = fields[4].replace("\\040", " ").replace("\\134", "\\")
        inside = point in {"/", path} or path.startswith(f"{point}/")
        if inside and len(point) >= best:
            best, kind = len(point), right.split(" ")[0]
    return kind


def folders(case: Case) -> Iterator[Finding]:
    """Folders that only we may change."""
    places = case.places
    shared = case.site.settings.access_read is not None
    private = {
        os.path.dirname(case.database): shared,
        places.state: False,
        places.exits: False,
        places.logs: shared,
    }
    for path, group in private.items():
        try:
            found = os.stat(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield Finding(ERROR, path, f"it cannot be reached: {error.strerror}", f"ls -ld {path}")
            continue
        finding = judge.mode(path, found.st_mode, found.st_uid, os.geteuid(), shared=group)
        if finding is not None:
            yield finding


def disks(case: Case) -> Iterator[Finding]:
    """Free space, once for each disk that we write to."""
    uses: dict[int, tuple[str, list[str]]] = {}
    reports = case.site.settings.reports.directory or case.places.report
    for use, path in (("database", case.database), ("server logs", case.places.logs), ("reports", reports)):
        there = _existing(path)
        uses.setdefault(os.stat(there).st_dev, (there, []))[1].append(use)
    for there, names in uses.values():
        found = os.statvfs(there)
        free_mib = found.f_bavail * found.f_frsize >> 20
        finding = judge.space(there, free_mib, case.site.settings.headroom.disk_mib, names)
        for one in (finding, judge.inodes(there, found.f_favail, found.f_files)):
            if one is not None:
                yield one


def logs(case: Case) -> Iterator[Finding]:
    """How much the servers' logs take; a hole in a file takes nothing."""
    sizes: dict[str, int] = {}
    try:
        with os.scandir(case.places.logs) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    sizes[entry.name] = entry.stat(follow_symlinks=False).st_blocks * 512
    except OSError:
        return
    if not sizes:
        return
    largest = max(sizes.items(), key=lambda item: item[1])
    limit = case.site.settings.log_max_size_bytes
    finding = judge.log_folder(case.places.logs, sum(sizes.values()), largest, limit)
    if finding is not None:
        yield finding


def _existing(path: str) -> str:
    """The nearest folder that is there already."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path
