"""Pictures of a report in headless Chromium: light, dark, phone width, print.

`python scripts/screenshots.py [--site DIR] [--out DIR] [PAGE…]`; without --site it builds the report of the
demo day in tests/report/demo_database.py. Chromium is Debian's package, or what CHROMIUM names. Each page is
looked at in an <iframe>-free window of a fixed size, so the pictures of two runs can be laid side by side.
"""

from __future__ import annotations

import argparse
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DEMO = os.path.join(ROOT, "tests", "report", "demo_database.py")
DEMO_NOW = 1_795_257_000
SHAPES = {"light": (1180, 1600), "dark": (1180, 1600), "phone": (360, 1600)}
NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """Path of a Chromium, or None."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


def run_chromium(chromium: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run Chromium with a profile of its own; a hung one is ended."""
    with tempfile.TemporaryDirectory(prefix="llamaagent-chromium-", ignore_cleanup_errors=True) as profile:
        fixed = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-dev-shm-usage",
        ]
        fixed += ["--no-first-run", "--allow-file-access-from-files", f"--user-data-dir={profile}"]
        command = [chromium, *fixed, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def _run_for(chromium: str, arguments: list[str], target: str) -> None:
    done = run_chromium(chromium, arguments)
    if not os.path.exists(target):
        raise SystemExit(f"chromium wrote no {target}:\n{done.stderr[-2000:]}")


def dump(chromium: str, page: str, *, wait_ms: int) -> str:
    """Return a page as it stands after its scripts have had some time."""
    return run_chromium(chromium, ["--dump-dom", f"--virtual-time-budget={wait_ms}", f"file://{page}"]).stdout


def shoot(chromium: str, page: str, target: str, shape: str, height: int | None = None) -> None:
    """Take one picture of a page, as PNG. shape: light, dark or phone."""
    width, usual = SHAPES[shape]
    arguments = [f"--screenshot={target}", f"--window-size={max(width, 500)},{height or usual}"]
    arguments += ["--force-device-scale-factor=1"]
    if shape == "dark":
        arguments += ["--blink-settings=preferredColorScheme=0"]
    if shape == "phone":
        page = _framed(page, width, height or usual, os.path.dirname(target))
    _run_for(chromium, [*arguments, f"file://{page}"], target)


def _framed(page: str, width: int, height: int, folder: str) -> str:
    """A page that shows another in a frame of a phone's width: Chromium's windows are never that narrow."""
    path = os.path.join(folder, "frame.html")
    with open(path, "w", encoding="utf-8") as file:
        file.write('<body style="margin:0">')
        file.write(f'<iframe src="file://{page}" width="{width}" height="{height}" style="border:0">')
    return path


def print_page(chromium: str, page: str, target: str) -> None:
    """Print a page, as PDF."""
    _run_for(chromium, [f"--print-to-pdf={target}", "--no-pdf-header-footer", f"file://{page}"], target)


def png_size(path: str) -> tuple[int, int]:
    """Width and height of a PNG, from its header."""
    with open(path, "rb") as file:
        head = file.read(24)
    width, height = struct.unpack(">II", head[16:24])
    return width, height


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
    parser.add_argument("pages", nargs="*", help="relative to the site; default: all")
    given = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        print("screenshots: no Chromium here (apt-get install chromium)", file=sys.stderr)
        return 69
    out = os.path.abspath(given.out)
    os.makedirs(out, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="llamaagent-report-") as folder:
        site = os.path.abspath(given.site) if given.site else build_demo(folder)
        for page in given.pages or find_pages(site):
            begin = time.monotonic()
            stem = page.removesuffix(".html").replace("/", "-")
            for shape in SHAPES:
                shoot(chromium, os.path.join(site, page), os.path.join(out, f"{stem}-{shape}.png"), shape)
            print_page(chromium, os.path.join(site, page), os.path.join(out, f"{stem}-print.pdf"))
            print(f"{page}: {time.monotonic() - begin:.0f} s", flush=True)
    frame = os.path.join(out, "frame.html")
    if os.path.exists(frame):
        os.unlink(frame)
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
