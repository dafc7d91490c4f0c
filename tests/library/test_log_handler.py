"""The logging handler: lines reach `logs`, and the program that logs never waits and never sees an error."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import llamaagent
from llamaagent.store.connect import open_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.library.store import Store

SRC = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = llamaagent.open_store(tmp_path / "own" / "x.db", busy_timeout_s=0.2)
    yield made
    made.close()


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.getLogger("test.program")
    made.propagate = False  # half a pair in a captured line cannot travel from one test process to another
    made.setLevel("DEBUG")
    yield made
    for handler in list(made.handlers):
        made.removeHandler(handler)
        handler.close()


def test_a_line_has_level_source_context_and_error(store: Store, logger: logging.Logger) -> None:
    handler = store.handler()
    logger.addHandler(handler)
    logger.debug("below the level")
    logger.warning("half \ud800 of %s", "a pair", extra={"request": 7, "thing": object()})
    try:
        os.stat(store.path + "/nothing")
    except OSError:
        logger.exception("it broke")
    handler.flush()

    error, warning = store.logs.search()

    assert (warning["level"], warning["source"], warning["message"]) == (
        "warning",
        "test.program",
        "half \\ud800 of a pair",
    )
    assert warning["context"]["request"] == 7
    assert (error["level"], error["error_type"], error["message"]) == (
        "error",
        "NotADirectoryError",
        "it broke",
    )
    assert "test_log_handler.py" in error["stack_trace"]
    assert store.logs.search("notadirectoryerror BROKE") == [error]


def test_a_wrong_line_is_loggings_own_affair(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    handler = store.handler()

    handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("no number",), "levelno": logging.ERROR}))
    handler.handle(logging.makeLogRecord({"msg": "next", "levelno": logging.ERROR}))
    handler.close()

    assert [row["message"] for row in store.logs.search()] == ["next"]
    assert "Logging error" in capsys.readouterr().err


def test_a_locked_database_makes_nobody_wait_and_what_is_dropped_is_counted(store: Store) -> None:
    handler = llamaagent.DatabaseHandler(store, capacity=50)
    other = open_database(store.path)
    with other:
        other.execute("DELETE FROM logs")
        begin = time.monotonic()
        for number in range(400):
            handler.handle(logging.makeLogRecord({"msg": f"line {number}", "levelno": logging.INFO}))
        took = time.monotonic() - begin
        dropped = handler.dropped
    other.close()
    handler.close()

    messages = [row["message"] for row in store.logs.search(limit=1000)]
    assert took < 2
    assert dropped >= 300
    assert f"{dropped} lines dropped: the queue was full" in messages
    assert len(messages) == 400 - dropped + 1
    assert handler.dropped == 0


def test_long_lines_are_cut(store: Store, logger: logging.Logger) -> None:
    handler = store.handler()
    logger.addHandler(handler)
    logger.info("x" * 100_000, extra={"long": "y" * 100_000})
    handler.flush()

    (row,) = store.logs.search()

    assert len(row["message"]) == 8192
    assert row["context"]["characters"] > 100_000


def test_a_store_in_trouble_does_not_log_to_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = llamaagent.open_store(tmp_path)  # a folder
    handler = store.handler()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        logging.getLogger("llamaagent.library").warning("in trouble")
        logging.getLogger("other").warning("kept")
        handler.flush()
        assert [row["message"] for row in store.logs.search()] == ["kept"]
    finally:
        root.removeHandler(handler)
        handler.close()
        store.close()


def test_the_level_and_the_switch_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logger: logging.Logger
) -> None:
    monkeypatch.setenv("LLAMAAGENT_LOG_LEVEL", "ERROR")
    with llamaagent.open_store(tmp_path / "own" / "x.db") as store:
        store.logs.add("warning", "too little")
        store.logs.add("CRITICAL", "enough")
        assert [row["message"] for row in store.logs.get_all()] == ["enough"]
    monkeypatch.setenv("LLAMAAGENT_LOG_TO_DB", "0")
    with llamaagent.open_store(tmp_path / "own" / "x.db") as store:
        store.logs.add("critical", "not stored")
        handler = store.handler()
        logger.addHandler(handler)
        logger.critical("not stored")
        handler.flush()
        assert store.logs.count() == 1


LAST_WORDS = """
import logging, llamaagent
store = llamaagent.open_store({file!r})
logging.getLogger().addHandler(store.handler())
for number in range(500):
    logging.warning("line %s", number)
"""


def test_the_last_words_of_a_program_are_stored(tmp_path: Path) -> None:
    file = str(tmp_path / "own" / "x.db")
    done = subprocess.run(
        [sys.executable, "-c", LAST_WORDS.format(file=file)],
        env={"PYTHONPATH": str(SRC), "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    with llamaagent.open_store(file) as store:
        assert store.logs.count() == 500
