"""The pages in a real browser: contrast and structure by axe-core, light and dark; no complaint; paper."""

from __future__ import annotations

import html
import importlib.util
import json
import os
import re
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
from report_sites import ROOT, Built

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

PAGES = ["index.html", "profiles/qwen3-coder-30b.html", "gpus/1.html", "requests.html", "week/system.html"]
RUN = """<script>{axe}</script><script>
axe.run(document, {{resultTypes: ["violations"]}}).then(found => {{
  const out = document.createElement("pre");
  out.id = "axe";
  out.textContent = JSON.stringify(found.violations.map(v => [v.impact, v.id, v.nodes.length, v.nodes[0].html]));
  document.body.append(out);
}})
</script></body>"""


@pytest.fixture(scope="module")
def screenshots() -> ModuleType:
    """scripts/screenshots.py, which knows how to run Chromium."""
    sys.path.insert(0, os.path.join(ROOT, "scripts"))
    try:
        import screenshots as found
    finally:
        sys.path.pop(0)
    return found


@pytest.fixture
def copied(demo_site: Built, tmp_path: Path) -> Built:
    """A site whose pages may be changed."""
    directory = str(tmp_path / "site")
    shutil.copytree(demo_site.directory, directory)
    return demo_site._replace(directory=directory)


def axe() -> str:
    """axe-core's program, as the package for Python carries it."""
    spec = importlib.util.find_spec("axe_core_python")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("no axe-core-python (it comes with `make test`)")
    with open(
        os.path.join(next(iter(spec.submodule_search_locations)), "axe.min.js"), encoding="utf-8"
    ) as file:
        return file.read()


def complaints(chromium: ModuleType, path: str, *, dark: bool) -> list[Any]:
    """What axe finds on a page, whose own policy would forbid it to run and is taken out of the copy."""
    with open(path, encoding="utf-8") as file:
        text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", file.read())
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("</body>", RUN.format(axe=axe())))
    arguments = ["--dump-dom", "--virtual-time-budget=20000", "--window-size=1180,3000", f"file://{path}"]
    if dark:
        arguments.insert(0, "--blink-settings=preferredColorScheme=0")
    dom = chromium.run_chromium(chromium.find_chromium(), arguments).stdout
    found: list[Any] = json.loads(html.unescape(dom.partition('<pre id="axe">')[2].partition("</pre>")[0]))
    return found


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing(copied: Built, screenshots: ModuleType, page: str, dark: bool) -> None:
    assert complaints(screenshots, os.path.join(copied.directory, page), dark=dark) == []


@pytest.mark.browser
def test_axe_would_find_letters_that_cannot_be_read(copied: Built, screenshots: ModuleType) -> None:
    """Otherwise the test above could pass because nothing was looked at."""
    path = os.path.join(copied.directory, "index.html")
    style = next(
        name for name in os.listdir(os.path.join(copied.directory, "assets")) if name.endswith(".css")
    )
    with open(os.path.join(copied.directory, "assets", style), "a", encoding="utf-8") as file:
        file.write("h2 { color: #e8e8e8; }")

    assert "color-contrast" in [found[1] for found in complaints(screenshots, path, dark=False)]


@pytest.mark.browser
@pytest.mark.parametrize("page", [*PAGES, "archive/2026-11-20.html"])
def test_the_browser_has_nothing_to_complain_of(demo_site: Built, screenshots: ModuleType, page: str) -> None:
    """No script, style or picture is refused by the page's own policy, and none is missing."""
    arguments = ["--enable-logging=stderr", "--v=0", "--dump-dom", "--virtual-time-budget=3000"]
    path = os.path.join(demo_site.directory, page)

    done = screenshots.run_chromium(screenshots.find_chromium(), [*arguments, f"file://{path}"])

    assert "</html>" in done.stdout
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []


@pytest.mark.browser
def test_a_page_can_be_printed(demo_site: Built, screenshots: ModuleType, tmp_path: Path) -> None:
    target = tmp_path / "page.pdf"

    screenshots.print_page(
        screenshots.find_chromium(), os.path.join(demo_site.directory, PAGES[1]), str(target)
    )

    pages = len(re.findall(rb"/Type\s*/Page\b", target.read_bytes()))
    assert 2 <= pages <= 8
