"""Puts a site into a folder so that a reader never sees half of it.

Pictures and the style sheet carry a hash of their content in their names, so new ones never replace what an
old page shows. They are put in place first, then the pages, one rename each, the one added last at the end;
pictures of the pages before stay until the next time. What is ours stands in a list in the folder; everything
else there is left alone. Killed at any instant, this leaves the old site whole, or pages that are each whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from llamaagent.base.errors import CannotCreateError, LockHeldError, StorageError, StoreFullError
from llamaagent.base.record import NamedTuple
from llamaagent.report.modes import choose_modes, settle_modes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType
    from typing import Self

PICTURE_FILES = (".png", "@2x.png", ".csv")  # what lies beside a chart, by the endings
LIST = ".llamaagent-site.json"
_LOCK = ".llamaagent-report.lock"
_STAGE = ".llamaagent-new"
_KINDS = ("assets", "pages", "previous")
_MARK = b'<meta name="generator" content="llamaagent">'
_FULL = frozenset({28, 122})  # ENOSPC, EDQUOT


class Published(NamedTuple):
    """What a publication did: paths relative to the folder."""

    written: tuple[str, ...]
    kept: int
    removed: tuple[str, ...]


class Site:
    """A folder that is being given a new site. Use as a context manager: it holds the folder's lock.

    public: pages 0644 in 0755, so that a web server can read them; else 0600 in 0700, also those that stay as
    they are. A folder that was there before keeps its own mode. Raises LockHeldError when another build is on,
    CannotCreateError.
    """

    def __init__(self, directory: str, *, public: bool) -> None:
        self.directory = directory
        self._modes = choose_modes(public=public)
        self._stage = os.path.join(directory, _STAGE)
        self._lock = -1
        self._made = False  # by us, this time or before: then its mode is ours too
        self._assets: set[str] = set()
        self._pages: dict[str, None] = {}  # in the order in which they are put in place
        self._staged: set[str] = set()
        self._listed: dict[str, list[str]] = {}
        self._known: dict[str, Any] = {}
        self._marks: dict[str, str] = {}
        self._pictures: dict[str, tuple[str, int]] = {}

    def __enter__(self) -> Self:
        try:
            self._made = self._make_folder(self.directory)
            self._lock = os.open(
                os.path.join(self.directory, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise CannotCreateError(
                f"cannot write the report to {self.directory}: {error.strerror}"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise LockHeldError(f"another report is being written to {self.directory}") from error
        shutil.rmtree(self._stage, ignore_errors=True)  # what a killed build left
        self._listed, self._known = _read_list(self.directory)
        self._made = self._made or self._known.get("made") is True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._stage, ignore_errors=True)
        os.close(self._lock)

    def has_asset(self, path: str) -> bool:
        """Is this picture there from an earlier build? Its name tells its content; it is then kept."""
        if path in self._staged:
            return True
        ours = path in self._listed["assets"] or path in self._listed["previous"]
        if ours and os.path.isfile(os.path.join(self.directory, path)):
            self._assets.add(path)
            return True
        return False

    def add_asset(self, path: str, content: bytes) -> None:
        """Stage a picture or a style sheet. path: relative, with a hash of the content in the name."""
        self._assets.add(path)
        if not self.has_asset(path):
            self._write(path, content)

    def is_current(self, path: str, mark: str) -> bool:
        """Keep a page that was written with this mark; False when it must be written anew."""
        if self._known.get("marks", {}).get(path) == mark and self.keep_pages([path]):
            self._marks[path] = mark
            return True
        return False

    def keep_pages(self, paths: Sequence[str]) -> bool:
        """Keep files of the builds before as they are; False when one of them is not there."""
        ours = set(self._listed["pages"])
        if not all(path in ours and os.path.isfile(os.path.join(self.directory, path)) for path in paths):
            return False
        self._pages |= dict.fromkeys(paths)
        return True

    def count(self, ending: str) -> int:
        """How many pages have this ending."""
        return sum(path.endswith(ending) for path in self._pages)

    def listed(self, folder: str) -> tuple[str, ...]:
        """The pages of the builds before that lie in a folder."""
        return tuple(path for path in self._listed["pages"] if path.startswith(f"{folder}/"))

    def picture(self, stem: str) -> tuple[str, int] | None:
        """What was noted of a picture: the mark of what it shows, and when it was drawn."""
        found = self._known.get("pictures", {}).get(stem)
        return (str(found[0]), int(found[1])) if found else None

    def keep_pictures(self, folder: str, period: str) -> None:
        """Keep what is there of the pictures of a page that is kept itself."""
        for stem in self._known.get("pictures", {}):
            noted = self.picture(stem)
            wanted = stem.startswith(f"{folder}/") and stem.endswith(f"-{period}")
            if noted and wanted and self.keep_pages([f"{stem}{ending}" for ending in PICTURE_FILES]):
                self.note_picture(stem, noted)

    def note_picture(self, stem: str, noted: tuple[str, int]) -> None:
        """Note it for the next build."""
        self._pictures[stem] = noted

    def add_page(self, path: str, content: bytes, mark: str | None = None) -> None:
        """Stage a page; the last added is put in place last. Raises CannotCreateError over a foreign file.

        mark: what the page was made from, for `is_current` of the next build.
        """
        if mark is not None:
            self._marks[path] = mark
        self._pages.pop(path, None)
        self._pages[path] = None
        target = os.path.join(self.directory, path)
        there = _read(target)
        if there == content:
            return
        if there is not None and path not in self._listed["pages"] and _MARK not in there:
            raise CannotCreateError(
                f"{target} is not a page of llamaagent",
                hint="give the report a folder of its own, or move that file",
            )
        self._write(path, content)

    def publish(self) -> Published:
        """Put everything staged in place, then remove what was ours and is no longer."""
        pages = [path for path in self._pages if path in self._staged]
        assets = sorted(self._staged.difference(pages))
        removed: list[str] = []
        same = self._same("pages", self._pages) and self._same("assets", self._assets)
        try:
            changed = self._settle()
            if not self._staged and same and self._same_notes():
                return Published(changed, len(self._pages) + len(self._assets) - len(changed), ())
            self._save_list(
                keep_old_pages=True
            )  # a kill from here on leaves nothing that we do not know as ours
            for path in (*assets, *pages):
                self._make_folder(os.path.dirname(os.path.join(self.directory, path)))
                os.replace(os.path.join(self._stage, path), os.path.join(self.directory, path))
            removed = [path for path in self._unused() if _remove(self.directory, path)]
            self._save_list(keep_old_pages=False)
        except OSError as error:
            raise _storage_error(self.directory, error) from error
        changed = tuple(path for path in changed if path not in self._staged)
        kept = len(self._pages) + len(self._assets) - len(self._staged) - len(changed)
        return Published((*assets, *pages, *changed), kept, tuple(removed))

    def _settle(self) -> tuple[str, ...]:
        """Before anything new is put in place: what stays of a site that is private now must not stay public."""
        there = {path for kind in _KINDS for path in self._listed[kind]}
        changed = settle_modes(self.directory, sorted(there), self._modes, whole=self._made)
        settle_modes(self.directory, [LIST], self._modes, whole=False)
        return tuple(path for path in changed if path in self._pages or path in self._assets)

    def _same(self, kind: str, paths: Iterable[str]) -> bool:
        return set(self._listed[kind]) == set(paths)

    def _same_notes(self) -> bool:
        pictures = {stem: list(noted) for stem, noted in self._pictures.items()}
        return bool(self._known.get("marks") == self._marks and self._known.get("pictures") == pictures)

    def _unused(self) -> list[str]:
        """Pages that the site no longer has, and pictures that neither these nor the last pages show."""
        old = set(self._listed["pages"]) | set(self._listed["previous"])
        return sorted(old.difference(self._pages, self._assets, self._listed["assets"]))

    def _save_list(self, *, keep_old_pages: bool) -> None:
        pages, previous = set(self._pages), set(self._listed["assets"]) - self._assets
        if keep_old_pages:
            pages |= set(self._listed["pages"])
            previous |= set(self._listed["previous"]) - self._assets
        marks, pictures = self._marks, self._pictures
        if keep_old_pages:  # what is not in place yet is not vouched for
            marks = {path: mark for path, mark in marks.items() if path not in self._staged}
            pictures = {stem: noted for stem, noted in pictures.items() if f"{stem}.png" not in self._staged}
        lists: dict[str, Any] = {"assets": sorted(self._assets), "pages": sorted(pages)}
        lists |= {"previous": sorted(previous), "marks": marks, "pictures": pictures, "made": self._made}
        content = json.dumps(lists, indent=1).encode()
        self._write(LIST, content)
        self._staged.discard(LIST)
        os.replace(os.path.join(self._stage, LIST), os.path.join(self.directory, LIST))

    def _write(self, path: str, content: bytes) -> None:
        staged = os.path.join(self._stage, path)
        try:
            os.makedirs(os.path.dirname(staged), mode=0o700, exist_ok=True)
            handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                os.fchmod(file.fileno(), self._modes.file)
        except OSError as error:
            raise _storage_error(self.directory, error) from error
        self._staged.add(path)

    def _make_folder(self, path: str) -> bool:
        """With its missing parents, which `os.makedirs` would leave to the umask; False when it was there."""
        if os.path.isdir(path):
            return False
        self._make_folder(os.path.dirname(os.path.abspath(path)))
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
            return False  # another build was faster
        os.chmod(path, self._modes.folder)
        return True


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def _read_list(directory: str) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """The folder's list of our files, and notes on them; a damaged one counts as empty, so nothing is removed by it."""
    nothing: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    try:
        lists = json.loads(_read(os.path.join(directory, LIST)) or b"{}")
        found = {
            key: [path for path in lists.get(key, []) if isinstance(path, str) and _inside(path)]
            for key in nothing
        }
        notes: dict[str, Any] = {key: dict(lists.get(key, {})) for key in ("marks", "pictures")}
        notes["made"] = lists.get("made")
    except (ValueError, AttributeError, TypeError):
        return nothing, {}
    return found, notes


def _inside(path: str) -> bool:
    return not os.path.isabs(path) and ".." not in path.split("/") and path == os.path.normpath(path)


def _remove(directory: str, path: str) -> bool:
    try:
        os.unlink(os.path.join(directory, path))
    except FileNotFoundError:
        return False
    try:
        os.rmdir(os.path.dirname(os.path.join(directory, path)))
    except OSError:
        return True  # other files are in it
    return True


def _storage_error(directory: str, error: OSError) -> StorageError:
    kind = StoreFullError if error.errno in _FULL else StorageError
    return kind(f"cannot write the report to {directory}: {error.strerror}")
