"""Many threads on one store, a child made by fork, and typed values through a real file."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import llamaagent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llamaagent.library.store import Store

READERS = 200


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = llamaagent.open_store(tmp_path / "own" / "x.db")
    yield made
    made.close()


def test_two_hundred_readers_beside_a_writer(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Each reader sees the numbers grow, never a half-written pair, and nobody waits for the writer."""
    wrong: list[object] = []
    ready = threading.Barrier(READERS + 1)
    store.config.set("app.pair", [0, 0])

    def read() -> None:
        try:
            ready.wait(60)
            last = 0
            for _ in range(10):
                first, second = store.config.get("app.pair")
                if first != second or first < last:
                    wrong.append((last, first, second))
                last = first
        except BaseException as error:  # noqa: BLE001 - told by the test
            wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    ready.wait(60)
    number = 0
    while any(reader.is_alive() for reader in readers):
        number += 1
        store.config.set("app.pair", [number, number])
    for reader in readers:
        reader.join(60)

    assert wrong == []
    assert caplog.records == []
    assert store.config.get("app.pair") == [number, number]
    assert number > 0


def test_writers_take_turns_and_lose_nothing(store: Store) -> None:
    def write(who: int) -> None:
        for number in range(25):
            store.logs.add("info", f"{who} {number}", "writer")

    threads = [threading.Thread(target=write, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert {row["message"] for row in store.logs.search(limit=1000)} == {
        f"{who} {number}" for who in range(8) for number in range(25)
    }


def test_threads_that_end_leave_no_connection_behind(store: Store) -> None:
    def files() -> int:
        return len(os.listdir("/proc/self/fd"))

    def read() -> None:
        store.config.get("app.a")

    counts = []
    for _ in range(40):
        thread = threading.Thread(target=read)
        thread.start()
        thread.join(60)
        counts.append(files())

    assert max(counts[5:]) <= counts[4] + 2, counts


def test_closing_under_readers_gives_them_default_answers(store: Store) -> None:
    wrong: list[object] = []
    stop = threading.Event()
    store.config.set("app.a", 1)

    def read() -> None:
        try:
            while not stop.is_set():
                if store.config.get("app.a") not in {1, None}:
                    wrong.append("another value")
        except BaseException as error:  # noqa: BLE001 - told by the test
            wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    store.close()
    stop.set()
    for thread in threads:
        thread.join(60)

    assert wrong == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_made_by_fork_has_connections_of_its_own(store: Store) -> None:
    store.config.set("app.parent", 1)
    assert store.config.get("app.parent") == 1

    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if store.config.get("app.parent") == 1 and store.config.set("app.child", 2) else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert store.config.all() == {"app.parent": 1, "app.child": 2}
    assert store.config.set("app.after", 3)


PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES, before=VALUES)
def test_any_value_comes_back_from_the_file_with_its_type(
    store: Store, value: object, before: object
) -> None:
    store.config.set("app.value", before)
    changed = store.config.set("app.value", value)
    store.metadata.set("app.value", value)

    found = store.config.get("app.value", "default")

    assert (repr(found), type(found)) == (repr(value), type(value))
    assert changed is (repr(value) != repr(before))
    assert store.config.set("app.value", value) is False
    assert repr(store.metadata.get("app.value", "default")) == repr(value)
