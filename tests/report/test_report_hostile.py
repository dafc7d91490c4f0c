"""Whatever comes from outside is text on every page: it opens no tag, ends no attribute, is no template."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import rich_database
from report_sites import Built, build_site
from test_report_pages import NASTY, check_form, check_self_contained, every_page

if TYPE_CHECKING:
    from apsw import Connection

BARE = re.compile(r"<(script|img src=x)|onerror=alert\(1\)[^&]*>", re.IGNORECASE)
TELLS = {
    "index.html": ("card", "decision", "error of the agent"),
    "models.html": ("file name", "architecture", "quantization", "size", "build"),
    "projects.html": ("project", "who set the limit, and why", "holder"),
    "journal.html": ("action", "resource", "event", "decision"),
    "care.html": ("path of the backup",),
    "profiles": ("last words", "health", "refusal", "commit", "document", "command line", "build"),
    "gpus": ("name", "driver", "slot", "Xid", "holder"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Built:
    def fill(db: Connection) -> None:
        rich_database.fill_with(db, NASTY)

    return build_site(str(tmp_path_factory.mktemp("hostile")), fill)


def test_pages_stay_well_formed_and_load_nothing(site: Built) -> None:
    check_form(site)
    check_self_contained(site)
    assert site.result.failed == ()


def test_every_text_from_outside_is_shown_as_it_is_and_nowhere_as_markup(site: Built) -> None:
    """NASTY on each page that tells of what is hostile, at least as often as there are kinds of it."""
    for path, page, text in every_page(site):
        assert BARE.search(text) is None, path
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text), path
        assert all(not name.startswith("on") for _, attrs in page.tags for name in attrs), path
        kinds = TELLS.get(path, TELLS.get(path.partition("/")[0], ()))
        shown = "".join(page.text).count(
            "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}&amp;"
        )
        assert shown >= len(kinds), (path, shown)


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("profiles/alpha.html", "<pre><code>", "</code></pre>"),
        ("profiles/alpha.html", "HTTP 500</td>", "</td></tr>"),
        ("journal.html", '<th scope="col">To what</th>', "</tbody>"),
        ("models.html", '<th scope="col">Last used</th>', "</tbody>"),
        ("projects.html", '<th scope="col">Remark</th>', "</tbody>"),
    ],
)
def test_it_stands_in_its_place(site: Built, path: str, before: str, after: str) -> None:
    """Escaped there, and no deeper than once: `&amp;lt;` would be read as `&lt;`."""
    part = site.read(path).split(before, 1)[1].split(after, 1)[0]

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in part
    assert "{{ 7*7 }}&amp;amp;" in part
    assert "&amp;lt;" not in part


def test_what_the_driver_said_stands_on_the_cards_page(site: Built) -> None:
    (path,) = (path for path in site.pages() if path.startswith("gpus/"))

    part = site.read(path).split('<th scope="col">What</th>', 1)[1]
    assert part.count('<td class="prose">&lt;script&gt;alert(1)') == 2


def test_the_feeds_escape_too(site: Built) -> None:
    for name in ("feed.atom", "status.json", "metrics.prom"):
        text = site.read(name)
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text), name
        if name == "feed.atom":
            assert BARE.search(text) is None
            assert "&lt;script&gt;" in text
