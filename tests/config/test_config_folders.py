"""Folders and files of profiles: what is read, what is refused, and what is said of what cannot be read."""

import os
import tempfile
from pathlib import Path

import pytest
from site_folder import Folder


def test_a_half_written_file_keeps_its_name(folder: Folder) -> None:
    whole = "name: big-one\nmodel: m\nargs: {c: 1, temp: 0.7}\n"
    for end in (20, 33, 40):
        folder.write("profiles/p.yaml", whole[:end])
        assert folder.load().names_declared == ("big-one",)


def test_a_missing_emptied_or_unreadable_folder_is_told_apart(folder: Folder) -> None:
    assert folder.load().folders[0] == (str(folder.root / "profiles"), True, (), 0, None)
    folder.write("profiles/a.yaml", "model: m\n")
    folder.write("profiles/b.yaml", "model: [\n")
    folder.write("profiles/notes.txt", "")
    state = folder.load().folders[0]
    assert (state.readable, len(state.files), state.valid_count) == (True, 2, 1)
    folder.write("llamaagent.yaml", "profiles: [profiles, gone, profiles/a.yaml]\n")
    states = folder.load().folders
    assert [(state.readable, state.error) for state in states] == [
        (True, None),
        (False, "no such file or directory"),
        (True, None),
    ]
    assert folder.faults()[
        0
    ] == f"gone:1:1: error: cannot read {folder.root}/gone: no such file or directory".replace(
        f"{folder.root}/", ""
    )
    assert [profile.name for profile in folder.load().profiles] == ["a"]


def test_an_unreadable_folder_says_so() -> None:
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        folder = Folder(Path(root))
        folder.write("profiles/a.yaml", "model: m\n")
        assert len(folder.load().profiles) == 1
        (folder.root / "profiles").chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # rights do not bind root
        try:
            site = folder.load()
        finally:
            os.seteuid(user)
            (folder.root / "profiles").chmod(0o755)
    assert site.folders == ((str(folder.root / "profiles"), False, (), 0, "permission denied"),)
    assert site.settings_ok


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_is_refused(folder: Folder) -> None:
    path = folder.write("profiles/a.yaml", "model: m\n")
    os.chown(path, 12345, 12345)
    assert folder.faults() == [
        "a.yaml:1:1: error: cannot read a.yaml: it belongs to user 12345, neither to you nor to root"
    ]


def test_what_is_no_plain_file_is_not_waited_for(folder: Folder) -> None:
    os.mkfifo(folder.root / "profiles/a.yaml")
    (folder.root / "profiles/b.yaml").mkdir()
    assert folder.faults() == [
        "a.yaml:1:1: error: cannot read a.yaml: not a plain file",
        "b.yaml:1:1: error: cannot read b.yaml: is a directory",
    ]


def test_an_impossible_file_name_needs_a_name(folder: Folder) -> None:
    folder.write("profiles/My Model.yaml", "model: m\n")
    assert folder.faults() == [
        "My Model.yaml:1:1: error: the file's name 'My Model' cannot name the profile; write 'name: my-model'"
    ]
    folder.write("profiles/My Model.yaml", "model: m\nname: mine\n")
    assert folder.faults() == []


def test_folders_are_read_flat_sorted_and_without_bases(folder: Folder) -> None:
    for name in ("b.yml", "a.yaml", "_base.yaml", "sub/c.yaml", ".hidden.yaml", "d.yaml~"):
        folder.write(f"profiles/{name}", "model: m\n")
    files = folder.load().folders[0].files
    assert [Path(file).name for file in files] == ["a.yaml", "b.yml"]
