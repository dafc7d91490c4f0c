"""Pictures of a report in headless Chromium: light, dark, phone width, print.

`python scripts/screenshots.py [--site DIR] [--out DIR] [--height N] [PAGE…]`; without --site it builds that of the
demo day in tests/report/demo_database.py. Chromium is Debian's package, or what CHROMIUM names.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TESTS = os.path.join(ROOT, "tests", "report")
DEMO = os.path.join(TESTS, "demo_database.py")
DEMO_NOW = 1_795_257_000
SHAPES = {"light": (1180, False), "dark": (1180, True), "phone": (360, False)}


def build_demo(folder: str) -> str:
    """Write the demo day's database and its site; returns the site's folder."""
    environment = {**os.environ, "PYTHONPATH": os.path.join(ROOT, "src")}
    database, site = os.path.join(folder, "demo.db"), os.path.join(folder, "site")
    subprocess.run([sys.executable, DEMO, database, str(DEMO_NOW)], env=environment, check=True)
    command = [sys.executable, "-m", "llamaagent.report.child", f"--database={database}", f"--out={site}"]
    command += [f"--now={DEMO_NOW}", "--zone=Europe/Berlin", "--title=gpu1"]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return site


def find_pages(site: str) -> list[str]:
    """All pages of a site, relative to it."""
    found = []
    for folder, _, names in os.walk(site):
        found += [
            os.path.relpath(os.path.join(folder, name), site) for name in names if name.endswith(".html")
        ]
    return sorted(found)


def main() -> int:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", help="folder of a built report; default: build the demo day's")
    parser.add_argument("--out", default=os.path.join(ROOT, ".build", "screenshots"))
    parser.add_argument("--height", type=int, metavar="PIXELS", help="of a picture; default: the whole page")
    parser.add_argument("pages", nargs="*", help="relative to the site; default: all")
    given = parser.parse_args()
    sys.path.insert(0, TESTS)
    from browsing import chromium, find_chromium, opened

    if find_chromium() is None:
        print("screenshots: no Chromium here (apt-get install chromium)", file=sys.stderr)
        return 69
    out = os.path.abspath(given.out)
    os.makedirs(out, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="llamaagent-report-") as folder, chromium() as browser:
        site = os.path.abspath(given.site) if given.site else build_demo(folder)
        for page in given.pages or find_pages(site):
            begin, path = time.monotonic(), os.path.join(site, page)
            stem = os.path.join(out, page.removesuffix(".html").replace("/", "-"))
            for shape, (width, dark) in SHAPES.items():
                with opened(browser, path, width=width, height=given.height or 900, dark=dark) as seen:
                    seen.page.screenshot(path=f"{stem}-{shape}.png", full_page=given.height is None)
            with opened(browser, path) as seen:
                seen.page.pdf(
                    path=f"{stem}-print.pdf", format="A4", margin=dict.fromkeys(("top", "bottom"), "1cm")
                )
            print(f"{page}: {time.monotonic() - begin:.1f} s", flush=True)
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
