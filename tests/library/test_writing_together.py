"""Small writes of many threads: all of them, once, in few transactions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import apsw
import pytest

import llamaagent

if TYPE_CHECKING:
    from pathlib import Path

    from llamaagent.store.types import Connection

INSERT = "INSERT INTO metadata (key, value, updated_at) VALUES (?, '1', 1)"


def test_every_write_is_done_once_and_answered(tmp_path: Path) -> None:
    transactions = []

    def write(number: int) -> int:
        def act(db: Connection) -> int:
            db.execute(INSERT, (f"key.{number}",))
            transactions.append(db.txn_state("main") and id(db))
            return number * 2

        return int(store.together.write(act, -1))

    with llamaagent.open_store(tmp_path / "x.db") as store:
        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(write, range(500)))
        assert len([key for key in store.metadata.all() if key.startswith("key.")]) == 500

    assert answers == [number * 2 for number in range(500)]
    assert len(transactions) == 500


def test_a_wrong_write_harms_nobody_else_and_is_told_to_its_caller(tmp_path: Path) -> None:
    def write(number: int) -> object:
        def act(db: Connection) -> str:
            db.execute(
                INSERT if number % 10 else "NO SUCH STATEMENT", (f"key.{number}",) if number % 10 else ()
            )
            return "done"

        try:
            return store.together.write(act, "default")
        except apsw.SQLError:
            return "raised"

    with llamaagent.open_store(tmp_path / "x.db") as store:
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(write, range(200)))
        kept = len([key for key in store.metadata.all() if key.startswith("key.")])
        with pytest.raises(apsw.SQLError):
            store.together.write(lambda db: db.execute("NO SUCH STATEMENT"), None)

    assert kept == answers.count("done") == 180
    assert {answers[number] for number in range(0, 200, 10)} <= {"raised"}


def test_a_store_that_keeps_nothing_gives_the_default() -> None:
    with llamaagent.open_store(enabled=False) as store:
        assert store.together.write(lambda _: 1, "default") == "default"
