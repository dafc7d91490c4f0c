"""The inventory of model files in a real database."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from llamaagent.domain.modelfile import ModelFile
from llamaagent.store import open_database
from llamaagent.store.models import ModelStore, list_files, one_file

DAY = 86_400


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    opened = open_database(str(tmp_path / "a.db"))
    yield opened
    opened.close()


def a_file(name: str = "a.gguf", **more: int | str | None) -> ModelFile:
    return ModelFile(f"/models/{name}", name, 10, 1, 5, 7)._replace(**more)


def launch(db: apsw.Connection, path: str, status: str, launched: int, ended: int | None) -> None:
    db.execute(
        "INSERT INTO instances (profile, kind, status, since_ts, created_ts, launched_ts, ended_ts, model_path)"
        " VALUES ('p' || ?1, 'process', ?2, ?1, ?1, ?1, ?3, ?4)",
        (launched, status, ended, path),
    )


def test_every_fact_is_kept_and_what_is_read_again_replaces_it(db: apsw.Connection) -> None:
    store = ModelStore(db)
    store.add([a_file(error="damaged")], 1000)
    store.favor(1, True)
    full = a_file(format="gguf", parameter_count=(1 << 63) - 1, metadata_json='{"a": 1}', inode=(1 << 63) - 1)
    store.add([full], 2000)

    (row,) = one_file(db, 1).rows
    assert {key: row[key] for key in full._fields} == full._asdict()
    assert (row["first_seen_ts"], row["last_seen_ts"], row["favorite"]) == (1000, 2000, 1)


def test_what_is_missing_keeps_the_time_since_when(db: apsw.Connection) -> None:
    store = ModelStore(db)
    store.add([a_file(), a_file("b.gguf")], 1000)

    store.seen([1], [2], 2000)
    store.seen([1], [2], 3000)
    assert [(f.id, f.missing_ts) for f in store.known().values()] == [(1, None), (2, 2000)]
    store.seen([1, 2], [], 4000)
    assert [f.missing_ts for f in store.known().values()] == [None, None]


def test_last_use_is_that_of_the_launches(db: apsw.Connection) -> None:
    store = ModelStore(db)
    store.add([a_file(), a_file("b.gguf"), a_file("c.gguf")], 1000)
    launch(db, "/models/a.gguf", "stopped", 10 * DAY, 11 * DAY)
    launch(db, "/models/a.gguf", "error", 5 * DAY, 6 * DAY)
    launch(db, "/models/b.gguf", "running", 10 * DAY, None)

    store.seen([1, 2, 3], [], 20 * DAY)

    assert [row["last_used_ts"] for row in list_files(db).rows] == [11 * DAY, 20 * DAY, None]


def test_forgetting_takes_the_rows_named_only(db: apsw.Connection) -> None:
    store = ModelStore(db)
    store.add([a_file(), a_file("b.gguf")], 1000)

    store.forget([2])
    store.forget([])

    assert list(store.known()) == ["/models/a.gguf"]
    assert (store.favor(1, True), store.favor(1, True), store.favor(2, True)) == (True, False, False)
