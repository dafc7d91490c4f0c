"""A whole site as one HTML file: for mail, and for the days that are kept.

The parts are our own pages; within them quotes in texts are escaped, so what looks like an attribute is one.
"""

from __future__ import annotations

import os
import posixpath
import re
from typing import TYPE_CHECKING

from llamaagent.base.errors import CannotCreateError
from llamaagent.report.paths import read_site_file

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from llamaagent.base.clock import Clock
    from llamaagent.report.build import BuildResult, Source
    from llamaagent.report.choices import Choices

_MAIN = re.compile(r'<main id="main">\n(.*)</main>', re.DOTALL)
_IDS = re.compile(r' (id|aria-labelledby)="([^"]*)"')
_LINKS = re.compile(r' href="([^"]*)"')
_NAMES = re.compile(r'<section aria-labelledby="[^"]*">')
_HEADINGS = re.compile(r"<(/?)h([1-5])\b")
_MARKS = re.compile(r'<svg class="hidden" width="0".*?</svg>', re.DOTALL)


def build_single(
    database: str,
    directory: str,  # noqa: ARG001 - there is none: the same call as for a folder
    *,
    clock: Clock,
    zone: dt.tzinfo,
    public: bool,
    now: int | None = None,
    title: str | None = None,
    cache_directory: str | None = None,
    choices: Choices,
) -> BuildResult:
    """Write a whole site into `choices.single_file`, replaced at once. Raises StorageError and its kin, ConfigError."""
    from llamaagent.report.build import TITLE, BuildResult, Source
    from llamaagent.report.html import Look

    begin = clock.monotonic()
    path = os.path.abspath(choices.single_file or "report.html")
    look = Look("style.css", None, choices.links, choices.sections, choices.templates, cache_directory)
    source = Source(database, zone, choices, look, title or TITLE)
    failed: dict[str, str] = {}
    content = one_file(source, clock.now() if now is None else now, failed=failed)
    try:
        handle = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644 if public else 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(f"{path}.new", path)
    except OSError as error:
        raise CannotCreateError(f"cannot write {path}: {error.strerror}") from error
    return BuildResult(path, 1, 0, 0, tuple(failed.items()), 1, clock.monotonic() - begin)


def one_file(
    source: Source,
    now: int,
    window: tuple[int, int] | None = None,
    written: int | None = None,
    failed: dict[str, str] | None = None,
) -> bytes:
    """Read and fill a whole site, and return it as one page.

    window: a span instead of the day before now. written: when states are read that do not belong to it any more.
    failed: takes up what could not be made, and why.
    """
    import base64

    from llamaagent.report.build import render
    from llamaagent.report.dress import LOGOS, read_logo
    from llamaagent.report.html import Pages

    style = read_site_file("style.css", source.choices.templates)
    logo = None
    if source.choices.logo is not None:
        content, ending = read_logo(source.choices.logo)
        logo = f"data:{LOGOS[ending]};base64,{base64.b64encode(content).decode()}"
    look = source.look._replace(single=style, logo=logo, written_ts=written)
    told = source.read(now, None, window)
    pages = Pages(told.report, told.sections, told.usage, source.zone, look, {})
    made = {path: content for path, content in render(told, pages, look) if path.endswith(".html")}
    if failed is not None:
        failed |= {one.spec.key: one.failure for one in told.sections if one.failure} | pages.failed
    return join({"index.html": made.pop("index.html"), **made}, style)


def join(pages: Mapping[str, bytes], style: str) -> bytes:
    """One page of many. pages: by path, `index.html` among them; style: put in place of the link to it."""
    index = pages["index.html"].decode()
    names = {path: f"p{number}" for number, path in enumerate(pages)}
    marks = _MARKS.search("".join(text.decode() for text in pages.values()))
    bodies = []
    for path, text in pages.items():
        found = _MAIN.search(text.decode())
        body = _MARKS.sub("", found.group(1)) if found else ""
        if path != "index.html":
            body = _HEADINGS.sub(lambda m: f"<{m.group(1)}h{int(m.group(2)) + 1}", body)
        bodies.append(f'<div class="sheet" id="{names[path]}">\n{_turn(body, path, names)}</div>\n')
    head, _, rest = index.partition('<main id="main">\n')
    tail = rest.partition("</main>")[2]
    head = re.sub(r'<link rel="stylesheet"[^>]*>', lambda _: f"<style>{style}</style>", head)
    head = re.sub(r'<link rel="alternate"[^>]*>\n', "", head)
    head = _LINKS.sub(lambda m: _link(m.group(1), "index.html", names), head)
    drawn = marks.group(0) if marks else ""
    return f'{head}<main id="main">\n{drawn}{"".join(bodies)}</main>{tail}'.encode()


def _turn(body: str, path: str, names: Mapping[str, str]) -> str:
    """Give ids the page's own prefix and turn links between pages into links within one."""
    prefix = names[path]

    def rename(found: re.Match[str]) -> str:
        kept = found.group(2).startswith("m-")
        return (
            f' {found.group(1)}="{found.group(2)}"'
            if kept
            else f' {found.group(1)}="{prefix}-{found.group(2)}"'
        )

    if path != "index.html":  # the same names would stand for several landmarks
        body = _NAMES.sub("<section>", body)
    return _LINKS.sub(lambda m: _link(m.group(1), path, names), _IDS.sub(rename, body))


def _link(target: str, path: str, names: Mapping[str, str]) -> str:
    if ":" in target.partition("/")[0] or target.startswith("#m-"):
        return f' href="{target}"'
    page, _, part = target.partition("#")
    if not page:
        return f' href="#{names[path]}-{part}"' if part != "main" else ' href="#main"'
    whole = posixpath.normpath(posixpath.join(posixpath.dirname(path), page))
    if whole not in names:
        return f' href="{target}"'
    return f' href="#{names[whole]}{"-" + part if part else ""}"'
