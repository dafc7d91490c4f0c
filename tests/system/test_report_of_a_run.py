"""The report of a real run, in a real browser: two real servers, requests, a crash and a refusal."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from report.browsing import broken_links, chromium, opened, violations, visit
from system.scratch_site import complete, eventually

if TYPE_CHECKING:
    from system.scratch_site import Site

pytestmark = [pytest.mark.browser, pytest.mark.embedded]


def test_every_page_of_it_is_sound_and_tells_what_happened(site: Site) -> None:
    site.profile("alpha")
    site.profile("beta")
    site.profile("gone", model="/no/such/model.gguf")
    rows = site.settle("running", "alpha", "beta")
    for row in rows.values():
        complete(row["port"], "once upon", 8)
    eventually(lambda: site.once() and site.count("generations") >= 2, "the requests are counted")
    os.kill(int(str(rows["beta"]["pid"])), signal.SIGSEGV)
    eventually(lambda: site.once() and site.newest()["beta"]["status"] != "running", "the crash is seen")
    directory = str(site.root / "pages")
    assert site.run("report", "build", "-q", "-o", directory).rc == 0
    pages = [
        os.path.relpath(os.path.join(folder, name), directory)
        for folder, _, names in os.walk(directory)
        for name in names
        if name.endswith(".html")
    ]
    assert {"index.html", "profiles/alpha.html", "profiles/beta.html", "profiles/gone.html"} <= {*pages}
    with chromium() as browser:
        visits = visit(browser, directory, pages, (360,))
        for name, found in visits.items():
            assert (found.complaints, found.missing) == ([], []), name
            assert {url.startswith(("file://", "data:")) for url in found.requests} == {True}, name
            assert found.wider[360] <= 0, name
        assert broken_links(directory, visits) == []
        with opened(browser, os.path.join(directory, "index.html"), scripts=True) as seen:
            assert violations(seen) == []
            text = seen.page.locator("main").inner_text()
            assert "gone" in text
            assert "/no/such/model.gguf" in text
        with opened(
            browser, os.path.join(directory, "profiles", "beta.html"), dark=True, scripts=True
        ) as seen:
            assert violations(seen) == []
            assert "SIGSEGV" in seen.page.locator("main").inner_text()
