"""An answer from the response cache is no work of a server: every page counts it alike, as one of the cache."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import small_database
from report_sites import build_site

if TYPE_CHECKING:
    from pathlib import Path

    from apsw import Connection

CACHED = 7


def fill(db: Connection) -> None:
    """The small database, whose requests belong to a project."""
    small_database.fill(db)
    db.execute("UPDATE generations SET project = 'default'")


def fill_more(db: Connection) -> None:
    """The same, and answers from the cache, each of a thousand tokens."""
    fill(db)
    tokens = {"prompt_tokens": 400, "generated_tokens": 600, "total_tokens": 1000}
    more = {
        "profile": "alpha",
        "project": "default",
        "total_time_ms": 99_000.0,
        "finish_reason": "stop",
        "cache_hit": 1,
    }
    for number in range(CACHED):
        small_database.insert(db, "generations", ts=small_database.NOW - 60 * number - 5, **tokens, **more)
    small_database.insert(
        db,
        "cache",
        cache_key="k",
        prompt="p",
        prompt_hash="h",
        model_path="/m.gguf",
        config_json="{}",
        response_text="r",
        size_bytes=1,
        created_ts=small_database.NOW - 900,
        hit_count=CACHED,
    )


def first_row(page: str, heading: str) -> list[str]:
    """The cells of the first row of a table."""
    body = page.partition(f'id="{heading}"')[2].partition("<tbody>")[2].partition("</tr>")[0]
    return re.findall(r"<t[dh][^>]*>(?:<a [^>]*>)?([^<]*)", body)


def test_every_page_counts_the_requests_that_servers_answered(tmp_path: Path) -> None:
    with_them = build_site(str(tmp_path / "with"), fill_more)
    without = build_site(str(tmp_path / "without"), fill)
    for page in ("index.html", "profiles/alpha.html", "projects.html"):
        found = [
            re.findall(r"<dd>([\d,.]+)|<td class=\"num\">([\d,.]+)", site.read(page))
            for site in (with_them, without)
        ]
        assert found[0] == found[1] != [], page
    pages = [site.read("requests.html") for site in (with_them, without)]
    for heading in ("profiles", "days", "slowest"):
        rows = [first_row(page, heading) for page in pages]
        assert rows[0] == rows[1] != [], heading
    assert f"{CACHED} in the last 24 hours" in pages[0]
    charts = [re.findall(r"<figure.*?</figure>", page, re.DOTALL) for page in pages]
    assert charts[0] == charts[1]
    assert len(charts[0]) >= 2
