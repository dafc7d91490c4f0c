"""The site as a whole: its periods, days that are kept, one file, a part of it, the user's own pages, its feeds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
import small_database
from report_sites import ROOT, Built, build_again, build_site
from small_database import NOW, add_launch, add_revision, add_samples, insert
from test_report_pages import Page, check_form

from llamaagent.base.clock import ManualClock
from llamaagent.base.errors import ConfigError
from llamaagent.domain.settings import Settings
from llamaagent.report import idle
from llamaagent.report.build import build
from llamaagent.report.child import child_argv
from llamaagent.report.choices import Choices
from llamaagent.report.scope import Scope
from llamaagent.report.times import find_zone
from llamaagent.retain.simulate import Plan, simulate
from llamaagent.store.connect import open_database

if TYPE_CHECKING:
    from pathlib import Path

    from apsw import Connection

PLAIN = Choices(pictures="none", keep_s=0)
DAY_S = 86400


def stamps(directory: str) -> dict[str, int]:
    """When each file that a reader can see was written."""
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            if not name.startswith("."):
                found[os.path.relpath(path, directory)] = os.stat(path).st_mtime_ns
    return found


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The site of four hundred simulated days, with a pass every ten minutes; not to be changed."""
    folder = str(tmp_path_factory.mktemp("year"))
    database, directory = os.path.join(folder, "a.db"), os.path.join(folder, "site")
    db = open_database(database)
    simulate(db, Plan(400, 2, 1), Settings(interval_s=600), ManualClock(NOW), lambda _day: None)
    db.close()
    return Built(database, directory, build_again(database, directory, NOW, choices=PLAIN))


def test_a_year_has_pages_of_a_week_a_month_and_a_year(year: Built) -> None:
    tails = ["gpus/0.html", "profiles/sim-00.html", "profiles/sim-01.html", "requests.html", "system.html"]
    for period in ("week", "month", "year"):
        assert [path for path in year.pages() if path.startswith(f"{period}/")] == [
            f"{period}/{t}" for t in tails
        ]
    check_form(year)
    page = year.read("year/profiles/sim-00.html")
    assert 'aria-current="page">Year</a>' in page
    assert "The last 366 days" in page
    (data,) = re.findall(r"<h3>Memory</h3>.*?<path class=\"s0\" d=\"([^\"]*)\"", page, re.DOTALL)[:1]
    assert len(re.findall(r"-?\d+ ?-?\d+", data)) > 100  # a point for a day, level steps joined
    assert "by month" in page


def test_a_young_site_has_no_longer_pages(tmp_path: Path) -> None:
    def fill(db: Connection) -> None:
        with db:
            insert(db, "gpus", id=1, uuid="GPU-1", first_seen_ts=NOW, last_seen_ts=NOW)
            add_revision(db, "alpha")
            add_samples(db, add_launch(db, "alpha"))

    site = build_site(str(tmp_path), fill, choices=PLAIN)

    assert not [path for path in site.pages() if path.startswith(("week/", "month/", "year/"))]
    assert 'aria-label="Length of time"' not in site.read("system.html")


def test_long_pages_are_written_at_their_own_pace(year: Built, tmp_path: Path) -> None:
    """A week every 20 minutes, a month every 2 hours, a year every day; nothing in between, whatever happens."""
    directory = str(tmp_path / "site")
    start = NOW // DAY_S * DAY_S - 10 * DAY_S
    build_again(year.database, directory, start, choices=PLAIN)

    def changed(now: int) -> set[str]:
        before = stamps(directory)
        build_again(year.database, directory, now, choices=PLAIN)
        return {path for path, at in stamps(directory).items() if at != before.get(path)}

    def periods(paths: set[str]) -> set[str]:
        return {path.partition("/")[0] for path in paths} & {"week", "month", "year"}

    soon = changed(start + 900)
    assert "system.html" in soon
    assert periods(soon) == set()
    assert periods(changed(start + 1300)) == {"week"}
    assert periods(changed(start + 7300)) == {"week", "month"}
    assert periods(changed(start + DAY_S + 10)) == {"week", "month", "year"}


def test_a_day_is_kept_with_the_first_build_of_the_next_and_goes_in_time(tmp_path: Path) -> None:
    choices = Choices(pictures="none", keep_s=3 * DAY_S)
    site = build_site(str(tmp_path), small_database.fill, choices=choices)
    assert [path for path in site.pages() if path.startswith("archive/")] == ["archive/2026-11-20.html"]
    kept = site.read("archive/2026-11-20.html")
    assert "<h1>Fri 20 Nov 2026</h1>" in kept
    assert re.search(r"as they were at <time [^>]*>Sat 21 Nov 11:30</time>, when this page was written", kept)
    assert '<a href="archive/2026-11-20.html">Fri 20 Nov 2026</a>' in site.read("archive.html")

    build_again(site.database, site.directory, NOW + 3600, choices=choices)
    assert site.read("archive/2026-11-20.html") == kept
    build_again(site.database, site.directory, NOW + DAY_S, choices=choices)
    build_again(site.database, site.directory, NOW + 3 * DAY_S, choices=choices)
    left = sorted(path for path in site.pages() if path.startswith("archive/"))
    assert left == ["archive/2026-11-21.html", "archive/2026-11-23.html"]


def test_one_file_holds_every_page_and_needs_nothing(demo_site: Built, tmp_path: Path) -> None:
    path = str(tmp_path / "one.html")
    argv = child_argv(
        demo_site.database, str(tmp_path / "none"), public=False, title="demo", zone="Europe/Berlin", now=1_795_257_000,
        choices=Choices(pictures="none", single_file=path),
    )  # fmt: skip
    done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))}, check=False,
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "none").exists()
    assert os.stat(path).st_mode & 0o777 == 0o600
    with open(path, encoding="utf-8") as file:
        page = Page(file.read())
    assert page.faults == []
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    links = [link for link in page.values("href") if not link.startswith("data:")]
    assert {link for link in links if not link.startswith("#")} == set()
    assert {link[1:] for link in links} <= set(ids)
    assert sum(tag == "h1" for tag, _ in page.tags) == 1
    assert sum(attrs.get("class") == "plot" for tag, attrs in page.tags if tag == "svg") > 30
    names = {attrs.get("class", "") for tag, attrs in page.tags if tag == "div"}
    assert "sheet" in names


def test_a_part_of_the_site_shows_that_part_only(demo_site: Built, tmp_path: Path) -> None:
    choices = PLAIN._replace(scope=Scope(project="research"))
    directory = str(tmp_path / "site")
    build_again(demo_site.database, directory, 1_795_257_000, choices=choices)

    site = demo_site._replace(directory=directory)
    assert [path for path in site.pages() if path.startswith("profiles/")] == [
        "profiles/gemma-3-27b.html", "profiles/llama-3.3-70b.html",
    ]  # fmt: skip
    assert "qwen3-8b" not in site.read("status.json")
    tops = [path for path in site.pages() if "/" not in path]
    assert tops == ["archive.html", "index.html", "projects.html", "system.html"]
    assert "gemma-3-27b" in site.read("projects.html")
    assert "qwen3-8b" not in site.read("projects.html")
    assert not [path for path in site.pages() if path.startswith("archive/")]


def test_another_span_is_drawn_from_end_to_end(demo_site: Built, tmp_path: Path) -> None:
    scope = Scope(since_ts=1_795_257_000 - 4 * 3600, until_ts=1_795_257_000 - 2 * 3600)
    directory = str(tmp_path / "site")
    build_again(demo_site.database, directory, 1_795_257_000, choices=PLAIN._replace(scope=scope))

    page = demo_site._replace(directory=directory).read("system.html")
    assert "Line chart of processor in %, Sat 21 Nov 07:30 to Sat 21 Nov 09:30 CET." in page


OWN_SQL = """-- page: Night shift
-- name: busy
SELECT profile, count(*) AS requests FROM v_generations WHERE ts >= :month_ts AND ts < :to_ts GROUP BY 1 ORDER BY 1;
"""
OWN_HTML = """{% extends "base.html" %}
{% block main %}<h1>Night shift</h1>
{% for row in data.busy %}<p>{{ parts.profile_link(row.profile) }}: {{ row.requests | count }}</p>{% endfor %}
{{ parts.board("night", "", section.charts) }}{% endblock %}
"""
OWN_CHARTS = """
[[source]]
page = "night"
statement = "night.load"
columns = ["load"]
[[chart]]
page = "night"
slug = "load"
title = "Load at night"
unit = ""
series = [{ column = "load", name = "load" }]
"""


def own_folder(tmp_path: Path, sql: str = OWN_SQL) -> str:
    folder = tmp_path / "own"
    folder.mkdir(exist_ok=True)
    (folder / "night.sql").write_text(sql)
    (folder / "night.html").write_text(OWN_HTML)
    return str(folder)


def test_a_user_adds_a_page_with_a_file_of_sql_and_a_template(tmp_path: Path) -> None:
    sql = OWN_SQL + (
        "-- name: load\nSELECT '' AS subject, CAST(avg(ts) AS INTEGER),\n"
        "       avg(load_1min), min(load_1min), max(load_1min)\n"
        "FROM v_report_system AS s WHERE s.ts >= :from_ts AND s.ts < :to_ts GROUP BY s.ts / :bucket_s ORDER BY 2;\n"
    )
    templates = own_folder(tmp_path, sql)
    (tmp_path / "own" / "charts.toml").write_text(OWN_CHARTS)
    site = build_site(str(tmp_path), small_database.fill, choices=PLAIN._replace(templates=templates))

    page = site.read("night.html")
    assert '<p><a href="profiles/alpha.html">alpha</a>: 10</p>' in page
    assert "Line chart of load at night" in page
    assert '<a href="night.html">Night shift</a>' in site.read("index.html")
    check_form(site)


def test_the_example_of_an_own_page_works(demo_site: Built, tmp_path: Path) -> None:
    choices = PLAIN._replace(templates=os.path.join(ROOT, "examples", "report"))
    directory = str(tmp_path / "site")
    result = build_again(demo_site.database, directory, 1_795_257_000, choices=choices)

    page = demo_site._replace(directory=directory).read("speed.html")
    assert result.failed == ()
    assert '<svg class="plot"' in page
    assert re.search(r'qwen3-8b</a></th><td>b6730-c0ffee1</td><td class="num">[\d,]+</td>', page)
    assert Page(page).faults == []


def test_an_own_page_that_fails_costs_that_page_and_cannot_write(tmp_path: Path) -> None:
    sql = "-- page: Night\n-- name: busy\nDELETE FROM instances;\n"
    choices = PLAIN._replace(templates=own_folder(tmp_path, sql))
    site = build_site(str(tmp_path), small_database.fill, choices=choices)

    assert "This page could not be made (ReadOnlyError: attempt to write a readonly database)." in site.read(
        "night.html"
    )
    assert site.result.failed == (("night", "ReadOnlyError: attempt to write a readonly database"),)
    assert "alpha" in site.read("index.html")


def test_an_own_template_with_a_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    templates = own_folder(tmp_path)
    (tmp_path / "own" / "night.html").write_text(
        '{% extends "base.html" %}\n{% block main %}{{ data.nothing }}'
    )
    site = build_site(str(tmp_path), small_database.fill, choices=PLAIN._replace(templates=templates))
    assert [name for name, _ in site.result.failed] == ["night"]
    assert "This page could not be made (" in site.read("night.html")

    (tmp_path / "own" / "system.html").write_text('{% extends "base.html" %}\n{% block main %}\n{% endfor %}')
    with pytest.raises(ConfigError, match=r"^reports\.templates: system\.html:3: "):
        build_again(site.database, site.directory, choices=PLAIN._replace(templates=templates))


def test_style_sheet_logo_links_and_sections_are_the_owners(tmp_path: Path) -> None:
    templates = tmp_path / "own"
    templates.mkdir()
    (templates / "style.css").write_text("body { color: teal; }")
    logo = tmp_path / "Logo.SVG"
    logo.write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    choices = PLAIN._replace(
        templates=str(templates), logo=str(logo), links=(("Wiki <b>", "https://wiki.example.org/?a&b"),),
        sections=("care", "system"),
    )  # fmt: skip
    site = build_site(str(tmp_path), small_database.fill, choices=choices)

    page = site.read("index.html")
    assert re.search(r'<img class="logo" src="assets/logo-[0-9a-f-]+\.svg" alt="" height="28">', page)
    assert '<a href="https://wiki.example.org/?a&amp;b">Wiki &lt;b&gt;</a>' in page
    (style,) = re.findall(r'<link rel="stylesheet" href="([^"]+)">', page)
    assert site.read(style) == "body { color: teal; }"
    tops = [path for path in site.pages() if "/" not in path]
    assert tops == ["archive.html", "care.html", "index.html", "system.html"]
    assert not os.path.exists(os.path.join(site.directory, "gpus"))


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"sections": ("care", "nonsense")}, "no page is named 'nonsense'"),
        ({"logo": "/nowhere.png"}, "/nowhere.png cannot be read"),
        ({"templates": "/nowhere"}, "/nowhere cannot be read"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_by_its_key(
    tmp_path: Path, choices: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        build_site(str(tmp_path), small_database.fill, choices=PLAIN._replace(**choices))

    assert str(caught.value).startswith("reports.")


def test_programs_read_status_feed_and_metrics(small_site: Built) -> None:
    status = json.loads(small_site.read("status.json"))
    assert (status["schema"], status["title"], status["state"], status["time"]) == (
        1,
        "test site",
        "warn",
        NOW,
    )
    assert [(one["profile"], one["status"], one["page"]) for one in status["profiles"]] == [
        ("alpha", "running", "profiles/alpha.html"), ("beta", "created", "profiles/beta.html"),
    ]  # fmt: skip
    assert status["day"]["requests"] == 10

    feed = ET.fromstring(small_site.read("feed.atom"))
    atom = "{http://www.w3.org/2005/Atom}"
    entries = feed.findall(f"{atom}entry")
    assert {entry.findtext(f"{atom}title") for entry in entries} >= {"alpha ended by itself"}
    ids = [entry.findtext(f"{atom}id") for entry in entries]
    assert len(ids) == len(set(ids))

    lines = small_site.read("metrics.prom").splitlines()
    assert 'llamaagent_report_profile_up{profile="alpha"} 1' in lines
    assert all(
        line.startswith(("# HELP llamaagent_report_", "# TYPE ", "llamaagent_report_")) for line in lines
    )


@pytest.mark.parametrize(("every_s", "told"), [(None, None), (30, 60), (300, 300)])
def test_the_status_tells_how_often_it_is_written(
    tmp_path: Path, every_s: int | None, told: int | None
) -> None:
    """Where passes come less often than reports are due, it is what they allow."""
    site = build_site(str(tmp_path), small_database.fill, choices=PLAIN._replace(every_s=every_s))

    assert json.loads(site.read("status.json"))["interval_s"] == told


def test_hostile_names_leave_feeds_well_formed(tmp_path: Path) -> None:
    nasty = '<a>&"\\\n\x00\ud800'.encode("utf-8", "replace").decode()

    def fill(db: Connection) -> None:
        with db:
            add_revision(db, nasty)
            add_launch(db, nasty, "error", reason="crash", detail=nasty, ended_ts=NOW - 60)
            insert(
                db, "decisions", ts=NOW - 50, last_ts=NOW - 50, profile=nasty, action="give_up", detail=nasty
            )

    site = build_site(str(tmp_path), fill, choices=PLAIN)

    assert ET.fromstring(site.read("feed.atom")).tag.endswith("feed")
    assert json.loads(site.read("status.json"))["profiles"][0]["profile"] == nasty
    assert all(
        line.startswith(("#", "llamaagent_report_")) for line in site.read("metrics.prom").splitlines()
    )


def test_nothing_new_is_seen_before_anything_is_loaded(small_site: Built, tmp_path: Path) -> None:
    """The second build loads neither SQLite nor the templates' engine, and writes nothing."""
    out = str(tmp_path / "site")
    argv = child_argv(small_site.database, out, public=True, zone="UTC", now=NOW, choices=PLAIN)
    env = {**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))}
    first = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=True)
    before = stamps(out)
    code = (
        "import sys; from llamaagent.report.child import main; main(); print(*sys.modules, file=sys.stderr)"
    )

    again = subprocess.run([sys.executable, "-c", code, *argv[4:]], env=env, capture_output=True, text=True, timeout=60,
                           check=True)  # fmt: skip

    assert json.loads(first.stdout)["written"] > 5
    assert json.loads(again.stdout) == json.loads(first.stdout) | {"written": 0, "drawn": 0, "seconds": 0.0}
    assert not {"apsw", "jinja2", "json", "re", "typing", "argparse"} & set(again.stderr.split())
    assert stamps(out) == before
    os.utime(small_site.database)
    assert idle.told_before(out, idle.see(argv[4:], NOW) or "") is None


def test_a_picture_is_drawn_again_when_its_time_has_come(tmp_path: Path) -> None:
    site = build_site(str(tmp_path), small_database.fill, choices=Choices(keep_s=0))
    picture = os.path.join(site.directory, "charts/system/cpu-day.png")
    first = os.stat(picture).st_mtime_ns

    def at(now: int, mode: str) -> int:
        build_again(site.database, site.directory, now, choices=Choices(pictures=mode, keep_s=0))
        return os.stat(picture).st_mtime_ns

    assert at(NOW + 600, "due") == first
    assert at(NOW + 900, "none") == first
    later = at(NOW + 1900, "due")
    assert later > first
    assert at(NOW + 2500, "all") > later


def test_pictures_link_both_sizes_and_the_data(small_site: Built) -> None:
    page = small_site.read("system.html")
    for ending in (".png", "@2x.png", ".csv"):
        assert f'href="charts/system/cpu-day{ending}"' in page
        assert os.path.getsize(os.path.join(small_site.directory, f"charts/system/cpu-day{ending}")) > 100


def test_an_odd_folder_for_caches_is_no_obstacle(tmp_path: Path) -> None:
    site = build_site(str(tmp_path), small_database.fill, choices=PLAIN)
    (tmp_path / "file").write_text("")

    result = build(
        site.database, str(tmp_path / "two"), clock=ManualClock(NOW), zone=find_zone("UTC"), public=False,
        cache_directory=str(tmp_path / "file" / "x"), choices=PLAIN,
    )  # fmt: skip

    assert result.pages == len(site.pages())
