"""The pages: golden, well formed, safe with hostile texts, complete in themselves."""

from __future__ import annotations

import difflib
import os
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest
import small_database
from report_sites import Built, build_again, build_site
from small_database import NOW, add_launch, add_revision, add_samples, insert

if TYPE_CHECKING:
    from pathlib import Path

    from apsw import Connection

GOLDEN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden", "report")
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}&amp;\x1b[31m\x00"


class Page(HTMLParser):
    """A page's tags, checked for balance while they are read."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        self.faults += [f"never closed: {tag}" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.faults.append(f"an attribute twice in {tag}")
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def values(self, *names: str) -> list[str]:
        """The values of these attributes, all tags."""
        return [value for _, attrs in self.tags for name, value in attrs.items() if name in names]


# RFC 3986: what may stand in a URL, and % before two hexadecimal digits only.
URL = re.compile(r"(?:[A-Za-z0-9._~:/?#@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2})+")


def every_page(site: Built) -> list[tuple[str, Page, str]]:
    return [(path, Page(site.read(path)), site.read(path)) for path in site.pages()]


def check_form(site: Built) -> None:
    """Tags balance, ids are unique, references resolve, tables and pictures are described."""
    for path, page, text in every_page(site):
        assert page.faults == [], path
        ids = page.values("id")
        assert len(ids) == len(set(ids)), path
        assert text.startswith('<!DOCTYPE html>\n<html lang="en">'), path
        for attribute in ("aria-labelledby",):
            assert set(page.values(attribute)) <= set(ids), path
        for tag, attrs in page.tags:
            assert tag != "th" or attrs["scope"] in {"row", "col", "colgroup"}, path
            assert tag != "svg" or attrs.get("class") != "plot" or len(attrs["aria-label"]) > 40, path
        count = [tag for tag, _ in page.tags]
        assert count.count("h1") == count.count("main") == 1, path
        assert all(attrs["aria-label"] for tag, attrs in page.tags if tag == "nav"), path
        assert count.count("table") == count.count("caption"), path


def check_self_contained(site: Built) -> None:
    """No script, no outside address, and every link and picture is there."""
    for path, page, _ in every_page(site):
        tags = {tag for tag, _ in page.tags}
        alone = path.startswith("archive/")  # one file is all there is: its style sheet is in it
        assert not tags & {"script", "iframe", "object", "embed", "form", "base"}, path
        assert ("style" in tags) == alone, path
        assert [
            name for _, attrs in page.tags for name in attrs if name.startswith("on") or name == "style"
        ] == []
        policy = next(attrs["content"] for _, attrs in page.tags if "http-equiv" in attrs)
        assert policy.startswith("default-src 'none'; img-src 'self'")
        folder = os.path.dirname(os.path.join(site.directory, path))
        for reference in page.values("href", "src"):
            assert URL.fullmatch(reference), (path, reference)
            target = urlsplit(reference)
            if target.scheme == "data":
                continue
            assert (target.scheme, target.netloc) == ("", ""), (path, reference)
            there = (
                os.path.join(folder, unquote(target.path))
                if target.path
                else os.path.join(site.directory, path)
            )
            assert os.path.isfile(there), (path, reference)
            if target.fragment:
                with open(there, encoding="utf-8") as file:
                    assert target.fragment in Page(file.read()).values("id"), (path, reference)


@pytest.mark.parametrize("which", ["small_site", "demo_site"])
def test_pages_are_well_formed_and_need_nothing_else(which: str, request: pytest.FixtureRequest) -> None:
    site = request.getfixturevalue(which)

    check_form(site)
    check_self_contained(site)


@pytest.mark.parametrize("which", ["small_site", "demo_site"])
def test_a_parser_of_html_finds_no_fault(which: str, request: pytest.FixtureRequest) -> None:
    """html5lib names every parse error of the standard: what is where it may not be, what is not closed."""
    html5lib = pytest.importorskip("html5lib")
    site = request.getfixturevalue(which)
    for path in site.pages():
        parser = html5lib.HTMLParser()
        parser.parse(site.read(path))
        assert parser.errors == [], path


def test_pages_are_as_they_were(small_site: Built, pytestconfig: pytest.Config) -> None:
    """`pytest --update-golden` writes them anew; look at the difference before you commit it."""
    for path in small_site.pages():
        golden = os.path.join(GOLDEN, path)
        text = small_site.read(path)
        if pytestconfig.getoption("--update-golden"):
            os.makedirs(os.path.dirname(golden), exist_ok=True)
            with open(golden, "w", encoding="utf-8") as file:
                file.write(text)
        with open(golden, encoding="utf-8") as file:
            before = file.read()
        assert text == before, "\n".join(
            difflib.unified_diff(before.split("\n"), text.split("\n"), golden, path, n=0)
        )


def test_the_first_page_says_first_what_is_wrong(small_site: Built) -> None:
    page = small_site.read("index.html")

    first = page.index("<h1>2 things to look at</h1>")
    assert first < page.index("needs 20 GiB, 15 GiB are free") < page.index("The last 24 hours")
    assert page.index("ended by itself once in the last day") < page.index("The last 24 hours")
    assert '<time datetime="2026-11-21T10:30:00+01:00">Sat 21 Nov 10:30</time>' in page
    assert "127.0.0.1:8100" in page


def test_a_machine_with_nothing_wrong_says_so(tmp_path: Path) -> None:
    def fill(db: Connection) -> None:
        with db:
            add_revision(db, "alpha")
            add_samples(db, None)
            add_launch(db, "alpha")

    page = build_site(str(tmp_path), fill).read("index.html")

    assert "<h1>All is well</h1>" in page
    assert "The one profile is as declared, 1 of them running." in page


def test_an_empty_database_gives_pages_too(tmp_path: Path) -> None:
    site = build_site(str(tmp_path), lambda db: None)

    check_form(site)
    check_self_contained(site)
    names = ["archive", "care", "index", "journal", "models", "projects", "requests", "system"]
    assert site.pages() == [f"{name}.html" for name in names]


def fill_with_hostile_texts(db: Connection) -> None:
    """Every text that comes from outside, as bad as it can be."""
    with db:
        insert(
            db, "gpus", id=1, uuid=NASTY, idx=0, name=NASTY, driver=NASTY, first_seen_ts=NOW, last_seen_ts=NOW
        )
        for name in (NASTY, "../../etc/passwd", "system", "index", "a" * 300, "$x$"):
            add_revision(
                db, name, document='{"name": "\\ud800 <b>"}', source=NASTY, git_commit=NASTY, refusal=NASTY
            )
            launch = add_launch(
                db,
                name,
                launch_id=name,
                reason=NASTY,
                detail=NASTY,
                host=NASTY,
                model_path=NASTY,
                build=NASTY,
                git_commit=NASTY,
                argv='["a", "\\ud800<script>"]',
                gpus='["<b>"]',
                project=NASTY,
            )
            insert(db, "decisions", ts=NOW, last_ts=NOW, profile=name, action="hold", reason=NASTY, detail=NASTY,
                   arithmetic='{"<b>_mib": 5, "x": "<script>", "y": [1, {"z": null}]}')  # fmt: skip
            insert(
                db,
                "generations",
                ts=NOW - 5,
                profile=name,
                instance_id=launch,
                task_id=1,
                finish_reason=NASTY,
            )
        insert(db, "gpu_holders", gpu_id=1, pid=1, user=NASTY, command=NASTY, first_seen_ts=1, last_seen_ts=2)
        insert(db, "logs", ts=NOW - 5, level="error", source=NASTY, message=NASTY)
        add_samples(db, launch)


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    site = build_site(str(tmp_path), fill_with_hostile_texts)

    check_form(site)
    check_self_contained(site)
    assert len([path for path in site.pages() if path.startswith("profiles/")]) == 6
    assert {os.path.dirname(path) for path in site.pages()} == {"", "profiles", "gpus"}
    assert site.result.failed == ()
    for path, page, text in every_page(site):
        if path.startswith(("profiles/", "gpus/")) or path in {"index.html", "journal.html"}:
            assert 'alert(1)</script>"' in "".join(page.text), path
            assert "{{ 7*7 }}" in text, path
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text), path


def test_the_same_database_gives_the_same_bytes(tmp_path: Path) -> None:
    first = build_site(str(tmp_path), small_database.fill)
    second = str(tmp_path / "second")
    build_again(first.database, second)

    files = [os.path.relpath(os.path.join(folder, name), first.directory)
             for folder, _, names in os.walk(first.directory) for name in names]  # fmt: skip
    assert len(files) > 15
    for path in files:
        with (
            open(os.path.join(first.directory, path), "rb") as one,
            open(os.path.join(second, path), "rb") as two,
        ):
            assert one.read() == two.read(), path
