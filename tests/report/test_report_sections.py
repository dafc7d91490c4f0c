"""What stands in each section of the pages, beside SQL on the very same database."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

import pytest
import rich_database
from report_sites import ZONE, Built, build_site
from rich_database import DAY, PROJECT, WEEK
from small_database import NOW

from llamaagent.report.paths import page_path
from llamaagent.report.times import format_instant, iso
from llamaagent.store.connect import open_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apsw import Connection

ALPHA = page_path("alpha")
Rows = list[list[str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build_site(str(tmp_path_factory.mktemp("rich")), rich_database.fill)


@pytest.fixture
def db(site: Built) -> Iterator[Connection]:
    connection = open_database(site.database, write=False)
    yield connection
    connection.close()


def plain(markup: str) -> str:
    """What a reader sees of it."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def section(site: Built, path: str, key: str) -> str:
    """The markup of one section of a page."""
    found = re.search(rf'<section aria-labelledby="{key}">.*?</section>', site.read(path), re.DOTALL)
    assert found is not None, key
    return found[0]


def cells(markup: str) -> Rows:
    """The rows of its tables without their heads."""
    rows = re.findall(
        r"<tr>(.*?)</tr>", re.sub(r"<thead>.*?</thead>", "", markup, flags=re.DOTALL), re.DOTALL
    )
    return [
        [plain(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows
    ]


def when(ts: int, *, seconds: bool = False) -> str:
    return format_instant(ts, ZONE, NOW, seconds=seconds)


def caption(site: Built, path: str, title: str) -> str:
    """The words under a chart."""
    found = re.search(rf"<h3>{title}</h3>.*?<figcaption>\s*<p>(.*?)</p>", site.read(path), re.DOTALL)
    assert found is not None, title
    return plain(found[1])


def test_last_words_stand_under_each_end(site: Built, db: Connection) -> None:
    text = section(site, ALPHA, "tails")

    rows = list(db.execute("SELECT instance_id, ts, lines FROM log_tails ORDER BY instance_id DESC"))
    assert len(rows) == 2
    shown = re.findall(r"<summary>(.*?)</summary>.*?<pre><code>(.*?)</code></pre>", text, re.DOTALL)
    assert [(plain(head), unescape(lines)) for head, lines in shown] == [
        (f"What launch {launch} wrote before its end, {when(ts)}", lines) for launch, ts, lines in rows
    ]
    assert "<abort>" not in text


def test_the_configuration_has_its_history_in_git(site: Built, db: Connection) -> None:
    rows = cells(section(site, ALPHA, "configuration"))

    query = "SELECT first_seen_ts, git_commit, git_dirty, applied_ts FROM profile_revisions ORDER BY id DESC"
    assert [row[:2] for row in rows] == [
        [when(first), commit[:10] + (" + changes" if dirty else "")]
        for first, commit, dirty, _ in db.execute(query)
    ]
    applied = [ts for *_, ts in db.execute(query)]
    assert [row[2] for row in rows] == [when(applied[0]), f"{when(applied[1])} refused", when(applied[2])]
    assert (
        rows[0][3]
        == "args.temp 0.7 \N{RIGHTWARDS ARROW} \N{EN DASH} labels.owner \N{EN DASH} \N{RIGHTWARDS ARROW} ann"
    )
    assert rows[1][3] == "args.ctx-size 2048 \N{RIGHTWARDS ARROW} 4096 the server ended at once"
    assert rows[2][3] == "\N{EN DASH}"


def test_health_is_told_answer_by_answer(site: Built, db: Connection) -> None:
    query = "SELECT ts, last_ts, status, http_status, count, latency_ms, detail FROM health_checks ORDER BY ts DESC"

    assert cells(section(site, ALPHA, "health")) == [
        [
            when(ts, seconds=True),
            when(last, seconds=True),
            f"{status}, HTTP {http}",
            str(count),
            f"{took} ms",
            detail or "\N{EN DASH}",
        ]
        for ts, last, status, http, count, took, detail in db.execute(query)
    ]


def gib(mib: int | None) -> str:
    return "\N{EN DASH}" if mib is None else f"{mib / 1024:.2f}".rstrip("0").rstrip(".") + " GiB"


def test_memory_is_estimated_beside_measured(site: Built, db: Connection) -> None:
    query = (
        "SELECT coalesce(gpu_name, gpu), build, estimated_mib, peak_mib, oom_mib, n, last_ts"
        " FROM memory_observations ORDER BY last_ts DESC"
    )
    rows = cells(section(site, ALPHA, "memory"))

    assert rows == [
        [gpu, build, gib(estimated), gib(peak), gib(oom), str(n), when(ts)]
        for gpu, build, estimated, peak, oom, n, ts in db.execute(query)
    ]
    assert [row[:6] for row in cells(section(site, "models.html", "measured"))] == [
        ["alpha", row[0], row[1], row[2], row[3], row[5]] for row in rows
    ]


def test_what_was_declared_and_estimated_are_lines_on_the_chart_of_memory(
    site: Built, db: Connection
) -> None:
    page = site.read(ALPHA)
    chart = page[page.index("<h3>GPU memory</h3>") :].partition("</figure>")[0]

    limits = re.findall(r'<line class="limit"[^>]*>', chart)
    labels = re.findall(r"(declared|estimated) ([\d.]+ GiB)", plain(chart))
    query = "SELECT gpu_memory_declared_mib, gpu_memory_estimated_mib, gpu_memory_measured_mib FROM instances"
    declared, estimated, measured = db.execute(f"{query} ORDER BY id DESC LIMIT 1").get
    assert set(labels) == {("declared", gib(declared)), ("estimated", gib(estimated))}
    assert len(limits) == 2
    facts = plain(section(site, ALPHA, "identity"))
    assert f"GPU memory declared {gib(declared)} GPU memory estimated {gib(estimated)}" in facts
    assert f"GPU memory measured, peak {gib(measured)}" in facts


def card_page(site: Built) -> str:
    return next(path for path in site.pages() if path.startswith("gpus/"))


def test_the_energy_of_a_card_is_that_of_its_roll_ups(site: Built, db: Connection) -> None:
    facts = plain(section(site, card_page(site), "card"))

    for words, size, span in (("in the last 24 hours", 300, DAY), ("in the last 31 days", 3600, 31 * DAY)):
        end = NOW // size * size
        watt_hours = db.execute(
            "SELECT sum(1.0 * power_mw_sum / power_mw_n / 1000 * covered_s / 3600) FROM gpu_rollups"
            " WHERE resolution_s = ? AND ts >= ? AND ts < ?",
            (size, end - span, end),
        ).get
        assert watt_hours > 4000
        shown = re.search(rf"Energy {words} ([\d.]+) kWh", facts)
        assert shown is not None
        assert float(shown[1]) == pytest.approx(watt_hours / 1000, rel=0.006)


def test_what_the_driver_reported_stands_on_the_cards_page(site: Built, db: Connection) -> None:
    query = "SELECT ts, xid, message FROM gpu_xids ORDER BY id DESC"

    assert cells(section(site, card_page(site), "xids")) == [
        [when(ts, seconds=True), str(xid), message] for ts, xid, message in db.execute(query)
    ]


def test_limits_stand_beside_their_use(site: Built, db: Connection) -> None:
    rows = {row[1]: row for row in cells(section(site, "projects.html", "limits"))}

    counted = "SELECT sum(total_tokens) FROM generations WHERE project = ? AND ts > ?"
    tokens = db.execute(counted, (PROJECT, NOW - DAY)).get
    assert rows["tokens"][2:6] == [f"{tokens:,}", "10k/day", f"{tokens / 100:.3g}%", f"alpha {tokens:,}"]
    held = NOW - 3610
    assert rows["GPU-hours"][2:4] == [f"{(NOW - held) / 3600:.2f}".rstrip("0").rstrip("."), "2/week"]
    drawn = db.execute(
        "SELECT sum(g.power_mw * coalesce(s.interval_s, 0)) / 3600000.0 FROM gpu_samples AS g"
        " JOIN system_samples AS s ON s.ts = g.ts WHERE s.ts > ?",
        (NOW - WEEK,),
    ).get
    kwh = rows["kWh"]
    assert float(kwh[2]) == pytest.approx(drawn / 1000, abs=0.006)
    assert kwh[3] == "0.04/week"
    assert re.fullmatch(r"1\d\d% used up", kwh[4])
    assert "used up" not in rows["tokens"][4]
    assert rows["GPUs"][3] == "4"
    assert rows["GPUs"][6] == "set by ann: the demo on Monday"


def test_what_people_did_is_in_the_journal(site: Built, db: Connection) -> None:
    query = (
        "SELECT a.ts, u.username, a.action, a.resource_type || ' ' || a.resource_id FROM audit_log AS a"
        " JOIN users AS u ON u.id = a.user_id ORDER BY a.ts DESC"
    )

    assert cells(section(site, "journal.html", "people")) == [
        [when(ts), *rest] for ts, *rest in db.execute(query)
    ]


def test_the_day_is_told_beside_the_day_before(site: Built, db: Connection) -> None:
    counted = "SELECT count(*), sum(generated_tokens) FROM generations WHERE ts >= ? AND ts < ?"
    today, before = (db.execute(counted, (NOW - n * DAY, NOW - (n - 1) * DAY)).get for n in (1, 2))

    text = plain(section(site, "index.html", "day"))

    for name, now, then in zip(("Requests", "Tokens generated"), today, before, strict=True):
        share = 100 * (now - then) / then
        assert f"{name} {now:,} {share:,.0f}% more than the day before" in text
    assert (today[0], before[0]) == (10, 4)


def test_captions_of_a_week_say_what_rises_and_falls(site: Built) -> None:
    assert caption(site, "week/system.html", "Processor").endswith(", rising.")
    assert re.search(r"latest [\d.]+ .C, falling\.", caption(site, f"week/{card_page(site)}", "Temperature"))
    assert "rising" not in caption(site, f"week/{card_page(site)}", "Power")
    assert "rising" not in caption(site, "system.html", "Processor")


def test_instants_have_their_exact_time(site: Built, db: Connection) -> None:
    page = site.read("models.html")

    (used,) = (row[0] for row in db.execute("SELECT last_used_ts FROM model_files"))
    assert f'<time datetime="{iso(used, ZONE)}">{when(used)}</time>' in page
