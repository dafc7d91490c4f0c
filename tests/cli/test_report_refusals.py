"""What `report build` refuses, by its exit status: odd options, faults of the owner's files, two builds at once."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from test_report_commands import Place

PAGE_SQL = "-- page: Night\n-- name: rows\nSELECT 1 AS one;\n"
PAGE_HTML = '{% extends "base.html" %}{% block main %}<h1>Night</h1>{{ data.rows[0].one }}{% endblock %}'
QUICK = ("report", "build", "--pictures", "none")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A site with two projects that has passed once; its report is not built in its own place."""
    folder = tmp_path_factory.mktemp("place")
    place = Place(folder, ", templates: own")
    (folder / "own").mkdir()
    (folder / "profiles" / "a.yaml").write_text(
        "name: alpha\nproject: research\nstate: stopped\nmodel: /m.gguf\n"
    )
    settings = folder / "llamaagent.yaml"
    settings.write_text(settings.read_text() + "projects: {teaching: {instances: 2}}\n")
    assert place.run("run", "--once").returncode == 0
    return place


def test_one_place_or_the_other(made: Place) -> None:
    done = made.run(*QUICK, "-o", "neither", "--single-file", "one.html")

    assert (done.returncode, done.stdout) == (2, "")
    assert "-o DIR and --single-file FILE: one of them" in done.stderr
    assert not (made.folder / "neither").exists()
    assert not (made.folder / "one.html").exists()


@pytest.mark.parametrize("how", ["site", "./own/../site/", "link", "absolute"])
def test_a_part_is_not_written_over_the_whole_by_another_name(made: Place, how: str) -> None:
    link = made.folder / "link"
    if not link.is_symlink():
        link.symlink_to("site")
    out = str(made.folder / "site") if how == "absolute" else how

    done = made.run(*QUICK, "--since", "2h", "-o", out)

    assert done.returncode == 2
    assert "a part of the site would take the place of all of it" in done.stderr
    assert not (made.folder / "site").exists()


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("nosuch", 2, "no project is named nosuch"),
        ("researc", 2, "did you mean research?"),
        ("teachingg", 2, "did you mean teaching?"),
        ("research", 0, ""),
        ("teaching", 0, ""),
        ("default", 0, ""),
    ],
)
def test_a_project_that_nobody_has_is_refused_as_a_profile_is(
    made: Place, name: str, code: int, words: str
) -> None:
    done = made.run(*QUICK, "--project", name, "-o", "part")

    assert done.returncode == code, done.stderr
    assert words in done.stderr


@pytest.mark.parametrize(
    ("name", "sql", "words"),
    [
        ("index", PAGE_SQL, "index.sql: index is a page of the report that no statements belong to"),
        ("base", PAGE_SQL, "base.sql: base is a page of the report"),
        ("gpus", PAGE_SQL, "gpus.sql: gpus is a page of the report"),
        ("My page", PAGE_SQL, "My page.sql: the name of a page is made of a-z, 0-9, _ and -"),
        ("n\u00e4chte", PAGE_SQL, "the name of a page is made of"),
        ("night", "-- page: N\n\n-- a remark\nSELECT 1;\n" + PAGE_SQL, "night.sql:4: a statement without a heading"),
        ("night", "-- page: Night\nSELECT 1;\n", "night.sql:2: a statement without a heading"),
        ("night", "-- page: Night\n/* one\ntwo */ SELECT 1;\n", "night.sql:3: a statement without a heading"),
        ("night", PAGE_SQL + "-- name: rows\nSELECT 2;\n", "night.sql:4: a second statement is named rows"),
        ("night", PAGE_SQL + "-- name: a b\nSELECT 2;\n", "night.sql:4: 'a b' is no name for a statement"),
        ("night", PAGE_SQL + "-- name: more\n-- later\n", "night.sql:4: no statement stands under this heading"),
        ("night", "-- page: N\n-- name: a\n-- name: b\nSELECT 1;\n", "night.sql:2: no statement stands under"),
        ("night", "SELECT 1;\n", "night.sql is not a page"),
    ],
)  # fmt: skip
def test_a_page_that_is_not_as_it_must_be_is_a_fault_of_the_settings(
    made: Place, name: str, sql: str, words: str
) -> None:
    files = made.folder / "own" / f"{name}.sql", made.folder / "own" / f"{name}.html"
    try:
        files[0].write_text(sql)
        files[1].write_text(PAGE_HTML)
        done = made.run(*QUICK, "-o", "out")
    finally:
        for file in files:
            file.unlink()

    assert (done.returncode, done.stdout) == (78, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_remarks_before_the_first_heading_and_our_own_keys_are_fine(made: Place) -> None:
    own = made.folder / "own"
    files = {"night-1.sql": "-- page: N\n/* what\nit is */\n\n-- and why\n" + PAGE_SQL, "night-1.html": PAGE_HTML,
             "models.sql": PAGE_SQL, "models.html": PAGE_HTML}  # fmt: skip
    try:
        for name, text in files.items():
            (own / name).write_text(text)
        done = made.run(*QUICK, "-o", "fine")
    finally:
        for name in files:
            (own / name).unlink()

    assert done.returncode == 0, done.stderr
    for name in ("night-1.html", "models.html"):
        assert "<h1>Night</h1>1" in (made.folder / "fine" / name).read_text()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("profile.html", "<p>\n{{ 1/0 }}", "profile.html:2: ZeroDivisionError: division by zero"),
        ("charts.toml", "[[source]]\npage = 'x'\n", "charts.toml: [[source]] 1: columns is missing"),
        ("charts.toml", "[[source\n", "charts.toml: "),
        ("charts.toml", "[[source]]\npage='system'\nstatement='no.such'\ncolumns=['a']\n", "no statement is named"),
    ],
)  # fmt: skip
def test_a_template_or_chart_of_the_owners_that_fails_is_one_line(
    made: Place, name: str, text: str, words: str
) -> None:
    path = made.folder / "own" / name
    try:
        path.write_text(text)
        done = made.run(*QUICK, "-o", "out")
    finally:
        path.unlink()

    assert (done.returncode, done.stdout) == (78, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_second_build_at_once_is_to_try_again(made: Place) -> None:
    (made.folder / "busy").mkdir()
    lock = os.open(made.folder / "busy" / ".llamaagent-report.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = made.run(*QUICK, "-o", "busy")
        assert (done.returncode, done.stdout) == (75, "")
        assert f"another report is being written to {Path(made.folder) / 'busy'}" in done.stderr
    finally:
        os.close(lock)
    assert made.run(*QUICK, "-o", "busy").returncode == 0
