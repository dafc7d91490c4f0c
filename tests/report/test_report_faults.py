"""What is wrong costs itself: a template, a chart or a figure of the user's is named by file and line, ours stand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import small_database
from report_sites import ZONE, build_again, build_site
from small_database import NOW, insert
from test_report_pages import check_form
from test_report_sites import OWN_CHARTS, OWN_HTML, OWN_SQL, PLAIN

from llamaagent.base.errors import ConfigError
from llamaagent.report.charts import Chart, Point, Series
from llamaagent.report.child import child_argv
from llamaagent.report.drawings import Drawings

if TYPE_CHECKING:
    from pathlib import Path

    from apsw import Connection

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
LOAD = (
    "-- name: load\nSELECT '' AS subject, CAST(avg(ts) AS INTEGER), avg(load_1min), min(load_1min), max(load_1min)\n"
    "FROM v_report_system AS s WHERE s.ts >= :from_ts AND s.ts < :to_ts GROUP BY s.ts / :bucket_s ORDER BY 2;\n"
)
EXTREME = [f"SELECT '', :from_ts + {at}, {mean}, 0, 1.7e308" for at, mean in ((600, 1e308), (900, 1.7e308))]


def own(folder: Path, **files: str | bytes) -> str:
    """A folder of the user's; names are given with _ for the dot."""
    made = folder / "own"
    made.mkdir(exist_ok=True)
    for name, content in files.items():
        path = made / name.replace("_", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(made)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"profile_html": "<p>\n{{ 1/0 }}"}, "profile.html:2: ZeroDivisionError: division by zero"),
        ({"system_html": "{{ report.window.nothing }}"}, "system.html:1: "),
        ({"index_html": "\n\n{{ [1].nothing() }}"}, "index.html:3: "),
        ({"gpu_html": "{{ 'x' | count }}"}, "gpu.html:1: ValueError: "),
        ({"long_html": "{% macro m() %}{{ m() }}{% endmacro %}\n{{ m() }}"}, "long.html:1: RecursionError: "),
        (
            {"archive_html": "{% include 'sub.html' %}", "sub_html": "\n{{ 5 + 'x' }}"},
            "sub.html:2: TypeError: ",
        ),
        ({"base_html": b"\xff"}, ".html: UnicodeDecodeError: "),
        ({"parts_html": "{% macro other() %}{% endmacro %}"}, ".html"),
        ({"system_html": "{% nonsense %}"}, "system.html:1: Encountered unknown tag 'nonsense'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_template_in_place_of_ours_is_named_by_its_line(
    tmp_path: Path, files: dict[str, str | bytes], words: str
) -> None:
    site = build_site(str(tmp_path), small_database.fill, choices=PLAIN)
    before = site.read("index.html")
    templates = own(tmp_path, **files)

    with pytest.raises(ConfigError) as caught:
        build_again(site.database, site.directory, choices=PLAIN._replace(templates=templates))

    told = str(caught.value)
    assert told.startswith("reports.templates: ")
    assert words in told
    assert "\n" not in told
    assert site.read("index.html") == before


def test_a_page_of_the_users_that_fails_says_where(tmp_path: Path) -> None:
    html = '{% extends "base.html" %}\n{% block main %}\n{{ 1/0 }}{% endblock %}'
    site = build_site(
        str(tmp_path),
        small_database.fill,
        choices=PLAIN._replace(templates=own(tmp_path, night_sql=OWN_SQL, night_html=html)),
    )
    text = "reports.templates: night.html:3: ZeroDivisionError: division by zero"
    assert site.result.failed == (("night", text),)
    assert f"This page could not be made ({text})." in site.read("night.html")
    check_form(site)


def test_a_style_sheet_that_is_no_text_is_the_users_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"style\.css cannot be read: it is not UTF-8"):
        build_site(
            str(tmp_path),
            small_database.fill,
            choices=PLAIN._replace(templates=own(tmp_path, style_css=b"\xff")),
        )


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("night.load", "night.lode", "no statement is named 'night.lode'"),
        ('"night.load"', "5", "[[source]] 1: statement is no text"),
        ('columns = ["load"]', 'columns = "load"', "[[source]] 1: columns is no list of names"),
        ('columns = ["load"]', "columns = []", "[[source]] 1: columns is no list of names"),
        ('slug = "load"', "", "[[chart]] 1: slug is missing"),
        ('slug = "load"', 'slug = "../../x"', "[[chart]] 1: slug '../../x' is not made of"),
        ('title = "Load at night"', "title = 5", "[[chart]] 1: title is no text"),
        ('unit = ""', 'unit = ""\ntop = "x"', "[[chart]] 1: top is no number"),
        ('unit = ""', 'unit = ""\nlimit = "x"', "[[chart]] 1: limit is no list of tables"),
        ('unit = ""', 'unit = ""\nstack = {split = "a"}', "[[chart]] 1: whole is missing"),
        ("series = [", "series = [5, ", "[[chart]] 1: series is no list of tables"),
        ('name = "load" }', 'name = "load", style = "wavy" }', "[[chart]] 1: style 'wavy' is none of line, dots"),
        ("[[source]]", "[source]", "source is no list of tables"),
        ("[[chart]]", "[[charts]]", "'charts' is neither [[source]] nor [[chart]]"),
        ("[[chart]]", "[[chart]", "(at line "),
        ('page = "night"\nstatement', 'page = "nihgt"\nstatement', "no page is named 'nihgt'"),
        ("title", "\udcff", "cannot be read: it is not UTF-8"),
    ],
)  # fmt: skip
def test_a_fault_in_the_users_charts_is_a_fault_of_the_settings(
    tmp_path: Path, before: str, after: str, words: str
) -> None:
    assert before in OWN_CHARTS
    charts = OWN_CHARTS.replace(before, after, 1).encode("utf-8", "surrogateescape")
    templates = own(tmp_path, night_sql=OWN_SQL + LOAD, night_html=OWN_HTML, charts_toml=charts)

    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        build_site(str(tmp_path), small_database.fill, choices=PLAIN._replace(templates=templates))

    assert str(caught.value).startswith(os.path.join(templates, "charts.toml"))


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ("no_such", "no such column: no_such"),
        ("1", "gives 3 columns, not 5: subject, time, then mean, lowest and highest of load"),
        ("'a', 'b', 'c'", "('a', 'b', 'c') are no three figures"),
        ("1, NULL, 2", "(1, None, 2) are no three figures"),
    ],
)
@pytest.mark.parametrize("page", ["night", "system"])
def test_a_statement_that_gives_no_figures_is_named(
    tmp_path: Path, page: str, figures: str, words: str
) -> None:
    """On a page of the user's it costs that page; on one of ours it would spoil what is ours."""
    sql = OWN_SQL + f"-- name: load\nSELECT '', :from_ts + 5, {figures};\n"
    charts = OWN_CHARTS.replace('page = "night"', f'page = "{page}"')
    templates = own(tmp_path, night_sql=sql, night_html=OWN_HTML, charts_toml=charts)
    choices = PLAIN._replace(templates=templates)
    if page == "night":
        site = build_site(str(tmp_path), small_database.fill, choices=choices)
        ((name, text),) = site.result.failed
        assert (name, words in text) == ("night", True)
        assert "alpha" in site.read("index.html")
        return
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        build_site(str(tmp_path), small_database.fill, choices=choices)
    assert str(caught.value).startswith(os.path.join(templates, "charts.toml"))


def test_a_figure_that_is_not_finite_is_left_out(tmp_path: Path) -> None:
    """A request of no time at all has a speed of infinity; the others are drawn as if it were not there."""

    def fill(db: Connection) -> None:
        small_database.fill(db)
        with db:
            row = {"instance_id": 1, "profile": "alpha", "generated_tokens": 5, "finish_reason": "stop"}
            names = ("total_time_ms", "prompt_tokens_per_second", "tokens_per_second", "prompt_time_ms")
            for number, value in enumerate((float("inf"), float("-inf"), 1.7e308)):
                insert(db, "generations", ts=NOW - 900 + number, **row, **dict.fromkeys(names, value))

    site = build_site(str(tmp_path), fill, choices=PLAIN)

    assert site.result.failed == ()
    check_form(site)
    text = site.read("profiles/alpha.html")
    assert not re.search(r"\b(inf|nan|Infinity)\b", re.sub(r"<details>.*?</details>", "", text))
    assert json.loads(site.read("status.json"), parse_constant=pytest.fail)
    assert not re.search(r" (inf|nan)$", site.read("metrics.prom"), re.MULTILINE)


def test_a_chart_that_cannot_be_drawn_costs_itself(tmp_path: Path) -> None:
    failed: dict[str, str] = {}
    drawings = Drawings(ZONE, failed)
    drawings.page = "profiles/a.html"
    named = drawings.named()
    points = (Point(NOW, 1.0, 1.0, 1.0),)
    chart = Chart("load", "Load", "", NOW - 60, NOW + 60, (Series("load", 0, points),), (), (), (), 0.0, 0.0)

    assert (
        named["svg"](chart) == "<p>This could not be drawn (ZeroDivisionError: float division by zero).</p>"
    )
    assert failed == {"profiles/a.html#load": "ZeroDivisionError: float division by zero"}
    assert named["svg"](chart._replace(top=1.0, tick=1.0)).startswith("<svg")


def test_a_chart_of_the_page_that_cannot_be_drawn_is_told_and_tried_again(tmp_path: Path) -> None:
    """Figures at the far end of what a number can be, whose sum is beyond it."""
    sql = f"{OWN_SQL}-- name: load\n{' UNION ALL '.join(EXTREME)};\n"
    templates = own(tmp_path, night_sql=sql, night_html=OWN_HTML, charts_toml=OWN_CHARTS)
    choices = PLAIN._replace(templates=templates)
    site = build_site(str(tmp_path), small_database.fill, choices=choices)

    text = "OverflowError: cannot convert float infinity to integer"
    assert site.result.failed == (("night.html#load", text),)
    assert not site.result.complete
    assert f"<p>This could not be drawn ({text}).</p>" in site.read("night.html")
    assert "Load at night by hour" in site.read("night.html")
    check_form(site)
    assert build_again(site.database, site.directory, choices=choices).failed == site.result.failed
    single = build_again(
        site.database, site.directory, choices=choices._replace(single_file=str(tmp_path / "one.html"))
    )
    assert single.failed == site.result.failed


def test_a_bug_is_said_to_be_one(tmp_path: Path) -> None:
    site = build_site(str(tmp_path), small_database.fill, choices=PLAIN)
    (tmp_path / "blocked" / "jinja2").mkdir(parents=True)
    (tmp_path / "blocked" / "jinja2" / "__init__.py").write_text("raise RuntimeError('not today')")
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{tmp_path}/blocked{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"}
    argv = child_argv(site.database, str(tmp_path / "out"), public=False, now=NOW, choices=PLAIN)

    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)

    assert (done.returncode, done.stdout) == (70, "")
    assert "RuntimeError: not today" in done.stderr
    assert done.stderr.endswith("report: this is a bug in llamaagent; the lines above say where\n")
