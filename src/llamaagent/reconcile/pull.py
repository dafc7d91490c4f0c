"""`git: {pull: always}`: the profiles' work tree brought up to date before a pass loads it, or left as it is.

Fast-forward only, and only a tree in which nobody is at work. Whatever goes wrong is a sentence to tell, never a
reason to stop anything: what was declared last is in force. Nothing may ask or hang: no terminal, no askpass, no
hook, a time limit on each step.
"""

from __future__ import annotations

import os
import re

from llamaagent.base.record import NamedTuple
from llamaagent.reconcile.git import work_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llamaagent.base.run import Result

_ASK_S = 5.0
_FETCH_S = 8.0
_MERGE_S = 30.0  # on the disk only; cut short it would leave half a tree
_OLD_LOCK_S = 600
_BUSY = {
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "BISECT_LOG": "a bisection",
}
_QUIET = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "gc.auto=0",
    "maintenance.auto=false",
)
_PASSED_ON = ("HOME", "PATH", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK", "GIT_SSH", "TMPDIR", "USER", "LOGNAME")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class Pulled(NamedTuple):
    """moved: some tree is another one now. trouble: what to tell, in words that stay while the matter does."""

    moved: bool = False
    trouble: str | None = None


class _StopError(Exception):
    """This tree is left as it is; the message says why, an empty one is no trouble."""


def pull_all(folders: Iterable[str], branch: str | None, environ: Mapping[str, str], now: int) -> Pulled:
    """Pull the work tree of each folder once. The caller holds the pass lock."""
    roots = dict.fromkeys(root for folder in folders if (root := work_tree(os.path.realpath(folder))))
    if not roots:
        return Pulled(trouble="git.pull is set, and the profiles are in no git work tree")
    moved, troubles = False, []
    for root in roots:
        try:
            moved = _Tree(root, environ).pull(branch, now) or moved
        except _StopError as why:
            if str(why):
                troubles.append(f"{root} was not pulled: {why}")
    return Pulled(moved, "; ".join(troubles) or None)


class _Tree:
    """One work tree, and how git is called in it."""

    def __init__(self, root: str, environ: Mapping[str, str]) -> None:
        self._root = root
        self._env = {name: environ[name] for name in (*_PASSED_ON, *_PROXIES) if name in environ}
        self._env |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "/bin/false"}

    def pull(self, branch: str | None, now: int) -> bool:
        """True when HEAD moved. Raises _StopError."""
        self._nobody_at_work(now)
        here = self._ask("symbolic-ref", "--short", "-q", "HEAD")
        if not here:
            raise _StopError("HEAD is detached")
        if branch is not None and here != branch:
            raise _StopError(f"it is on branch {here}, and git.branch is {branch}")
        head = self._ask("rev-parse", "--verify", "-q", "HEAD")
        if self._ask("status", "--porcelain", "--untracked-files=no"):
            raise _StopError("it has changes that are not committed")
        remote = self._ask("config", f"branch.{here}.remote") or "origin"
        ref = self._ask("config", f"branch.{here}.merge") or f"refs/heads/{here}"
        self._fetch(remote, ref)
        there = self._ask("rev-parse", "--verify", "-q", "FETCH_HEAD")
        if there == head or self._is_ancestor(there, head):
            return False
        if not self._is_ancestor(head, there):
            raise _StopError(f"{here} and {remote}'s have diverged")
        self._run(_MERGE_S, "merge", "--ff-only", "--quiet", "FETCH_HEAD")
        return True

    def _nobody_at_work(self, now: int) -> None:
        folder = self._ask("rev-parse", "--absolute-git-dir")
        if not folder:
            self._run(_ASK_S, "rev-parse", "--absolute-git-dir")  # for what git says of it
            raise _StopError("it is no work tree")
        for name, what in _BUSY.items():
            if os.path.exists(os.path.join(folder, name)):
                raise _StopError(f"{what} is going on")
        lock = os.path.join(folder, "index.lock")
        try:
            age_s = now - os.stat(lock).st_mtime
        except OSError:
            return
        # Someone is at it this moment; what is left behind by a git that was killed is worth a word.
        raise _StopError(
            f"{lock} has been there for long; if no git runs, remove it" if age_s > _OLD_LOCK_S else ""
        )

    def _fetch(self, remote: str, ref: str) -> None:
        ssh = self._ask("config", "core.sshCommand") or "ssh"
        self._env["GIT_SSH_COMMAND"] = f"{ssh} -oBatchMode=yes -oConnectTimeout=5"
        self._run(_FETCH_S, "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--", remote, ref)

    def _is_ancestor(self, old: str, new: str) -> bool:
        return self._git(_ASK_S, "merge-base", "--is-ancestor", old, new).code == 0

    def _ask(self, *words: str) -> str:
        """What it answers; empty after a failure."""
        result = self._git(_ASK_S, *words)
        return result.text.strip() if result.code == 0 else ""

    def _run(self, deadline_s: float, *words: str) -> None:
        """Raises _StopError with what git says of a failure."""
        result = self._git(deadline_s, *words)
        if result.timed_out:
            raise _StopError(f"git {words[0]} did not end within {deadline_s:g} s")
        if result.code != 0:
            raise _StopError(f"git {words[0]}: {_reason(result.err.decode('utf-8', 'replace'))}")

    def _git(self, deadline_s: float, *words: str) -> Result:
        from llamaagent.base.errors import ServiceUnavailableError
        from llamaagent.base.run import run

        settings = [word for entry in _QUIET for word in ("-c", entry)]
        try:
            return run(
                ["git", "-C", self._root, *settings, *words],
                deadline_s=deadline_s,
                max_output_bytes=1 << 20,
                env=self._env,
                cwd="/",
            )
        except ServiceUnavailableError as error:
            raise _StopError(str(error)) from error


def _reason(text: str) -> str:
    r"""The line that says it, without what differs from time to time and without who may log in.

    >>> _reason("From /x\\nfatal: unable to access 'https://u:t@h/r/': Failed to connect after 3 ms: no")
    "unable to access 'https://h/r/': Failed to connect: no"
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = next(
        (line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1] if lines else "failed"
    )
    told = re.sub(
        r"://[^/\s@]+@", "://", told.partition(": ")[2] if told.startswith(("fatal:", "error:")) else told
    )
    return re.sub(r" after \d+ ms", "", told)
