"""What is not ours, or too new, is refused with its bytes as they were and nothing left beside it."""

import os
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from llamaagent.base.errors import ConfigError, LlamaAgentError, StoreCorruptError
from llamaagent.store import open_database
from llamaagent.store.upgrade import VERSION


def foreign_with_tables(path: str) -> None:
    db = apsw.Connection(path)
    db.execute("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)")
    db.close()


def foreign_by_its_id(path: str) -> None:
    db = apsw.Connection(path)
    db.execute("PRAGMA application_id = 252006673")
    db.close()


def foreign_in_wal_mode(path: str) -> None:
    db = apsw.Connection(path)
    db.execute("PRAGMA journal_mode = WAL; CREATE TABLE theirs (a)").fetchall()
    db.close()


def newer(path: str) -> None:
    db = open_database(path)
    db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.execute(
        "UPDATE metadata SET value = :value WHERE key = 'min_reader_version'", {"value": str(VERSION + 1)}
    )
    db.close()


@pytest.mark.case("sqlite 5.15")
@pytest.mark.parametrize("make", [foreign_with_tables, foreign_by_its_id, foreign_in_wal_mode, newer])
@pytest.mark.parametrize("write", [True, False])
def test_refused_with_78_and_bytes_unchanged(
    tmp_path: Path, make: Callable[[str], None], write: bool
) -> None:
    path = tmp_path / "a.db"
    make(str(path))
    path.chmod(0o600)
    before = path.read_bytes()
    with pytest.raises(ConfigError) as caught:
        open_database(str(path), write=write)
    assert caught.value.exit_code == 78
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.db"]


def test_a_foreign_database_whose_tables_are_still_in_its_wal_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    theirs = apsw.Connection(str(path))
    path.chmod(0o600)
    theirs.execute(
        "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE theirs (a)"
    ).fetchall()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="another program"):
        open_database(str(path))
    assert path.read_bytes() == before
    assert theirs.execute("SELECT count(*) FROM theirs").get == 0
    theirs.close()


def test_the_message_for_a_newer_one_names_both_versions(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    newer(path)
    with pytest.raises(ConfigError, match=f"version {VERSION + 1}, this program knows {VERSION}"):
        open_database(path)


def test_a_newer_one_that_says_it_can_be_read_is_opened_for_reading_only(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    newer(path)
    db = apsw.Connection(path)
    db.execute("UPDATE metadata SET value = '1' WHERE key = 'min_reader_version'")
    db.close()
    reader = open_database(path, write=False)
    assert reader.execute("SELECT count(*) FROM v_profiles").get == 0
    reader.close()
    with pytest.raises(ConfigError):
        open_database(path)


@pytest.mark.case("sqlite 5.7")
@pytest.mark.parametrize("write", [True, False])
def test_what_is_no_database_is_damaged_and_left_as_it_is(tmp_path: Path, write: bool) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"name: qwen\nmodel: a.gguf\n" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreCorruptError) as caught:
        open_database(str(path), write=write)
    assert caught.value.exit_code == 74
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.db"]


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "a.db").mkdir()
    with pytest.raises(LlamaAgentError, match="not a file"):
        open_database(str(tmp_path / "a.db"))


def test_odd_characters_in_the_path_do_no_harm(tmp_path: Path) -> None:
    folder = tmp_path / "a?b#c%41 d"
    open_database(str(folder / "x?mode=ro#1.db")).close()
    assert os.listdir(folder) == ["x?mode=ro#1.db"]
    open_database(str(folder / "x?mode=ro#1.db")).close()
