"""The pages in a real browser: of a day, of a year, at any width, in light and dark, on paper, without any network."""

from __future__ import annotations

import functools
import http.server
import os
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest
from browsing import WIDER, Visit, broken_links, chromium, opened, violations, visit
from report_sites import Built, build_again, build_site

from llamaagent.base.clock import ManualClock
from llamaagent.domain.settings import Settings
from llamaagent.report.choices import Choices
from llamaagent.retain.simulate import Plan, simulate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from apsw import Connection
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
NOW = 1_795_257_000
WIDTHS = (1180, 768, 360)
PAGES = [
    "index.html",
    "profiles/qwen3-coder-30b.html",
    "gpus/1.html",
    "system.html",
    "requests.html",
    "projects.html",
    "models.html",
    "journal.html",
    "care.html",
    "week/system.html",
    "archive/2026-11-20.html",
]
LUMINANCE = (
    "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => +a + +b, 0)"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def year_site(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Two profiles and a card through a simulated year."""

    def fill(db: Connection) -> None:
        simulate(db, Plan(365, 2, 1), Settings(interval_s=300), ManualClock(NOW), lambda _day: None)

    return build_site(str(tmp_path_factory.mktemp("year")), fill, NOW, Choices(pictures="none"))


class Looked(NamedTuple):
    """A site, and what a look at each of its pages told."""

    built: Built
    visits: dict[str, Visit]


@pytest.fixture(scope="module", params=["demo_site", "year_site"])
def looked(request: pytest.FixtureRequest, browser: Browser) -> Looked:
    """A site of each kind."""
    built: Built = request.getfixturevalue(request.param)
    return Looked(built, visit(browser, built.directory, built.pages(), WIDTHS))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder, on a web server of its own."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_no_page_complains_or_asks_for_anything_outside(looked: Looked) -> None:
    """No script, style or picture is refused by the page's own policy, none is missing, and none is far away."""
    inside = (f"file://{looked.built.directory}/", "data:")
    assert len(looked.visits) > 20
    for name, found in looked.visits.items():
        assert (found.complaints, found.missing) == ([], []), name
        assert [url for url in found.requests if not url.startswith(inside)] == [], name
        assert found.title, name


def test_no_page_is_wider_than_its_window(looked: Looked) -> None:
    """Down to a phone's."""
    wide = {name: found.wider for name, found in looked.visits.items() if max(found.wider.values()) > 0}
    assert wide == {}


def test_every_link_leads_somewhere(looked: Looked) -> None:
    assert broken_links(looked.built.directory, looked.visits) == []


def test_what_is_drawn_is_on_the_page(demo_site: Built, browser: Browser) -> None:
    """Charts that have a size, and a style: a page without one would complain of nothing."""
    with opened(browser, os.path.join(demo_site.directory, "system.html")) as seen:
        plots = seen.page.locator("svg.plot")
        assert plots.count() > 4
        for box in (plots.nth(number).bounding_box() for number in range(plots.count())):
            assert box is not None
            assert box["width"] > 300
            assert box["height"] > 100
        assert seen.page.evaluate("document.styleSheets.length") == 1


def test_what_is_wrong_would_be_seen(browser: Browser, tmp_path: Path) -> None:
    """Otherwise the tests above could pass because nothing was looked at."""
    wrong = "<img src=no.png><div style='width: 900px'>x</div><script>console.log('oh')</script>"
    (tmp_path / "a.html").write_text(
        "<a href='b.html#there'></a><a href='b.html#not'></a><a href='c.html'></a>"
    )
    (tmp_path / "b.html").write_text(f"<p id='there'>{wrong}")
    visits = visit(browser, str(tmp_path), ["a.html", "b.html"], WIDTHS)
    found = visits["b.html"]
    missing = f"file://{tmp_path}/no.png"
    assert broken_links(str(tmp_path), visits) == [
        "a.html -> b.html#not",
        "a.html -> c.html",
        "b.html -> no.png",
    ]
    assert (found.missing, found.requests[1:], "oh" in found.complaints) == ([missing], [missing], True)
    assert [found.wider[width] > 0 for width in WIDTHS] == [False, True, True]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing(demo_site: Built, browser: Browser, page: str, dark: bool) -> None:
    with opened(browser, os.path.join(demo_site.directory, page), dark=dark, scripts=True) as seen:
        assert (seen.page.evaluate(LUMINANCE) < 384) is dark
        assert violations(seen) == []


def test_axe_finds_nothing_in_a_year(year_site: Built, browser: Browser) -> None:
    for page in ("index.html", "year/system.html", "month/requests.html"):
        with opened(browser, os.path.join(year_site.directory, page), scripts=True) as seen:
            assert violations(seen) == [], page


def test_axe_would_find_letters_that_cannot_be_read(demo_site: Built, browser: Browser) -> None:
    """Otherwise the tests above could pass because nothing was looked at."""
    with opened(browser, os.path.join(demo_site.directory, "index.html"), scripts=True) as seen:
        seen.page.add_style_tag(content="h2 { color: #e8e8e8; }")
        assert "color-contrast" in [rule for _, rule, _ in violations(seen)]


def test_it_is_read_by_keyboard(demo_site: Built, browser: Browser) -> None:
    """The first key leads past the head; tables of figures open and close by key, without a script."""
    with opened(browser, os.path.join(demo_site.directory, "system.html"), scripts=True) as seen:
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.getAttribute('href')") == "#main"
        assert seen.page.evaluate("document.activeElement.getBoundingClientRect().left >= 0"), "it is seen"
        seen.page.keyboard.press("Enter")
        assert seen.page.evaluate("location.hash") == "#main"
        seen.page.locator("details > summary").first.focus()
        shown = "document.activeElement.parentElement.open"
        assert seen.page.evaluate(shown) is False
        seen.page.keyboard.press("Enter")
        assert seen.page.evaluate(shown) is True


def test_it_works_below_a_path_of_a_web_server(demo_site: Built, browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "llama").symlink_to(demo_site.directory)
    with served(tmp_path) as address:
        for name in ("", *PAGES):
            with opened(browser, f"{address}/deep/llama/{name}") as seen:
                assert seen.complaints == [], name
                assert all(url.startswith(f"{address}/deep/llama/") for url in seen.requests), seen.requests


def test_one_file_for_the_mail_asks_for_nothing(demo_site: Built, browser: Browser, tmp_path: Path) -> None:
    path = str(tmp_path / "all.html")
    directory = str(tmp_path / "none")
    build_again(demo_site.database, directory, NOW, choices=Choices(single_file=path))
    for dark in (False, True):
        with opened(browser, path, dark=dark, scripts=True) as seen:
            assert seen.requests == [f"file://{path}"]
            assert seen.complaints == []
            assert violations(seen) == []
    assert broken_links(str(tmp_path), visit(browser, str(tmp_path), ["all.html"])) == []


@pytest.mark.parametrize("page", PAGES[:5])
def test_on_paper_there_is_no_ink_wasted(
    demo_site: Built, browser: Browser, page: str, tmp_path: Path
) -> None:
    """On a dark screen too: white ground, no menu, nothing cut at the edge, no chart torn in two."""
    with opened(browser, os.path.join(demo_site.directory, page), dark=True, scripts=True) as seen:
        seen.page.emulate_media(media="print")
        assert seen.page.evaluate(LUMINANCE) in {0, 3 * 255}, "no ground, or a white one"
        assert seen.page.locator("nav:visible").count() == 0
        torn = "[...document.querySelectorAll('figure')].filter(e => getComputedStyle(e).breakInside != 'avoid').length"
        assert seen.page.evaluate(torn) == 0
        seen.page.set_viewport_size(
            {"width": 718, "height": 1000}
        )  # A4 less a usual margin, at 96 dots an inch
        assert seen.page.evaluate(WIDER) <= 0
        paper = seen.page.pdf(path=str(tmp_path / "page.pdf"), format="A4")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", paper)) <= 8
