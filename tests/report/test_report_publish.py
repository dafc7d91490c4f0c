"""Publishing: whole pages or none, only what changed, nobody else's files."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import small_database
from report_sites import Built, build_again, build_site
from small_database import NOW

from llamaagent.base.errors import CannotCreateError, LockHeldError
from llamaagent.report.child import child_argv
from llamaagent.report.publish import Site

if TYPE_CHECKING:
    from pathlib import Path

PAGE = b'<meta name="generator" content="llamaagent">'


def put(directory: str, pages: dict[str, bytes], assets: dict[str, bytes]) -> None:
    with Site(directory, public=True) as site:
        for path, content in assets.items():
            site.add_asset(path, content)
        for path, content in pages.items():
            site.add_page(path, content)
        site.publish()


def contents(directory: str) -> dict[str, bytes]:
    """All that a reader can see."""
    found = {}
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = os.path.join(folder, name)
            if not name.startswith("."):
                with open(path, "rb") as file:
                    found[os.path.relpath(path, directory)] = file.read()
    return found


def test_folders_made_on_the_way_are_ours_alone(tmp_path: Path) -> None:
    """The data folder is one of them where a report is the first thing that is ever made."""
    before = os.umask(0o022)
    try:
        with Site(str(tmp_path / "data" / "llamaagent" / "site"), public=False):
            pass
    finally:
        os.umask(before)
    for name in ("data", "data/llamaagent", "data/llamaagent/site"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700


def test_assets_of_the_pages_before_stay_for_one_generation(tmp_path: Path) -> None:
    directory = str(tmp_path / "site")
    for number in range(1, 4):
        put(directory, {"index.html": PAGE + b"%d" % number}, {f"assets/{number}.png": b"x"})

    assert sorted(contents(directory)) == ["assets/2.png", "assets/3.png", "index.html"]


def test_pages_that_are_no_longer_there_are_removed_with_their_folder(tmp_path: Path) -> None:
    directory = str(tmp_path / "site")
    put(directory, {"profiles/a.html": PAGE, "index.html": PAGE}, {})

    put(directory, {"index.html": PAGE}, {})

    assert sorted(contents(directory)) == ["index.html"]
    assert not os.path.exists(os.path.join(directory, "profiles"))


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    (directory / "profiles").mkdir(parents=True)
    (directory / "robots.txt").write_text("mine")
    (directory / "profiles" / "notes.html").write_text("mine too")
    put(str(directory), {"profiles/a.html": PAGE, "index.html": PAGE}, {})

    put(str(directory), {"index.html": PAGE}, {})

    assert sorted(contents(str(directory))) == ["index.html", "profiles/notes.html", "robots.txt"]


def test_a_foreign_page_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    directory.mkdir()
    (directory / "index.html").write_text("Welcome to nginx!")

    with pytest.raises(CannotCreateError, match=r"index\.html is not a page of llamaagent"):
        put(str(directory), {"system.html": PAGE, "index.html": PAGE}, {"assets/a.png": b"x"})

    assert contents(str(directory)) == {"index.html": b"Welcome to nginx!"}


def test_a_lost_list_does_not_lock_us_out(tmp_path: Path) -> None:
    directory = str(tmp_path / "site")
    put(directory, {"index.html": PAGE + b"1"}, {})
    for text in ("", "not json", '{"pages": ["../../etc/passwd", 5], "assets": 7}', "[]"):
        (tmp_path / "site" / ".llamaagent-site.json").write_text(text)
        put(directory, {"index.html": PAGE + text.encode()}, {})

    assert contents(directory) == {"index.html": PAGE + b"[]"}


@pytest.mark.parametrize(
    ("public", "file_mode", "folder_mode"), [(True, 0o644, 0o755), (False, 0o600, 0o700)]
)
def test_modes_do_not_depend_on_the_umask(
    tmp_path: Path, public: bool, file_mode: int, folder_mode: int
) -> None:
    before = os.umask(0o077 if public else 0)
    try:
        with Site(str(tmp_path / "site"), public=public) as site:
            site.add_asset("assets/a.png", b"x")
            site.add_page("index.html", PAGE)
            site.publish()
    finally:
        os.umask(before)

    for name in ("assets/a.png", "index.html"):
        assert stat.S_IMODE(os.stat(tmp_path / "site" / name).st_mode) == file_mode
    for name in ("", "assets"):
        assert stat.S_IMODE(os.stat(tmp_path / "site" / name).st_mode) == folder_mode


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir(mode=0o750)

    put(str(tmp_path / "site"), {"index.html": PAGE}, {})

    assert stat.S_IMODE(os.stat(tmp_path / "site").st_mode) == 0o750


def test_one_build_at_a_time(tmp_path: Path) -> None:
    directory = str(tmp_path / "site")
    with Site(directory, public=True), pytest.raises(LockHeldError, match="another report"):
        put(directory, {"index.html": PAGE}, {})

    put(directory, {"index.html": PAGE}, {})


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    site = build_site(str(tmp_path), small_database.fill)
    before = {path: os.stat(os.path.join(site.directory, path)) for path in contents(site.directory)}
    listed = os.stat(os.path.join(site.directory, ".llamaagent-site.json")).st_mtime_ns

    again = build_again(site.database, site.directory)

    assert (again.drawn, again.written, again.charts) == (0, 0, site.result.charts)
    for path, then in before.items():
        now = os.stat(os.path.join(site.directory, path))
        assert (now.st_ino, now.st_mtime_ns) == (then.st_ino, then.st_mtime_ns), path
    assert os.stat(os.path.join(site.directory, ".llamaagent-site.json")).st_mtime_ns == listed


def pages_are_whole(site: Built) -> None:
    """Every page names only pictures that are there."""
    for path in site.pages():
        text = site.read(path)
        assert text.endswith("</html>\n"), path
        for part in text.split(' src="')[1:]:
            there = os.path.join(site.directory, os.path.dirname(path), part.partition('"')[0])
            assert os.path.isfile(there), there


@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.3])
def test_killed_in_the_middle_the_site_is_whole(tmp_path: Path, delay_s: float) -> None:
    site = build_site(str(tmp_path), small_database.fill)
    before = contents(site.directory)
    stage = os.path.join(site.directory, ".llamaagent-new")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    argv = child_argv(site.database, site.directory, public=True, now=NOW + 600, zone="Europe/Berlin")
    child = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while not os.path.exists(stage) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(delay_s)
    child.send_signal(signal.SIGKILL)
    killed = child.wait() == -signal.SIGKILL

    pages_are_whole(site)
    if killed and os.path.exists(stage):
        assert contents(site.directory) == before
    build_again(site.database, site.directory, NOW + 900)
    pages_are_whole(site)
    assert not os.path.exists(stage)
    assert "11:45" in site.read("index.html")
