"""Which of all things that can be wrong with a database file is found, and what is said to do about it."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING

import apsw
import pytest
from damage import build, hurt

from llamaagent.base.errors import StorageError
from llamaagent.store import open_database
from llamaagent.store.checkup import Remedies, examine, traces
from llamaagent.store.upgrade import VERSION

if TYPE_CHECKING:
    from pathlib import Path

REMEDIES = Remedies("put the backup back", "save what is left")


def found(path: Path) -> dict[str, str]:
    """What is wrong: check -> remedy."""
    return {one.check: one.remedy for one in examine(str(path), REMEDIES, traces(str(path)))}


def edited(path: Path, *texts: str) -> None:
    db = apsw.Connection(str(path))
    for text in texts:
        db.execute(text)
    db.close()


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("origin") / "a.db"
    build(path, 20, {})
    return path.read_bytes()


@pytest.fixture
def sound(tmp_path: Path, origin: bytes) -> Path:
    path = tmp_path / "a.db"
    path.write_bytes(origin)
    return path


def test_nothing_is_wrong_with_a_sound_one_and_nothing_is_changed(sound: Path) -> None:
    before = sound.read_bytes()
    assert found(sound) == {}
    assert sound.read_bytes() == before


def test_nothing_is_wrong_while_another_writes(sound: Path) -> None:
    db = open_database(str(sound))
    with db:
        db.execute("INSERT INTO metadata (key, value, updated_at) VALUES ('half', '1', 1)")
        assert found(sound) == {}
    db.close()


@pytest.mark.case("sqlite 5.7")
@pytest.mark.parametrize("kind", ["garbage", "zeros", "cut"])
@pytest.mark.parametrize("page", [1, 2, 40, 100])
def test_a_damaged_page_is_found(sound: Path, kind: str, page: int) -> None:
    hurt(sound, kind, random.Random(page), page)
    told = found(sound)
    assert told, (kind, page)
    if (kind, page) == ("cut", 1):
        assert told == {"empty": "llamaagent db init"}
    else:
        assert set(told) <= {"header", "pages", "references", "schema", "views", "foreign"}
        assert "save what is left" in told.values()


@pytest.mark.case("sqlite 5.7")
@pytest.mark.parametrize(
    "trace", ["a.db.pass.lock", "a.db.agent.lock", "a.db.pre-v1.bak", "a.db.replaced-20260101T000000Z"]
)
@pytest.mark.parametrize("state", ["missing", "empty"])
def test_a_file_that_was_there_is_missed(tmp_path: Path, trace: str, state: str) -> None:
    (tmp_path / trace).touch()
    if state == "empty":
        (tmp_path / "a.db").touch()
    assert found(tmp_path / "a.db") == {state: "put the backup back"}


def test_where_nothing_was_nothing_is_missed(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no database"):
        found(tmp_path / "a.db")


def test_other_programs_and_other_versions(sound: Path) -> None:
    edited(sound, f"PRAGMA user_version = {VERSION + 1}")
    assert found(sound) == {"version": "use the newer llamaagent"}
    edited(sound, f"PRAGMA user_version = {VERSION - 1}")
    assert found(sound) == {"version": "llamaagent db migrate"}
    edited(sound, "PRAGMA application_id = 7")
    assert set(found(sound)) == {"foreign"}


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("DROP VIEW v_profiles", "views"),
        ("DROP VIEW v_profiles; CREATE VIEW v_profiles AS SELECT 1", "views"),
        ("DROP INDEX models_status", "schema"),
        ("ALTER TABLE logs ADD COLUMN mine TEXT", "schema"),
        ("PRAGMA foreign_keys = OFF; DELETE FROM instances WHERE id = 3", "references"),
    ],
)
def test_what_is_whole_and_still_not_ours(sound: Path, text: str, check: str) -> None:
    edited(sound, text)
    assert set(found(sound)) == {check}


def test_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from llamaagent.cli.main import entry

    monkeypatch.chdir(tmp_path)
    for name in ("DATA", "STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("HOME", str(tmp_path))
    path = str(tmp_path / "data" / "llamaagent" / "llamaagent.db")
    assert entry(["db", "check"]) == 74
    assert entry(["db", "init"]) == 0
    assert entry(["db", "backup"]) == 0
    backup = capsys.readouterr().out.splitlines()[-1]
    assert entry(["db", "check"]) == 0
    assert "sound" in capsys.readouterr().err
    os.truncate(path, 0)
    assert entry(["db", "check", "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["check"], row["remedy"]) == ("empty", f"llamaagent db restore {backup}")
    assert entry(["db", "restore", backup, "--yes"]) == 0
    assert entry(["db", "check", "--quick"]) == 0
    os.unlink(path)
    assert entry(["db", "check"]) == 1
    assert "missing" in capsys.readouterr().out
