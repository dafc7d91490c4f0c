"""`models pull`: a GGUF file from an address or from Hugging Face, continued where it stopped."""

from __future__ import annotations

import os
import shlex
import sys
import urllib.parse
from typing import TYPE_CHECKING

from llamaagent.base.errors import BAD_INPUT, UsageError
from llamaagent.cli.output import clean, say
from llamaagent.cli.site import load
from llamaagent.gguf.facts import read_model
from llamaagent.gguf.fetch import Wanted, fetch
from llamaagent.gguf.find import look_at
from llamaagent.gguf.hub import ENDPOINT, choose, file_url, list_files, split_name

if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values

_MIB = 1 << 20


def run(values: Values) -> int:
    """Fetch it, print where it is, keep what its header says."""
    opened = load(values, need_settings=False)
    folder = _folder(values, opened)
    todo = _wanted(values.text("source") or "", folder, opened)
    for wanted in todo:
        bar = _Bar(os.path.basename(wanted.target), shown=sys.stderr.isatty() and not values.flag("quiet"))
        try:
            fresh = fetch(wanted, bar.show)
        finally:
            bar.end()
        if not fresh and not values.flag("quiet"):
            say(clean(f"{wanted.target} is already there"))
        print(clean(wanted.target))
    fault = read_model(look_at(todo[0].target)).error
    if fault is not None:
        say(clean(f"{todo[0].target}: {fault}"))
        return BAD_INPUT
    if not values.flag("quiet"):
        say(clean(f"next: llamaagent models scan {shlex.quote(folder)}"))
    return 0


def _folder(values: Values, opened: Opened) -> str:
    given = values.text("output") or next(iter(opened.site.settings.model_directories), None)
    if given is None:
        raise UsageError(
            "no folder is named", hint="llamaagent models pull SOURCE -o DIR, or set models.directories"
        )
    return os.path.abspath(os.path.expanduser(given))


def _wanted(source: str, folder: str, opened: Opened) -> list[Wanted]:
    """The files that a source means."""
    if source.startswith("hf:"):
        repo, quant = split_name(source.removeprefix("hf:"))
        endpoint, token = os.environ.get("HF_ENDPOINT") or ENDPOINT, _token(opened)
        files = choose(list_files(repo, endpoint, token), quant)
        return [
            Wanted(
                file_url(repo, one.path, endpoint),
                _inside(folder, one.path),
                token,
                one.sha256,
                one.size_bytes,
            )
            for one in files
        ]
    at = urllib.parse.urlsplit(source)
    if at.scheme not in {"http", "https"}:
        raise UsageError(f"{source} is neither an http address nor hf:USER/REPO:QUANT")
    if at.username or at.password:
        raise UsageError("an address with a password in it stands in every process list; use HF_TOKEN")
    return [Wanted(source, _inside(folder, urllib.parse.unquote(at.path)))]


def _token(opened: Opened) -> str | None:
    """HF_TOKEN of the settings' env_file, else of the environment."""
    from llamaagent.launch.environ import read_env_file

    path = opened.site.settings.env_file
    found = read_env_file(path) if path is not None else {}
    return found.get("HF_TOKEN") or os.environ.get("HF_TOKEN") or None


def _inside(folder: str, path: str) -> str:
    """Where a file goes. Raises UsageError for a name that cannot be a model's."""
    name = os.path.basename(path)
    if not name.endswith(".gguf") or name.startswith((".", "-")) or not name.isprintable():
        raise UsageError(f"{clean(path) or 'the address'} names no .gguf file")
    return os.path.join(folder, name)


class _Bar:
    """How far it is, on a terminal."""

    def __init__(self, name: str, *, shown: bool) -> None:
        self._name = name[:40]
        self._shown = shown
        self._last = -1

    def show(self, have: int, total: int | None) -> None:
        """Draw it anew when a MiB has come."""
        if not self._shown or have // _MIB == self._last:
            return
        self._last = have // _MIB
        share = f" {100 * have // total:3d}% [{'#' * (20 * have // total):<20}]" if total else ""
        of = f" of {total // _MIB}" if total else ""
        print(f"\r\033[K{self._name}{share} {have // _MIB}{of} MiB", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line empty."""
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
