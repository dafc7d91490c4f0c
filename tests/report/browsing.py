"""Debian's Chromium, driven by Playwright: whatever a page asks for or complains of is written down."""

from __future__ import annotations

import importlib.util
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urldefrag, urljoin

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from playwright.sync_api import Browser, Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LINKS = "[...document.querySelectorAll('[href], [src]')].map(e => e.getAttribute('href') ?? e.getAttribute('src'))"
AXE = "axe.run(document, {resultTypes: ['violations']})"
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
MISSING = """Promise.all([...document.images].map(image => {
  image.loading = "eager";
  return image.decode().then(() => null, () => image.src);
})).then(found => found.filter(src => src))"""
IDS = "[...document.querySelectorAll('[id]')].map(e => e.id)"


class Seen(NamedTuple):
    """An open page. requests: every address it asked for, itself first; complaints: of the browser."""

    page: Page
    requests: list[str]
    complaints: list[str]


def find_chromium() -> str | None:
    """Path of a Chromium, or None."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in PROGRAMS if (path := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """One for as long as it is needed."""
    sync = pytest.importorskip("playwright.sync_api", reason="no playwright (it comes with `make test`)")
    with sync.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Browser,
    where: str,
    *,
    width: int = 1180,
    height: int = 900,
    dark: bool = False,
    scripts: bool = False,
) -> Iterator[Seen]:
    """A page, by its path or address. scripts: those of a test may run in it, which its own policy would refuse."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        bypass_csp=scripts,
        is_mobile=width < 500,
    )
    try:
        page = context.new_page()
        seen = Seen(page, [], [])
        page.on("request", lambda asked: seen.requests.append(asked.url))
        page.on("requestfailed", lambda asked: seen.complaints.append(f"{asked.url}: {asked.failure}"))
        page.on("console", lambda line: seen.complaints.append(line.text))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.goto(where if "://" in where else f"file://{where}", wait_until="load")
        yield seen
    finally:
        context.close()


def axe_program() -> str:
    """axe-core, as the package for Python carries it."""
    spec = importlib.util.find_spec("axe_core_python")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("no axe-core-python (it comes with `make test`)")
    path = os.path.join(next(iter(spec.submodule_search_locations)), "axe.min.js")
    with open(path, encoding="utf-8") as file:
        return file.read()


def violations(seen: Seen) -> list[Any]:
    """What axe finds on a page that was opened with scripts: [how bad, rule, first element]."""
    seen.page.evaluate(axe_program())
    found = seen.page.evaluate(AXE)["violations"]
    return [[one["impact"], one["id"], one["nodes"][0]["html"]] for one in found]


class Visit(NamedTuple):
    """What one look at a page told. wider: pixels beyond a window, by its width; links, ids: as they stand there."""

    title: str
    requests: list[str]
    complaints: list[str]
    missing: list[str]
    wider: dict[int, int]
    links: list[str]
    ids: frozenset[str]


def visit(
    browser: Browser, directory: str, pages: Iterable[str], widths: Iterable[int] = ()
) -> dict[str, Visit]:
    """Look at pages of a site."""
    found = {}
    for name in pages:
        with opened(browser, os.path.join(directory, name)) as seen:
            page, wider = seen.page, {}
            missing = page.evaluate(MISSING)
            links, ids = page.evaluate(LINKS), page.evaluate(IDS)
            for width in widths:
                page.set_viewport_size({"width": width, "height": 900})
                wider[width] = page.evaluate(WIDER)
            found[name] = Visit(
                page.title(), seen.requests, seen.complaints, missing, wider, links, frozenset(ids)
            )
    return found


def broken_links(directory: str, visits: Mapping[str, Visit]) -> list[str]:
    """Links that lead to no file of the site, or to no place in a page. Addresses elsewhere are left out."""
    broken = []
    for name, found in visits.items():
        for link in dict.fromkeys(found.links):
            if link.startswith(("http:", "https:", "data:")):
                continue
            path, place = urldefrag(urljoin(name, link))
            path = unquote(path)
            path = path + "index.html" if path.endswith("/") else path
            there = os.path.isfile(os.path.join(directory, path))
            if not there or (place and (path not in visits or place not in visits[path].ids)):
                broken.append(f"{name} -> {link}")
    return broken
