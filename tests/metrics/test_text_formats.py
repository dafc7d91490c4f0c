"""Prometheus and OpenMetrics by the parsers of Prometheus' own library, which are strict."""

import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_classic

from llamaagent.metrics.families import COUNTER, GAUGE, Family, Sample, families
from llamaagent.metrics.textformat import openmetrics_text, prometheus_text
from llamaagent.store import open_database

SITE = Path(__file__).resolve().parents[1] / "fixtures" / "seed_queries" / "site.sql"
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    found = open_database(str(tmp_path / "a.db"))
    with found:
        found.execute(SITE.read_text(encoding="utf-8"), {"now": int(time.time())})
    yield found
    found.close()


def series(text: str) -> Series:
    found: Series = {}
    for family in read_classic(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            assert sample.timestamp is None
            found[key] = sample.value
    return found


def test_both_formats_say_the_same_of_a_whole_site(db: apsw.Connection) -> None:
    found = families(db, "1.2.3")
    classic = series(prometheus_text(found))
    assert len(classic) > 60
    opened = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in read_open(openmetrics_text(found))
        for sample in family.samples
    }
    assert opened == classic
    kinds = {family.name: family.type for family in read_classic(prometheus_text(found))}
    assert {name for name, kind in kinds.items() if kind not in {"gauge", "counter"}} == set()
    assert all(family.documentation for family in read_classic(prometheus_text(found)))


def test_what_a_site_says(db: apsw.Connection) -> None:
    found = series(prometheus_text(families(db, "1.2.3")))
    qwen = frozenset({("profile", "qwen"), ("project", "/home/user/project"), ("kind", "process")})
    assert found["llamaagent_instance_up", qwen] == 1
    statuses = {
        dict(labels)["status"]: value
        for (name, labels), value in found.items()
        if name == "llamaagent_instance_status" and dict(labels)["profile"] == "mistral"
    }
    assert [status for status, value in statuses.items() if value == 1] == ["loading"]
    assert len(statuses) == 8
    card = frozenset({("uuid", "GPU-a"), ("index", "0"), ("name", "A")})
    assert found["llamaagent_gpu_memory_total_bytes", card] == 24576 * 1024**2
    assert ("llamaagent_build_info", frozenset({("version", "1.2.3"), ("schema_version", "2")})) in found


def test_counters_outlive_the_rows_they_count(db: apsw.Connection) -> None:
    def total(name: str) -> float:
        return series(prometheus_text(families(db, "1")))[
            f"llamaagent_{name}_total", frozenset({("profile", "qwen")})
        ]

    before = total("requests"), total("generated_tokens"), total("launches")
    insert = "INSERT INTO generations (ts, instance_id, task_id, slot_id, generated_tokens) VALUES (5, 4, :task, 9, 70)"
    for task in (901, 902):
        db.execute(insert, {"task": task})
        db.execute(f"{insert} ON CONFLICT DO NOTHING", {"task": task})  # a log read twice
    after = before[0] + 2, before[1] + 140, before[2]
    assert (total("requests"), total("generated_tokens"), total("launches")) == after
    db.execute("DELETE FROM generations")
    assert (total("requests"), total("generated_tokens"), total("launches")) == after


def test_an_imported_card_or_container_is_no_series(db: apsw.Connection) -> None:
    db.execute(
        "INSERT INTO gpus (uuid, idx, name, vendor, status, first_seen_ts, last_seen_ts)"
        " VALUES ('imported:mlenv:0', 0, 'card', 'imported', 'gone', 5, 5);"
        "INSERT INTO instances (profile, kind, status, reason, since_ts, created_ts, ended_ts)"
        " VALUES ('theirs', 'container', 'stopped', 'imported', 5, 5, 5)"
    )
    text = prometheus_text(families(db, "1"))
    assert "imported" not in text
    assert "theirs" not in text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")), st.floats(allow_nan=False))
def test_any_label_and_any_number_comes_back(value: str, number: float) -> None:
    sample = Sample((("profile", value), ("b", "x")), number)
    family = Family("llamaagent_thing", GAUGE, 'a \\ backslash, a "quote" and\na line', (sample,))
    (classic,) = read_classic(prometheus_text([family]))
    (opened,) = read_open(openmetrics_text([family]))
    for found in (classic, opened):
        assert (found.samples[0].labels["profile"], found.samples[0].value) == (value, number)
        assert found.documentation == family.help


def test_a_counter_is_named_as_each_format_wants_it() -> None:
    family = Family("llamaagent_x_bytes_total", COUNTER, "X.", (Sample((), 5),))
    assert prometheus_text([family]) == (
        "# HELP llamaagent_x_bytes_total X.\n# TYPE llamaagent_x_bytes_total counter\nllamaagent_x_bytes_total 5\n"
    )
    assert openmetrics_text([family]) == (
        "# TYPE llamaagent_x_bytes counter\n# UNIT llamaagent_x_bytes bytes\n# HELP llamaagent_x_bytes X.\n"
        "llamaagent_x_bytes_total 5\n# EOF\n"
    )
