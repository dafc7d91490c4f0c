"""One file over HTTP onto the disk: continued where it stopped, checked, and put in place by one rename.

What is not finished lies beside the target as NAME.part, and NAME.part.from says where it came from and which
version it was: only the same version is continued. A token goes to the host that it is for and to no other,
whatever that host redirects to.
"""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.base.errors import (
    BadInputError,
    CannotCreateError,
    LockHeldError,
    ServiceUnavailableError,
    StorageError,
    StoreFullError,
)
from llamaagent.base.writing import write_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.client import HTTPResponse

_TIMEOUT_S = 30.0
_CHUNK = 1 << 20
_REDIRECTS = 6
_TRIES = 4  # in a row without a byte of progress
_SHA256 = re.compile(r"[0-9a-f]{64}")
MAGIC = b"GGUF"


class Wanted(NamedTuple):
    """What is to be fetched. token: sent to the host of `url` alone; sha256, size_bytes: as a listing says them."""

    url: str
    target: str  # absolute
    token: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None


class _Answer(NamedTuple):
    body: HTTPResponse
    status: int
    total: int | None  # of the whole file
    validator: str | None
    sha256: str | None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Redirects are followed here, one by one."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def ask(url: str, token: str | None = None, headers: dict[str, str] | None = None) -> HTTPResponse:
    """One GET, redirects followed.

    Raises BadInputError (no such file), ServiceUnavailableError (cannot be reached, wants a token, has trouble);
    HTTPError 416 goes through.
    """
    home = urllib.parse.urlsplit(url)
    linked: str | None = None
    for _ in range(_REDIRECTS):
        at = urllib.parse.urlsplit(url)
        if at.scheme not in {"http", "https"} or not at.hostname:
            raise BadInputError(f"{url} is no http or https address")
        request = urllib.request.Request(url, headers={"User-Agent": "llamaagent", **(headers or {})})  # noqa: S310
        if token is not None and (at.scheme, at.netloc) == (home.scheme, home.netloc):
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        try:
            found: HTTPResponse = _OPENER.open(request, timeout=_TIMEOUT_S)
        except urllib.error.HTTPError as error:
            linked = linked or error.headers.get("X-Linked-Etag")
            if error.code == 416:
                raise
            if error.code not in {301, 302, 303, 307, 308}:
                raise _refusal(error, url) from error
            url = urllib.parse.urljoin(url, error.headers.get("Location", ""))
            error.close()
            continue
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise ServiceUnavailableError(f"cannot reach {at.netloc}: {reason}") from error
        if linked is not None:
            found.headers["X-Linked-Etag"] = linked
        return found
    raise ServiceUnavailableError(f"{home.netloc} redirects in a circle")


def _refusal(error: urllib.error.HTTPError, url: str) -> Exception:
    shown = urllib.parse.urlsplit(url)._replace(query="", fragment="").geturl()
    if error.code in {401, 403}:
        return ServiceUnavailableError(
            f"{shown} is not open to us ({error.code})", hint="put HF_TOKEN=... into the settings' env_file"
        )
    if error.code in {404, 410}:
        return BadInputError(f"{shown} is not there ({error.code})")
    return ServiceUnavailableError(f"{shown} answered {error.code} {error.reason}")


def fetch(wanted: Wanted, progress: Callable[[int, int | None], None]) -> bool:
    """Bring the file here; False when it is there already.

    progress: called with the bytes that are here and those that there will be. Raises BadInputError (not what it
    should be), ServiceUnavailableError (ended early again and again: the part stays), CannotCreateError,
    LockHeldError (somebody else fetches it), StorageError.
    """
    if os.path.lexists(wanted.target):
        found = os.stat(wanted.target).st_size if os.path.isfile(wanted.target) else -1
        if wanted.size_bytes is not None and found == wanted.size_bytes:
            return False
        raise CannotCreateError(f"{wanted.target} is already there")
    part = f"{wanted.target}.part"
    try:
        os.makedirs(os.path.dirname(part), exist_ok=True)
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise CannotCreateError(f"cannot write {part}: {error.strerror}") from error
    with os.fdopen(fd, "r+b", buffering=0) as file:
        _lock(file.fileno(), part)
        try:
            sha256 = _complete(wanted, file.fileno(), part, progress)
            _check(file.fileno(), part, wanted.sha256 or sha256)
            os.fsync(file.fileno())
            os.link(part, wanted.target)  # never over a file that came meanwhile
        except FileExistsError as error:
            raise CannotCreateError(f"{wanted.target} is already there") from error
        except OSError as error:
            if isinstance(error, urllib.error.URLError):
                raise ServiceUnavailableError(f"{wanted.url}: {error.reason}") from error
            kind = StoreFullError if error.errno == 28 else StorageError  # ENOSPC
            raise kind(f"cannot write {part}: {error.strerror}") from error
        _forget(part)
    return True


def _lock(fd: int, part: str) -> None:
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise LockHeldError(f"{part} is being written by another program") from error


def _complete(wanted: Wanted, fd: int, part: str, progress: Callable[[int, int | None], None]) -> str | None:
    """Append until everything is here; gives the checksum that the server told, if it did."""
    idle, best = 0, os.fstat(fd).st_size
    while True:
        have = os.fstat(fd).st_size
        answer = _open(wanted, fd, part, have)
        if answer is None:  # the whole of it is here already
            return None
        with answer.body:
            have = 0 if answer.status == 200 else have
            if have == 0:
                os.ftruncate(fd, 0)
                _remember(part, wanted.url, answer.validator)
            total = answer.total if answer.total is not None else wanted.size_bytes
            _room(part, None if total is None else total - have)
            got, whole = _append(answer.body, fd, have, total, progress)
        if whole and total in {None, got}:
            return answer.sha256
        if total is not None and got > total:
            raise BadInputError(f"{wanted.url} sends more than the {total} bytes that it promises")
        idle = 0 if got > best else idle + 1
        best = max(best, got)
        if idle >= _TRIES:
            raise ServiceUnavailableError(
                f"{wanted.url} ended after {got} of {total or 'unknown'} bytes",
                hint="the same command goes on from there, where the server can",
            )


def _open(wanted: Wanted, fd: int, part: str, have: int) -> _Answer | None:
    """Ask for what is missing; None when nothing is."""
    validator = _remembered(part, wanted.url) if have else None
    headers = {"Accept-Encoding": "identity"}
    if validator is not None or (have and wanted.sha256 is not None):
        headers["Range"] = f"bytes={have}-"
        if validator is not None:
            headers["If-Range"] = validator
    try:
        body = ask(wanted.url, wanted.token, headers)
    except urllib.error.HTTPError as error:  # 416: no byte is left, or the file is another one now
        total = error.headers.get("Content-Range", "").rpartition("/")[2]
        error.close()
        if total == str(have):
            return None
        os.ftruncate(fd, 0)
        return _open(wanted, fd, part, 0)
    if body.status == 206 and not (body.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
        body.close()  # not the piece that was asked for
        os.ftruncate(fd, 0)
        return _open(wanted, fd, part, 0)
    return _read_head(body)


def _read_head(body: HTTPResponse) -> _Answer:
    headers = body.headers
    length = headers.get("Content-Length")
    total = int(length) if length and length.isdigit() else None
    if body.status == 206:
        whole = headers.get("Content-Range", "").rpartition("/")[2]
        total = int(whole) if whole.isdigit() else None
    etag = headers.get("ETag")
    validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
    linked = (headers.get("X-Linked-Etag") or "").strip('"')
    return _Answer(body, body.status, total, validator, linked if _SHA256.fullmatch(linked) else None)


def _append(
    body: HTTPResponse, fd: int, have: int, total: int | None, progress: Callable[[int, int | None], None]
) -> tuple[int, bool]:
    """Write what comes behind what is here; gives how much is here then, and whether nothing broke off."""
    from http.client import HTTPException

    os.lseek(fd, have, os.SEEK_SET)
    while True:
        try:
            data = body.read(_CHUNK)
        except (HTTPException, TimeoutError, ConnectionError):
            return have, False
        if not data:
            return have, True
        if have == 0 and not data.startswith(MAGIC):
            os.ftruncate(fd, 0)
            raise BadInputError(f"what comes is no GGUF file: it begins with {data[:8]!r}")
        write_all(fd, data)
        have += len(data)
        progress(have, total)


def _room(part: str, missing: int | None) -> None:
    free = os.statvfs(os.path.dirname(part))
    left = free.f_bavail * free.f_frsize
    if missing is not None and missing > left:
        raise StoreFullError(f"{os.path.dirname(part)} has {left} bytes free, {missing} are needed")


def _check(fd: int, part: str, sha256: str | None) -> None:
    """The checksum, where one is known. What is wrong is thrown away: no part of it can be trusted."""
    if sha256 is None:
        return
    import hashlib

    digest = hashlib.sha256()
    os.lseek(fd, 0, os.SEEK_SET)
    while data := os.read(fd, _CHUNK):
        digest.update(data)
    if digest.hexdigest() != sha256:
        os.ftruncate(fd, 0)
        _forget(part)
        raise BadInputError(f"what came is damaged: its sha256 is {digest.hexdigest()}, not {sha256}")


def _remember(part: str, url: str, validator: str | None) -> None:
    with open(f"{part}.from", "w", encoding="utf-8") as file:
        file.write(f"{url.partition('?')[0]}\n{validator or ''}\n")


def _remembered(part: str, url: str) -> str | None:
    """Which version the part is of; None when it is of another address, or the server named no version."""
    try:
        with open(f"{part}.from", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    return lines[1] or None if len(lines) == 2 and lines[0] == url.partition("?")[0] else None


def _forget(part: str) -> None:
    for path in (part, f"{part}.from"):
        if os.path.lexists(path):
            os.unlink(path)
