"""Wrong, half-written, emptied, vanished and unreadable: told in full, and nothing that runs is touched by it."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from scratch_site import kill

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scratch_site import Site

WRONG = {
    "not-yaml": "model: [unclosed\n",
    "unknown-key": "weights: m.gguf\n",
    "no-unit": "model: m.gguf\nstop: {drain: 30}\n",
    "empty": "",
    "binary": "\x00\x01\x02",
    "twice": "model: m.gguf\nmodel: n.gguf\n",
    "list": "- model: m.gguf\n",
    "alias": "model: &m m.gguf\nlabels: {a: *m}\n",
    "no-model": "state: running\n",
    "bad-option": "model: m.gguf\nargs: {no-such-option: 1}\n",
    "secret": "model: m.gguf\nsecrets: {api-key: hunter2}\n",
    "circle": "extends: circle.yaml\nmodel: m.gguf\n",
    "large": "# " + "x" * 1_000_001 + "\nmodel: m.gguf\n",
    "tag": "model: !!python/object/apply:os.system ['touch /nothing']\n",
}


def breakers(folder: Path) -> list[str]:
    """Every kind of wrong file that a folder can hold; gives the names of the files."""
    for name, text in WRONG.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "folder.yaml").mkdir()
    os.mkfifo(folder / "pipe.yaml")
    (folder / "nowhere.yaml").symlink_to("/no/such/file")
    (folder / "bytes.yaml").write_bytes(b"model: \xff\xfe\n")
    (folder / "Bad Name.yaml").write_text("model: m.gguf\n")
    return [
        *(f"{name}.yaml" for name in WRONG),
        "folder.yaml",
        "pipe.yaml",
        "nowhere.yaml",
        "bytes.yaml",
        "Bad Name.yaml",
    ]


@pytest.mark.parametrize("words", [("run", "--once"), ("check",)], ids=str)
def test_every_wrong_file_is_reported_in_one_run(fake_site: Site, words: tuple[str, ...]) -> None:
    fake_site.profile("alpha")
    fake_site.settle()
    pids = fake_site.live()
    names = breakers(fake_site.root / "profiles")
    done = fake_site.run(*words)
    assert done.rc == 78, done
    told = done.out + done.err
    for name in names:
        assert f"profiles/{name}:" in told, (name, told)
    assert "Traceback" not in told
    assert "hunter2" not in told
    assert fake_site.live() == pids


def test_broken_files_hide_no_good_one(fake_site: Site) -> None:
    breakers(fake_site.root / "profiles")
    fake_site.profile("alpha")
    fake_site.profile("zeta")
    done = fake_site.run("run", "--once", "--wait")
    assert done.rc == 78
    assert sorted(fake_site.live()) == ["alpha", "zeta"]
    again = fake_site.run("run", "--once")
    assert (again.rc, again.err) == (78, "")
    assert fake_site.run("status").rc == 1


def _gone(folder: Path) -> None:
    shutil.rmtree(folder)


def _emptied(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def _loop(folder: Path) -> None:
    """A folder that not even root can read: a link to itself."""
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.name)


def _file(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("model: m.gguf\n" * 3)


def _cut(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:9])


def _blank(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_text("")


def _only_wrong_ones_left(folder: Path) -> None:
    _emptied(folder)
    (folder / "new.yaml").write_text("model: [\n")


@pytest.mark.parametrize(
    "harm",
    [_gone, _emptied, _loop, _file, _cut, _blank, _only_wrong_ones_left],
    ids=lambda harm: harm.__name__,
)
@pytest.mark.parametrize("in_git", [False, True], ids=["plain", "git"])
def test_no_harm_to_the_folder_stops_anything(
    fake_site: Site, harm: Callable[[Path], None], in_git: bool
) -> None:
    names = ["a", "b", "c", "d"]
    for name in names:
        fake_site.profile(name)
    if in_git:
        git(fake_site, "init", "-q")
        commit(fake_site, "all")
    fake_site.settle()
    pids = fake_site.live()
    harm(fake_site.root / "profiles")
    said = fake_site.run("run", "--once")
    assert said.err
    assert "Traceback" not in said.err
    assert fake_site.run("run", "--once", "--yes").rc in {
        0,
        78,
    }  # nobody can approve what is not a retirement
    assert fake_site.live() == pids
    # It is more than spared: what dies comes back.
    kill(pids["b"][0])
    for _ in range(40):
        fake_site.run("run", "--once")
        if sorted(fake_site.live()) == names:
            break
    assert sorted(fake_site.live()) == names
    if in_git:  # and a commit of the harm is no retirement either while no valid profile is left
        commit(fake_site, "harm")
        fake_site.run("run", "--once", "--yes")
        assert sorted(fake_site.live()) == names


def git(site: Site, *words: str) -> None:
    env = site.env | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    named = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *named, *words], cwd=site.root, env=env, check=True, capture_output=True)


def commit(site: Site, message: str) -> None:
    git(site, "add", "-A", "--", "profiles")
    git(site, "commit", "-q", "--allow-empty", "-m", message)


def test_a_half_written_change_leaves_the_last_good_revision_in_force(fake_site: Site) -> None:
    path = fake_site.profile("alpha", args={"threads": 1, "ctx-size": 512})
    fake_site.profile("beta")
    fake_site.settle()
    pids, whole = fake_site.live(), path.read_bytes()
    for cut in range(1, whole.index(b"}", whole.index(b"args:")) + 1, 7):
        if whole[:cut].rstrip().endswith((b'.gguf"', b"args:")):
            continue  # a whole profile, of fewer keys
        path.write_bytes(whole[:cut])
        fake_site.run("run", "--once")
        assert fake_site.live() == pids, whole[:cut]
    path.write_bytes(whole)
    assert fake_site.run("run", "--once").rc == 0
    assert fake_site.live() == pids


@pytest.mark.parametrize("in_git", [False, True], ids=["plain", "git"])
def test_an_approval_counts_for_the_very_set_it_was_given_for(fake_site: Site, in_git: bool) -> None:
    names = [f"a{n}" for n in range(4)]
    paths = {name: fake_site.profile(name) for name in names}
    fake_site.profile("kept", state="stopped")
    if in_git:
        git(fake_site, "init", "-q")
        commit(fake_site, "all")
    fake_site.settle("running", *names)
    texts = {name: path.read_text() for name, path in paths.items()}
    pids = fake_site.live()

    def remove(*gone: str) -> None:
        for name in gone:
            paths[name].unlink()
        if in_git:
            commit(fake_site, "fewer")

    remove("a0", "a1", "a2")
    assert "--yes" in fake_site.once().err
    assert fake_site.live() == pids
    fake_site.once("--yes")
    fake_site.settle("running", "a3")
    assert list(fake_site.live()) == ["a3"]
    # The same files come back and go again: that is another matter, to be approved again.
    for name in names[:3]:
        paths[name].write_text(texts[name])
    if in_git:
        commit(fake_site, "back")
    fake_site.settle("running", *names)
    pids = fake_site.live()
    remove("a0", "a1", "a2", "a3")
    assert "--yes" in fake_site.once().err
    assert fake_site.live() == pids


def test_two_of_three_and_half_of_four_are_retired_without_a_word(fake_site: Site) -> None:
    for name in ("a", "b", "c"):
        fake_site.profile(name)
    fake_site.settle()
    for name in ("a", "b"):
        (fake_site.root / "profiles" / f"{name}.yaml").unlink()
    assert fake_site.once().err == ""
    assert list(fake_site.live()) == ["c"]
    for name in ("d", "e", "f", "g", "h"):
        fake_site.profile(name)
    fake_site.settle("running", "c", "d", "e", "f", "g", "h")
    for name in ("d", "e", "f"):  # three, and no more than half of six
        (fake_site.root / "profiles" / f"{name}.yaml").unlink()
    assert fake_site.once().err == ""
    assert sorted(fake_site.live()) == ["c", "g", "h"]


def test_a_key_given_twice_changes_nothing_that_runs(fake_site: Site) -> None:
    path = fake_site.profile("alpha")
    fake_site.settle()
    pids = fake_site.live()
    path.write_text(path.read_text().replace("args:", "args: {threads: 2}\nargs:", 1))
    done = fake_site.run("run", "--once")
    assert (done.rc, fake_site.live()) == (78, pids)
    assert "key 'args' is given twice" in done.err
