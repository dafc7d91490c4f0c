"""`git: {pull: always}`: profiles come from a remote, and no remote, tree or person can stop or hang a pass."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from scratch_site import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scratch_site import Site


class Remote:
    """A site that is a clone, its bare origin, and a colleague's clone from which changes are pushed."""

    def __init__(self, site: Site, root: Path) -> None:
        self.site = site
        self.bare = root / "origin.git"
        self.other = root / "colleague"
        self.env = site.env | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        site.settings(git={"pull": "always"})
        (site.root / ".gitignore").write_text(
            "*\n!.gitignore\n!llamaagent.yaml\n!profiles/\n!profiles/*\n*.gguf\n"
        )
        self.git(site.root, "init", "-q", "-b", "main")
        self.commit(site.root, "first")
        self.git(site.root, "clone", "-q", "--bare", ".", str(self.bare))
        self.git(site.root, "remote", "add", "origin", str(self.bare))
        self.git(site.root, "fetch", "-q", "origin")
        self.git(site.root, "branch", "-q", "-u", "origin/main")
        self.git(site.root, "clone", "-q", str(self.bare), str(self.other))

    def git(self, folder: Path, *words: str) -> str:
        named = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *named, *words], cwd=folder, env=self.env, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, folder: Path, message: str) -> str:
        self.git(folder, "add", "-A")
        self.git(folder, "commit", "-q", "--allow-empty", "-m", message)
        return self.git(folder, "rev-parse", "HEAD")

    def push(self, message: str = "change") -> str:
        """What the colleague's folder holds, committed and pushed; gives the commit."""
        made = self.commit(self.other, message)
        self.git(self.other, "push", "-q", "origin", "HEAD:main")
        return made

    def profile(self, name: str, **keys: object) -> None:
        """A profile in the colleague's clone, as the site would write it."""
        here = self.site.profile(name, **keys)
        (self.other / "profiles").mkdir(exist_ok=True)
        here.replace(self.other / "profiles" / f"{name}.yaml")

    @property
    def head(self) -> str:
        return self.git(self.site.root, "rev-parse", "HEAD")


@pytest.fixture
def remote(fake_site: Site, tmp_path_factory: pytest.TempPathFactory) -> Remote:
    fake_site.profile("alpha")
    return Remote(fake_site, tmp_path_factory.mktemp("git"))


def test_what_is_pushed_is_run_and_what_is_removed_is_retired(remote: Remote) -> None:
    site = remote.site
    site.settle("running", "alpha")
    assert site.run("check").err.endswith("1 profile fine; 0 errors\n")
    remote.profile("beta")
    commit = remote.push()
    assert site.once().err == ""
    row = site.settle("running", "beta")["beta"]
    assert (remote.head, row["git_commit"], row["git_dirty"]) == (commit, commit, 0)
    (remote.other / "profiles" / "alpha.yaml").unlink()
    remote.push()
    site.once()
    assert list(site.live()) == ["beta"]
    assert site.newest()["alpha"]["reason"] == "retired"


def test_a_loop_pulls_too(remote: Remote) -> None:
    site = remote.site
    loop = site.start("run")
    eventually(lambda: os.path.exists(site.database) and "alpha" in site.live(), "alpha runs")
    remote.profile("beta")
    remote.push()
    eventually(lambda: "beta" in site.live(), "beta runs")
    loop.send_signal(signal.SIGTERM)
    assert loop.wait(timeout=30) == 0


def test_a_remote_that_is_gone_stops_nothing_and_is_told_once(remote: Remote) -> None:
    site = remote.site
    site.settle("running", "alpha")
    pids = site.live()
    away = remote.bare.with_name("away.git")
    remote.bare.rename(away)
    said = site.once()
    assert f"{site.root} was not pulled: git fetch: " in said.err
    assert site.once().err == ""
    assert site.run("run", "--once", "--wait").err == ""
    assert site.live() == pids
    away.rename(remote.bare)
    assert site.once().err.startswith(f"ended: {site.root} was not pulled")
    assert site.once().err == ""


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield listener.getsockname()[1]


@pytest.mark.parametrize("kind", ["git", "http", "ssh"])
def test_a_remote_that_never_answers_costs_a_pass_its_time_limit(
    remote: Remote, silent: int, kind: str
) -> None:
    site = remote.site
    site.settle("running", "alpha")
    pids = site.live()
    addresses = {"git": f"git://127.0.0.1:{silent}/x", "http": f"http://127.0.0.1:{silent}/x"}
    if kind == "ssh":  # a program in its place that hangs, and tells what it was called with
        program = site.root / "xdg" / "ssh"
        program.write_text(f'#!/bin/sh\necho "$@" >{site.root}/xdg/asked\nexec sleep 600\n')
        program.chmod(0o755)
        remote.git(site.root, "config", "core.sshCommand", f"{program} -i key")
    remote.git(site.root, "remote", "set-url", "origin", addresses.get(kind, "ssh://nobody@127.0.0.1/x"))
    begin = time.monotonic()
    said = site.once()
    assert time.monotonic() - begin < 30
    assert "git fetch did not end within 8 s" in said.err
    assert site.live() == pids
    if kind == "ssh":
        assert "-i key -oBatchMode=yes" in (site.root / "xdg" / "asked").read_text()
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    assert f"GIT_SSH_COMMAND={program}".encode() not in file.read(), "a child was left"
            except OSError:
                continue


def test_a_dirty_tree_is_never_pulled(remote: Remote) -> None:
    site = remote.site
    site.settle("running", "alpha")
    before = remote.head
    path = site.root / "profiles" / "alpha.yaml"
    text = path.read_text()
    path.write_text(text + "labels: {mine: yes}\n")
    remote.profile("beta")
    remote.push()
    assert "it has changes that are not committed" in site.once().err
    assert site.once().err == ""
    assert remote.head == before
    assert path.read_text().endswith("labels: {mine: yes}\n")
    path.write_text(text)
    site.once()
    assert remote.head != before


def test_a_file_that_git_does_not_know_is_no_hindrance_and_is_never_overwritten(remote: Remote) -> None:
    site = remote.site
    site.settle("running", "alpha")
    mine = site.profile("beta", labels={"whose": "mine"})
    text = mine.read_text()
    remote.profile("gamma", state="stopped")
    remote.push()
    site.once()
    assert (site.root / "profiles" / "gamma.yaml").exists()
    site.profile("delta", state="stopped")
    kept = mine.read_text()
    remote.profile("beta", labels={"whose": "theirs"})
    mine.write_text(kept)
    remote.push()
    assert "git merge: " in site.once().err
    assert mine.read_text() == text


def test_a_tree_that_diverged_is_left_as_it_is(remote: Remote) -> None:
    site = remote.site
    site.settle("running", "alpha")
    mine = remote.commit(site.root, "mine")
    assert site.once().err == ""  # ahead of the remote: nothing to fetch, nothing wrong
    remote.profile("beta")
    remote.push()
    assert "main and origin's have diverged" in site.once().err
    assert remote.head == mine
    assert list(site.live()) == ["alpha"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rebase-merge", "a rebase is going on"),
        ("MERGE_HEAD", "a merge is going on"),
        ("CHERRY_PICK_HEAD", "a cherry-pick is going on"),
    ],
)
def test_whoever_is_in_the_middle_of_something_is_left_alone(remote: Remote, name: str, words: str) -> None:
    site = remote.site
    site.settle("running", "alpha")
    before = remote.head
    mark = site.root / ".git" / name
    mark.mkdir() if name.startswith("rebase") else mark.write_text(before + "\n")
    remote.profile("beta")
    remote.push()
    assert words in site.once().err
    assert remote.head == before
    mark.rmdir() if mark.is_dir() else mark.unlink()
    site.once()
    assert remote.head != before


def test_a_git_at_work_is_not_waited_for_and_not_worth_a_word(remote: Remote) -> None:
    site = remote.site
    site.settle("running", "alpha")
    before = remote.head
    lock = site.root / ".git" / "index.lock"
    lock.touch()
    remote.profile("beta")
    remote.push()
    begin = time.monotonic()
    assert site.once().err == ""
    assert time.monotonic() - begin < 10
    assert remote.head == before
    os.utime(lock, (time.time() - 3600,) * 2)
    assert "index.lock has been there for long" in site.once().err
    lock.unlink()
    site.once()
    assert remote.head != before


def test_hooks_of_the_tree_are_not_run_and_no_one_is_asked(remote: Remote) -> None:
    site = remote.site
    site.settle("running", "alpha")
    hooks = site.root / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-merge", "reference-transaction", "post-checkout"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {site.root}/xdg/hook-ran\nexec sleep 600\n")
        (hooks / name).chmod(0o755)
    remote.profile("beta")
    commit = remote.push()
    begin = time.monotonic()
    site.once()
    assert time.monotonic() - begin < 20
    assert remote.head == commit
    assert not (site.root / "xdg" / "hook-ran").exists()


def test_a_branch_that_is_named_must_be_the_one_checked_out(remote: Remote) -> None:
    site = remote.site
    site.settle("running", "alpha")
    site.env["LLAMAAGENT_GIT_BRANCH"] = "release"
    assert "it is on branch main, and git.branch is release" in site.once().err
    site.env["LLAMAAGENT_GIT_BRANCH"] = "main"
    remote.profile("beta")
    commit = remote.push()
    site.once()
    assert remote.head == commit
    remote.git(site.root, "checkout", "-q", "--detach")
    assert "HEAD is detached" in site.once().err


def test_outside_of_a_work_tree_it_is_said(fake_site: Site) -> None:
    fake_site.settings(git={"pull": "always"})
    fake_site.profile("alpha")
    assert "the profiles are in no git work tree" in fake_site.once().err
    fake_site.settle("running", "alpha")


def test_a_broken_profile_that_is_pulled_stops_nothing(remote: Remote) -> None:
    site = remote.site
    remote.profile("beta")
    remote.push()
    pids = {name: row["pid"] for name, row in site.settle("running", "alpha").items()}
    site.settle("running", "alpha", "beta")
    pids = site.live()
    (remote.other / "profiles" / "alpha.yaml").write_text("model: [half\n")
    commit = remote.push()
    done = site.run("run", "--once")
    assert done.rc == 78
    assert remote.head == commit
    assert site.live() == pids


def test_settings_that_came_broken_are_mended_by_the_next_pull(remote: Remote) -> None:
    site = remote.site
    site.settle("running", "alpha")
    pids = site.live()
    good = (remote.other / "llamaagent.yaml").read_text()
    (remote.other / "llamaagent.yaml").write_text(good + "interval_s: 3s\n")
    remote.push()
    done = site.run("run", "--once")
    assert done.rc == 78
    assert "did you mean 'interval'" in done.err
    assert site.run("run", "--once").rc == 78
    assert site.live() == pids
    (remote.other / "llamaagent.yaml").write_text(good)
    remote.push()
    assert site.run("run", "--once").rc == 0


def test_nothing_is_pulled_by_plan_and_without_the_setting(remote: Remote) -> None:
    site = remote.site
    site.settle("running", "alpha")
    before = remote.head
    remote.profile("beta")
    remote.push()
    assert site.run("plan").rc == 0
    assert remote.head == before
    site.env["LLAMAAGENT_GIT_PULL"] = "never"
    site.once()
    assert remote.head == before


def test_removals_wait_for_their_commit_and_for_the_guard_with_the_remote_down(remote: Remote) -> None:
    site = remote.site
    names = ["alpha", "b1", "b2", "b3"]
    for name in names[1:]:
        remote.profile(name)
    remote.push()
    site.once()
    site.settle("running", *names)
    pids = site.live()
    for name in names[1:]:
        (remote.other / "profiles" / f"{name}.yaml").unlink()
    remote.push()
    assert "llamaagent run --once --yes" in site.once().err
    assert site.live() == pids
    remote.bare.rename(remote.bare.with_name("away.git"))
    said = site.once()
    assert "was not pulled" in said.err
    assert site.live() == pids
    site.once("--yes")
    assert list(site.live()) == ["alpha"]
