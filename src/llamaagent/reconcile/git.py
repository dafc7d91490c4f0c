"""What git says of the profiles' folder: commit, dirty, and whether a file is part of the last commit.

Asked only when something is launched or seems retired, because starting git costs as much as a whole idle pass.
"""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple

_DEADLINE_S = 5.0


class GitState(NamedTuple):
    """commit: full hash of HEAD, None outside a work tree. dirty: 1 = the folder differs from it."""

    commit: str | None = None
    dirty: int | None = None


def work_tree(folder: str) -> str | None:
    """The nearest folder at or above that holds `.git`; asks the file system only."""
    at = os.path.abspath(folder)
    while True:
        if os.path.exists(os.path.join(at, ".git")):
            return at
        parent = os.path.dirname(at)
        if parent == at:
            return None
        at = parent


def describe(folder: str) -> GitState:
    """Commit and dirty flag of a folder."""
    if work_tree(folder) is None:
        return GitState()
    commit = _git(folder, "rev-parse", "--verify", "-q", "HEAD")
    if commit is None:
        return GitState()
    changed = _git(folder, "status", "--porcelain", "--", ".")
    return GitState(commit.strip(), None if changed is None else int(bool(changed.strip())))


def still_committed(path: str) -> bool:
    """Is the file, though gone or changed on disk, part of HEAD as it was? False outside git.

    True also when git cannot be asked (no program, another user's work tree): what is not known stops nothing.
    """
    folder = os.path.dirname(path)
    while folder != "/" and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    path = os.path.join(
        os.path.realpath(folder), os.path.relpath(path, folder)
    )  # a linked folder lies elsewhere
    root = work_tree(os.path.realpath(folder))
    if root is None:
        return False
    if _git(root, "rev-parse", "--git-dir") is None:
        return True
    listed = _git(root, "ls-tree", "--name-only", "HEAD", "--", os.path.relpath(path, root))
    if not listed or not listed.strip():
        return False
    changed = _git(root, "status", "--porcelain", "--", os.path.relpath(path, root))
    return bool(changed and changed.strip())


def _git(folder: str, *words: str) -> str | None:
    """Output of a git command, None when it fails or is not there."""
    from llamaagent.base.errors import ServiceUnavailableError
    from llamaagent.base.run import run

    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    environment["HOME"] = os.environ.get("HOME", "/")
    try:
        result = run(
            ["git", "-C", folder, *words],
            deadline_s=_DEADLINE_S,
            max_output_bytes=1 << 20,
            env=environment,
            cwd="/",
        )
    except ServiceUnavailableError:
        return None
    return result.out.decode("utf-8", "replace") if result.code == 0 else None
