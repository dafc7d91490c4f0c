"""What the pages say against what was put into the database."""

from __future__ import annotations

import json
import re
import zoneinfo
from typing import TYPE_CHECKING

import pytest
import small_database
from small_database import CARD, NOW, add_launch, add_revision, add_samples, insert

from llamaagent.report.definitions import read_definitions
from llamaagent.report.paths import read_site_file
from llamaagent.report.reading import read_report
from llamaagent.report.series import choose_window, read_columns, span_window
from llamaagent.report.words import State
from llamaagent.sql import statements
from llamaagent.store.connect import open_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from apsw import Connection

    from llamaagent.report.model import Report

ZONE = zoneinfo.ZoneInfo("UTC")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Connection]:
    connection = open_database(str(tmp_path / "state" / "llamaagent.db"))
    yield connection
    connection.close()


def read(db: Connection, now: int = NOW) -> Report:
    return read_report(db, read_definitions(read_site_file("charts.toml")), now=now, zone=ZONE, title="t")


def chart_points(report: Report, profile: str, slug: str, line: int = 0) -> list[tuple[float, float, float]]:
    page = next(page for page in report.profiles if page.row.profile == profile)
    chart = next(chart for _, chart in page.charts if chart.slug == slug)
    return [(p.mean, p.low, p.high) for p in chart.series[line].points if p]


def test_a_day_has_at_most_600_buckets_and_none_is_shorter_than_a_period() -> None:
    for period in (None, 10, 30, 144, 300, 1000, 3600):
        window = choose_window(NOW, period)
        assert window.to_ts - window.from_ts == 86400
        assert 86400 % window.bucket_s == 0
        assert 86400 / window.bucket_s <= 600
        assert window.bucket_s >= (period or 0)
        assert window.from_ts <= NOW - 80_000 < NOW < window.to_ts


def test_a_young_database_is_shown_by_the_hour() -> None:
    def span(age_s: int, period_s: int) -> int:
        window = choose_window(NOW, period_s, NOW - age_s)
        length = window.to_ts - window.from_ts
        assert length / window.bucket_s <= 600
        assert window.bucket_s >= period_s
        return length

    assert [span(age, 1) for age in (5, 200, 3000)] == [60, 300, 3600]
    assert [span(age, 30) for age in (3000, 3600, 19_000, 21_000)] == [3600, 21_600, 21_600, 86_400]
    assert span(500_000, 30) == 86_400
    assert span(-100, 30) == 86_400  # the clock was set back


def test_an_empty_database_gives_an_empty_report(db: Connection) -> None:
    report = read(db)

    assert report.profiles == report.gpus == report.decisions == ()
    assert report.system is None
    assert [problem.text for problem in report.problems] == ["The agent has taken no sample yet."]


def test_figures_are_those_of_the_database(db: Connection) -> None:
    small_database.fill(db)

    report = read(db)

    alpha = report.profiles[0]
    assert (alpha.totals.requests, alpha.totals.generated_tokens, alpha.totals.prompt_tokens) == (
        10,
        550,
        1000,
    )
    assert (alpha.totals.cached_tokens, alpha.totals.cancelled) == (200, 1)
    assert report.totals[1:] == alpha.totals[1:]
    speed = alpha.distributions[0]
    assert (speed.n, speed.lowest, speed.p50, speed.p95, speed.highest) == (10, 50.0, 54.0, 59.0, 59.0)
    assert alpha.latest.memory_mib == 2048
    assert alpha.argv == ("llama-server", "--alias", "a b")
    assert (alpha.row.launches, alpha.row.crashes) == (2, 1)
    assert [launch.status for launch in alpha.launches] == ["running", "error"]
    assert report.gpus[0].power_watts == 150.5
    assert report.gpus[0].holders[0].profile == "alpha"


def test_buckets_are_reduced_by_sql_to_mean_lowest_and_highest(db: Connection) -> None:
    small_database.fill(db)

    report = read(db)

    assert report.sampling == (NOW - 90_000, NOW - 60, 60)
    assert report.window.bucket_s == 300
    cpu = next(chart for _, chart in report.system_charts if chart.slug == "cpu")
    assert [(p.mean, p.low, p.high) for p in cpu.series[0].points if p][:2] == [(12, 10, 14), (17, 15, 19)]
    assert set(chart_points(report, "alpha", "tokens")) >= {(10.0, 10.0, 10.0)}
    assert chart_points(report, "alpha", "tokens", 1)[1] == (20.0, 20.0, 20.0)
    assert chart_points(report, "alpha", "cpu")[0] == (50.0, 50.0, 50.0)
    assert sum(mean for mean, _, _ in chart_points(report, "alpha", "requests")) * 5 == pytest.approx(10)
    assert chart_points(report, "alpha", "generation-speed")[0][0] == 51.0
    disk = next(chart for _, chart in report.system_charts if chart.slug == "disk")
    assert {p.mean for p in disk.series[0].points if p} == {100_000.0}


def test_launches_ends_and_refusals_are_marked(db: Connection) -> None:
    small_database.fill(db)

    report = read(db)

    events = report.profiles[0].charts[0][1].events
    assert [(event.kind, NOW - event.ts) for event in events] == [
        ("start", 9000),
        ("crash", 4000),
        ("start", 3610),
    ]
    assert [event.kind for event in report.profiles[1].charts[0][1].events] == ["refusal"]


def test_what_was_deployed_is_marked_on_every_chart_that_it_may_explain(db: Connection) -> None:
    """Another configuration and another build; on the pages of card and machine with the profile's name."""
    small_database.fill(db)
    add_revision(db, "alpha", profile_hash="p2", first_seen_ts=NOW - 700)
    db.execute(
        "UPDATE instances SET status = 'stopped', ended_ts = ?, build = 'b1' WHERE profile = 'alpha'",
        (NOW - 650,),
    )
    launched = {
        "created_ts": NOW - 640,
        "launched_ts": NOW - 640,
        "ready_ts": NOW - 600,
        "since_ts": NOW - 600,
    }
    add_launch(db, "alpha", launch_id="alpha-9", build="b2", gpus=json.dumps([CARD]), **launched)

    report = read(db)

    alpha = report.profiles[0].charts[0][1].events
    assert [(event.kind, event.label, NOW - event.ts) for event in alpha][-5:] == [
        ("deploy", "declared anew", 700),
        ("end", "stopped", 650),
        ("end", "stopped", 650),
        ("deploy", "build b1 to b2", 640),
        ("start", "started", 640),
    ]
    card = [(event.kind, event.label) for event in report.gpus[0].charts[0][1].events]
    assert card[-2:] == [("deploy", "alpha build b1 to b2"), ("start", "alpha started")]
    machine = [(event.kind, event.label) for event in report.system_charts[0][1].events]
    assert ("deploy", "alpha declared anew") in machine
    assert ("refusal", "beta held") in machine


def test_a_silence_is_a_gap_not_a_line(db: Connection) -> None:
    with db:
        add_revision(db, "alpha")
        add_samples(db, None, first=NOW - 40_000, last=NOW - 30_000)
        add_samples(db, None, first=NOW - 10_000)

    cpu = read(db).system_charts[0][1]

    assert cpu.series[0].points.count(None) == 1
    assert [round((gap.to_ts - gap.from_ts) / 1000) for gap in cpu.gaps] == [46, 20]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"status": "running"}, State("running", "good")),
        ({"status": "unhealthy"}, State("unhealthy", "bad")),
        ({"status": "loading", "since_ts": NOW - 60}, State("loading", "busy")),
        (
            {"status": "created", "launch_id": None, "reason": "gpu-memory"},
            State("held: no GPU memory", "warn"),
        ),
        (
            {"status": "error", "retry_ts": NOW + 40, "restarts": 2},
            State("crashed, next try Sat 21 Nov 10:30 (3rd)", "bad"),
        ),
        ({"status": "error", "reason": "crash", "gave_up_ts": 1}, State("gave up", "bad")),
        ({"status": "error", "reason": "missing-model"}, State("failed: model file missing", "bad")),
        ({"status": "error", "reason": "lost"}, State("gone", "bad")),
        ({"status": "stopping", "reason": "unkillable"}, State("stuck", "bad")),
        ({"status": "stopped", "reason": "idle"}, State("idle", "off")),
        ({"status": "stopped", "reason": "schedule"}, State("outside its schedule", "off")),
    ],
)
def test_a_state_is_said_in_words(db: Connection, row: dict[str, object], expected: State) -> None:
    with db:
        add_revision(db, "alpha")
        add_launch(db, "alpha", **row)  # type: ignore[arg-type]
        add_samples(db, None)

    report = read(db)

    assert report.profiles[0].state == expected
    assert bool(report.problems) == (expected.tone in {"bad", "warn"})


def test_what_a_person_stopped_is_no_problem(db: Connection) -> None:
    with db:
        add_revision(db, "alpha")
        add_revision(db, "beta", state="stopped")
        add_launch(db, "alpha", "error", reason="crash")
        insert(db, "overrides", profile="alpha", action="stop", created_ts=NOW, username="ann")
        add_samples(db, None)

    report = read(db)

    assert [page.state for page in report.profiles] == [
        State("ended by itself", "off"),
        State("stopped", "off"),
    ]
    assert report.problems == ()


def test_what_its_schedule_keeps_from_running_is_no_problem(db: Connection) -> None:
    """NOW is a Saturday; one that was never launched has no row that says why."""
    closed = {"schedule": {"windows": ["Mon-Fri 08:00-18:00"], "timezone": "UTC"}}
    opened = {"schedule": {"windows": ["Sat 00:00-24:00"], "timezone": "UTC"}}
    with db:
        add_revision(db, "alpha", document=json.dumps(closed))
        add_revision(db, "beta", document=json.dumps(closed))
        add_launch(db, "beta", "error", reason="crash")
        add_revision(db, "gamma", document=json.dumps(opened))
        add_samples(db, None)

    report = read(db)

    outside = State("outside its schedule", "off")
    assert [page.state for page in report.profiles] == [outside, outside, State("not started yet", "warn")]


def test_giving_up_is_stronger_than_a_schedule_and_weaker_than_an_operator(db: Connection) -> None:
    closed = {"schedule": {"windows": ["Mon-Fri 08:00-18:00"], "timezone": "UTC"}}
    with db:
        for name in ("alpha", "beta"):
            add_revision(db, name, document=json.dumps(closed))
            add_launch(db, name, "error", reason="crash", gave_up_ts=1)
        insert(db, "overrides", profile="beta", action="stop", created_ts=NOW, username="ann")
        add_samples(db, None)

    report = read(db)

    assert [page.state.word for page in report.profiles] == ["gave up", "ended by itself"]


def test_problems_come_with_the_worst_first(db: Connection) -> None:
    with db:
        insert(db, "gpus", uuid=CARD, name="Card", status="gone", first_seen_ts=1, last_seen_ts=2)
        add_revision(db, "alpha")
        add_launch(db, "alpha", "created", launch_id=None, reason="quota")
        add_revision(db, "beta")
        add_launch(db, "beta", "unhealthy", detail="HTTP 500")
        insert(db, "logs", ts=NOW - 5, level="error", message="disk on fire")
        add_samples(db, None, last=NOW - 1200, first=NOW - 3000)

    problems = read(db).problems

    assert [(problem.tone, problem.profile) for problem in problems] == [
        ("bad", None), ("bad", "beta"), ("bad", None), ("warn", "alpha"), ("warn", None),
    ]  # fmt: skip
    assert "no sample since" in problems[0].text
    assert problems[1].text == "does not answer its health probe: HTTP 500"
    assert problems[4].text == "The agent logged an error; the last: disk on fire"


def test_statements_read_views_only(db: Connection) -> None:
    """Also: those of a range reach the samples by their key."""
    for name, text in statements("report").items():
        sources = set(re.findall(r"\b(?:FROM|JOIN)\s+(\w+)", text))
        own = set(re.findall(r"(?:WITH|,) (\w+) AS \(", text))
        assert {
            source for source in sources - own - {"project_quotas"} if not source.startswith("v_")
        } == set(), name
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {text}", _bindings(text))]
        if name.endswith("_buckets"):
            assert not [step for step in plan if step.startswith("SCAN") and "samples" in step], (name, plan)


def _bindings(text: str) -> dict[str, object]:
    names = {word.lstrip(":").rstrip(",;)") for word in text.split() if ":" in word}
    known = {"from_ts": 0, "to_ts": 1, "bucket_s": 300, "limit": 1, "profile": "x"}
    known |= {"model_path": "/m", "resolution_s": 300, "now_ts": 1}
    return {name: value for name, value in known.items() if name in names or name == "bucket_s"}


@pytest.mark.parametrize(("passed_s", "rate"), [(120, 2.0), (240, 2.0), (20, 1.0), (1, 0.0), (0, None)])
def test_the_bucket_of_now_is_no_fall_and_one_request_no_peak(
    db: Connection, passed_s: int, rate: float | None
) -> None:
    """Two requests a minute, looked at while five minutes are not over."""
    begin = NOW // 300 * 300
    insert(db, "gpus", uuid=CARD, first_seen_ts=begin, last_seen_ts=begin)
    for ts in range(begin - 600, begin + passed_s, 30):
        fields = {"profile": "alpha", "prompt_tokens": 300, "generated_tokens": 600, "total_tokens": 900}
        insert(db, "generations", ts=ts + 5, **fields)
    add_samples(db, add_launch(db, "alpha"), first=begin - 600, last=begin + passed_s)
    db.execute("DELETE FROM generations WHERE ts > ?", (begin + passed_s,))
    window = span_window(begin - 86_400, begin + 300)
    definitions = read_definitions(read_site_file("charts.toml"))
    for page, column, share in (
        ("profile", "requests_per_minute", 1),
        ("requests", "requests_per_minute", 1),
        ("requests", "generated_per_s", 10),
        ("requests", "prompt_per_s", 5),
    ):
        now = begin + passed_s
        (found,) = read_columns(db, definitions, page, statements("report"), window, now).values()
        means = [point.mean for point in found[column]]
        assert means[:2] == [2.0 * share] * 2
        assert means[2:] == ([] if rate is None else [rate * share])
