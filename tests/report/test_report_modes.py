"""Who may read a site that was meant for others before: what stays as it is gets today's modes, both ways."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
import small_database
from report_sites import build_again, build_site

from llamaagent.report.choices import Choices

if TYPE_CHECKING:
    from pathlib import Path

CHOICES = Choices(pictures="none")


def modes(directory: str) -> dict[str, int]:
    """Of everything that a reader may see, and of the folders, by path; of the site itself as `.`."""
    found = {}
    for folder, _, names in os.walk(directory):
        for path in (folder, *(os.path.join(folder, name) for name in names if not name.startswith("."))):
            found[os.path.relpath(path, directory)] = stat.S_IMODE(os.stat(path).st_mode)
    return found


def wanted(found: dict[str, int], *, public: bool) -> dict[str, int]:
    file, folder = (0o644, 0o755) if public else (0o600, 0o700)
    return {path: file if os.path.splitext(path)[1] else folder for path in found}


@pytest.mark.parametrize("first", [False, True], ids=["private then public", "public then private"])
def test_a_site_that_is_meant_for_others_now_is_so_as_a_whole(tmp_path: Path, first: bool) -> None:
    site = build_site(str(tmp_path), small_database.fill, choices=CHOICES)
    directory = str(tmp_path / "other")
    build_again(site.database, directory, public=first, choices=CHOICES)
    before = modes(directory)
    assert before == wanted(before, public=first)
    assert {".", "profiles", "gpus", "archive", "index.html", "feed.atom"} <= set(before)

    again = build_again(site.database, directory, public=not first, choices=CHOICES)

    after = modes(directory)
    assert after == wanted(before, public=not first)
    assert again.written == sum("." in os.path.basename(path)[1:] for path in before)
    listed = stat.S_IMODE(os.stat(os.path.join(directory, ".llamaagent-site.json")).st_mode)
    assert listed == (0o600 if first else 0o644)
    assert build_again(site.database, directory, public=not first, choices=CHOICES).written == 0


def test_pictures_of_the_pages_before_are_taken_back_too(tmp_path: Path) -> None:
    """They stay for one build; a private site leaves none of them to everybody."""
    templates = tmp_path / "own"
    templates.mkdir()
    choices = CHOICES._replace(templates=str(templates))
    site = build_site(str(tmp_path), small_database.fill, choices=choices)
    (templates / "style.css").write_text("body { color: teal; }")
    build_again(site.database, site.directory, public=False, choices=choices)

    found = modes(site.directory)

    assert len([path for path in found if path.startswith("assets/")]) == 2
    assert found == wanted(found, public=False)


def test_a_folder_that_somebody_made_keeps_its_mode_and_so_do_their_files(tmp_path: Path) -> None:
    directory = tmp_path / "mine"
    (directory / "profiles").mkdir(parents=True)
    (directory / "robots.txt").write_text("mine")
    os.chmod(directory, 0o750)
    os.chmod(directory / "profiles", 0o2775)
    os.chmod(directory / "robots.txt", 0o640)
    site = build_site(str(tmp_path), small_database.fill, choices=CHOICES)
    for public in (False, True, False):
        build_again(site.database, str(directory), public=public, choices=CHOICES)

        found = modes(str(directory))
        assert (found["."], found["profiles"], found["robots.txt"]) == (0o750, 0o2775, 0o640)
        assert found["gpus"] == (0o755 if public else 0o700)
        assert found["profiles/alpha.html"] == (0o644 if public else 0o600)
