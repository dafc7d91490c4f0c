"""Which profiles are in force: the files' own, the last good revisions of broken ones, and who is retired."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from llamaagent.config.load import load_site
from llamaagent.reconcile.declared import Declared, in_force, missing
from llamaagent.store.wishes import Revision

if TYPE_CHECKING:
    from pathlib import Path

    from llamaagent.config.site import Site


class Folder:
    """A site's files, and what a pass would remember of them from the time before."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "profiles"
        self.folder.mkdir()
        self.settings("")
        self.revisions: dict[str, Revision] = {}

    def settings(self, text: str) -> None:
        (self.root / "llamaagent.yaml").write_text(f"models: {{directories: [/models]}}\n{text}")

    def write(self, name: str, text: str = "model: m.gguf\n") -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(text)
        return path

    def load(self) -> Site:
        environ = {"HOME": str(self.root), "XDG_CONFIG_HOME": str(self.root / "none")}
        return load_site(
            config=None, profiles=(), environ=environ, cwd=str(self.root), now=int(time.time()), host="here"
        )

    def declare(self) -> Declared:
        """Load, join with what was declared before, and remember what is declared now, as a pass does."""
        site = self.load()
        for found in site.profiles:
            self.revisions[found.name] = Revision(
                found.name, found.profile_hash, found.launch_hash, found.document, found.source, found.line
            )
        hashes = {name: (revision.profile_hash, revision.source) for name, revision in self.revisions.items()}
        return in_force(site, hashes, tuple(self.revisions.values()) if missing(site, hashes) else None)

    def git(self, *words: str) -> None:
        named = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.root), "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", *named, *words], cwd=self.folder, env=env, check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.write("alpha")
    made.write("beta")
    assert sorted(made.declare().profiles) == ["alpha", "beta"]
    return made


def test_nothing_missing_asks_for_no_revision(folder: Folder) -> None:
    site = folder.load()
    hashes = {name: (r.profile_hash, r.source) for name, r in folder.revisions.items()}
    assert not missing(site, hashes)
    assert in_force(site, hashes, None).gone == {}


def test_a_removed_file_retires_its_profile(folder: Folder) -> None:
    (folder.folder / "alpha.yaml").unlink()
    found = folder.declare()
    assert (sorted(found.profiles), found.gone, found.kept) == (["beta"], {"alpha": "retired"}, {})


@pytest.mark.parametrize(
    "text", ["model: [unclosed\n", "", "nonsense: 1\n", "model: m.gguf\nname: Not Allowed\n", "\x00"]
)
def test_a_broken_or_empty_file_keeps_what_it_declared_last(folder: Folder, text: str) -> None:
    before = folder.declare().profiles["alpha"]
    folder.write("alpha", text)
    found = folder.declare()
    assert sorted(found.profiles) == ["alpha", "beta"]
    assert found.gone == {}
    assert "alpha.yaml" in found.kept["alpha"]
    kept = found.profiles["alpha"]
    assert (kept.launch_hash, kept.profile_hash, kept.argv) == (
        before.launch_hash,
        before.profile_hash,
        before.argv,
    )
    assert kept == before


def test_a_file_that_was_mended_is_in_force_again(folder: Folder) -> None:
    folder.write("alpha", "broken: [")
    folder.declare()
    folder.write("alpha", "model: m.gguf\npriority: 4\n")
    found = folder.declare()
    assert found.kept == {}
    assert found.profiles["alpha"].priority == 4


def test_a_vanished_folder_keeps_everything(folder: Folder) -> None:
    shutil.rmtree(folder.folder)
    found = folder.declare()
    assert (sorted(found.profiles), found.gone) == (["alpha", "beta"], {})
    assert "cannot be read" in found.kept["alpha"]


def test_an_emptied_folder_keeps_everything(folder: Folder) -> None:
    for path in folder.folder.iterdir():
        path.unlink()
    found = folder.declare()
    assert (sorted(found.profiles), found.gone) == (["alpha", "beta"], {})
    assert "no valid profile" in found.kept["beta"]


def test_a_folder_of_which_only_broken_files_are_left_keeps_everything(folder: Folder) -> None:
    (folder.folder / "alpha.yaml").unlink()
    folder.write("beta", "broken: [")
    found = folder.declare()
    assert (sorted(found.profiles), found.gone) == (["alpha", "beta"], {})


def test_a_folder_that_the_settings_no_longer_name_keeps_what_it_declared(folder: Folder) -> None:
    other = folder.root / "other"
    other.mkdir()
    (other / "gamma.yaml").write_text("model: m.gguf\n")
    folder.settings("profiles: other/\n")
    found = folder.declare()
    assert sorted(found.profiles) == ["alpha", "beta", "gamma"]
    assert "no longer among" in found.kept["alpha"]


def test_one_document_taken_out_of_a_file_is_retired(folder: Folder) -> None:
    folder.write("many", "name: one\nmodel: m.gguf\n---\nname: two\nmodel: m.gguf\n")
    assert {"one", "two"} <= set(folder.declare().profiles)
    folder.write("many", "name: one\nmodel: m.gguf\n")
    found = folder.declare()
    assert found.gone == {"two": "retired"}
    assert "one" in found.profiles


def test_one_broken_document_of_a_file_keeps_the_others_and_itself(folder: Folder) -> None:
    folder.write("many", "name: one\nmodel: m.gguf\n---\nname: two\nmodel: m.gguf\n")
    folder.declare()
    folder.write("many", "name: one\nmodel: m.gguf\npriority: 2\n---\nname: two\nmodle: m.gguf\n")
    found = folder.declare()
    assert found.profiles["one"].priority == 2
    assert found.gone == {}
    assert list(found.kept) == ["two"]


def test_a_profile_that_moved_to_another_file_is_the_same(folder: Folder) -> None:
    (folder.folder / "alpha.yaml").rename(folder.folder / "renamed.yaml")
    folder.write("renamed", "name: alpha\nmodel: m.gguf\n")
    found = folder.declare()
    assert (sorted(found.profiles), found.gone, found.kept) == (["alpha", "beta"], {}, {})


def test_a_profile_that_was_renamed_is_a_new_one(folder: Folder) -> None:
    folder.write("alpha", "name: gamma\nmodel: m.gguf\n")
    found = folder.declare()
    assert sorted(found.profiles) == ["beta", "gamma"]
    assert found.gone == {"alpha": "retired"}


def test_a_profile_for_another_host_is_gone_from_here(folder: Folder) -> None:
    folder.write("alpha", "model: m.gguf\nhosts: [elsewhere]\n")
    found = folder.declare()
    assert (sorted(found.profiles), found.gone) == (["beta"], {"alpha": "host"})


def test_in_a_work_tree_the_commit_has_the_last_word(folder: Folder) -> None:
    folder.git("init", "-q")
    folder.git("add", ".")
    folder.git("commit", "-q", "-m", "both")
    (folder.folder / "alpha.yaml").unlink()
    found = folder.declare()
    assert (sorted(found.profiles), found.gone) == (["alpha", "beta"], {})
    assert "not committed" in found.kept["alpha"]
    folder.git("commit", "-q", "-a", "-m", "only beta")
    found = folder.declare()
    assert (sorted(found.profiles), found.gone) == (["beta"], {"alpha": "retired"})


def test_in_a_work_tree_a_file_that_was_never_committed_is_retired_at_once(folder: Folder) -> None:
    folder.git("init", "-q")
    folder.git("add", "beta.yaml")
    folder.git("commit", "-q", "-m", "beta")
    (folder.folder / "alpha.yaml").unlink()
    assert folder.declare().gone == {"alpha": "retired"}


def test_in_a_work_tree_a_document_taken_out_waits_for_its_commit(folder: Folder) -> None:
    folder.write("many", "name: one\nmodel: m.gguf\n---\nname: two\nmodel: m.gguf\n")
    folder.declare()
    folder.git("init", "-q")
    folder.git("add", ".")
    folder.git("commit", "-q", "-m", "all")
    folder.write("many", "name: one\nmodel: m.gguf\n")
    assert folder.declare().gone == {}
    folder.git("commit", "-q", "-a", "-m", "one")
    assert folder.declare().gone == {"two": "retired"}


def test_a_work_tree_without_a_commit_says_nothing(folder: Folder) -> None:
    folder.git("init", "-q")
    (folder.folder / "alpha.yaml").unlink()
    assert folder.declare().gone == {"alpha": "retired"}
