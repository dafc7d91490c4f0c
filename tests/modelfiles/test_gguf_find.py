"""Finding models, and telling what changed since the last scan, without opening anything."""

import os
from pathlib import Path

import pytest
from written_models import write_model

from llamaagent.domain.modelfile import KnownFile
from llamaagent.gguf.facts import read_model
from llamaagent.gguf.find import Found, Trouble, find_models, look_at, presence
from llamaagent.gguf.scan import survey


def known(found: Found, number: int = 1) -> KnownFile:
    return KnownFile(
        number, found.paths[0], found.size_bytes, found.parts, found.mtime_ns, found.inode, None, None
    )


def paths(folder: Path, depth: int = 12) -> list[str]:
    return [
        os.path.relpath(f.paths[0], folder) for f in find_models(str(folder), depth) if isinstance(f, Found)
    ]


def test_models_are_found_below_links_and_loops_once(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/x.gguf", "a/b/y.gguf", "z.gguf", "a/notes.txt"):
        (tmp_path / name).write_bytes(b"GGUF")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "b" / "link.gguf").symlink_to(tmp_path / "z.gguf")
    (tmp_path / "broken.gguf").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.gguf").mkdir()

    assert paths(tmp_path) == ["z.gguf", "a/x.gguf", "a/b/link.gguf", "a/b/y.gguf"]


def test_depth_is_bounded(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*"abcd")
    deep.mkdir(parents=True)
    (deep / "x.gguf").touch()

    assert paths(tmp_path, 4) == ["a/b/c/d/x.gguf"]
    assert paths(tmp_path, 3) == []


def test_parts_are_one_model(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write_model(tmp_path / f"big-{number:05}-of-00003.gguf")

    (found,) = find_models(str(tmp_path))
    assert isinstance(found, Found)
    file = read_model(found)

    assert look_at(found.paths[0]) == found
    assert (found.parts, len(found.paths), found.fault) == (3, 3, None)
    assert file.filename == "big-00001-of-00003.gguf"
    assert file.size_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert file.parameter_count == 3 * (300 * 64 + 64 + 3 * 5 * 7)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    for number in (1, 3):
        write_model(tmp_path / f"big-{number:05}-of-00003.gguf")
    (tmp_path / "other-00002-of-00002.gguf").touch()

    big, other = find_models(str(tmp_path))

    assert isinstance(big, Found)
    assert read_model(big).error == "part 2 of 3 is missing"
    assert isinstance(other, Trouble)
    assert other.reason == "part 1 of 2 is missing"


def test_a_name_that_is_no_text_is_trouble(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.gguf")).touch()

    (found,) = find_models(str(tmp_path))

    assert isinstance(found, Trouble)


@pytest.mark.parametrize("change", ["size", "time", "inode"])
def test_a_changed_model_is_read_again(tmp_path: Path, change: str) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF")
    os.utime(path, ns=(0, 10**18))
    before = {str(path): known(look_at(str(path)))}
    if change == "inode":
        (tmp_path / "new").write_bytes(b"GGUF")
        (tmp_path / "new").replace(path)
    path.write_bytes(b"GGUF+" if change == "size" else b"GGUF")
    os.utime(path, ns=(0, 10**18 + (change == "time")))

    assert [f.paths[0] for f in survey([str(tmp_path)], before).fresh] == [str(path)]


def test_gone_is_not_away(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    first, second = folder / "a.gguf", folder / "b.gguf"
    first.touch()
    second.touch()
    before = {str(p): known(look_at(str(p))) for p in (first, second)}

    assert presence(str(first)) == "there"
    first.unlink()
    assert presence(str(first)) == "gone"
    assert [f.path for f in survey([str(folder)], before).gone] == [str(first)]
    second.unlink()
    (folder / "lost+found").mkdir()
    assert presence(str(first)) == "away"
    assert survey([str(folder)], before).gone == ()
    (folder / "lost+found").rmdir()
    folder.rmdir()
    assert presence(str(first)) == "away"
    assert [t.path for t in survey([str(folder)], before).troubles] == [str(folder)]
