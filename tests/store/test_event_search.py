"""Searching `logs`: filters, pages, and the index that each search goes by."""

import json
from collections.abc import Iterator
from pathlib import Path

import apsw
import apsw.ext
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llamaagent.sql import statements
from llamaagent.store.connect import open_database
from llamaagent.store.events import LEVELS, Event, EventFilter, EventStore


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    made = open_database(str(tmp_path / "own" / "x.db"))
    yield made
    made.close()


def messages(db: apsw.Connection, **wanted: object) -> list[object]:
    return [row["message"] for row in EventStore(db).search(EventFilter(**wanted)).rows]  # type: ignore[arg-type]


def test_filters_together(db: apsw.Connection) -> None:
    store = EventStore(db)
    with db:
        store.add(Event(10, "info", "begun", "a", "boot"))
        store.add(
            Event(
                20,
                "error",
                "Disk full",
                "b",
                "disk",
                json.dumps({"path": "/var"}),
                stack_trace="x\nOSError: 28",
            )
        )
        store.add(Event(30, "warning", "disk short", "a", "disk"))

    assert messages(db) == ["disk short", "Disk full", "begun"]
    assert messages(db, level="error") == ["Disk full"]
    assert messages(db, level="warning", until=30) == ["Disk full"]
    assert messages(db, source="a", since=20) == ["disk short"]
    assert messages(db, category="disk", source="b") == ["Disk full"]
    assert messages(db, grep="DISK F") == ["Disk full"]
    assert messages(db, text="oserror /VAR full") == ["Disk full"]
    assert messages(db, text="oserror missing") == []
    assert messages(db, text="100%") == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(LEVELS), st.sampled_from("ab")), max_size=30),
    page=st.integers(1, 7),
    level=st.sampled_from(LEVELS),
    source=st.sampled_from([None, "a"]),
)
def test_pages_are_the_whole_in_pieces(
    db: apsw.Connection, rows: list[tuple[int, str, str]], page: int, level: str, source: str | None
) -> None:
    store = EventStore(db)
    store.clear()
    with db:
        for number, (ts, word, origin) in enumerate(rows):
            store.add(Event(ts, word, str(number), origin))
    whole = EventFilter(level=level, source=source, limit=1000)

    pieces: list[object] = []
    place = whole.before
    while found := store.search(whole._replace(limit=page, before=place)).rows:
        pieces += [row["id"] for row in found]
        place = (int(str(found[-1]["ts"])), int(str(found[-1]["id"])))

    assert pieces == [row["id"] for row in store.search(whole).rows]
    least = LEVELS.index(level)
    wanted = [r for r in rows if LEVELS.index(r[1]) >= least and source in {None, r[2]}]
    assert len(pieces) == len(wanted)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("list_events", "logs_ts"),
        ("list_events_of_source", "logs_source"),
        ("list_events_of_levels", "logs_level"),
    ],
)
def test_each_search_goes_by_its_index(db: apsw.Connection, name: str, index: str) -> None:
    text = statements("events")[name]
    names = apsw.ext.query_info(db, text).bindings_names
    plan = " ".join(str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {text}", dict.fromkeys(names)))

    assert f"SEARCH logs USING INDEX {index} (" in plan
    assert "SCAN logs" not in plan
    assert ("ORDER BY" in plan) is (name == "list_events_of_levels")


def test_clear_deletes_in_slices_and_counts(db: apsw.Connection) -> None:
    store = EventStore(db)
    with db:
        for number in range(12_000):
            store.add(Event(number, "info", "x"))

    assert store.clear(until=11_000) == 11_000
    assert store.count() == 1000
    assert store.clear() == 1000
