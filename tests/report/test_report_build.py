"""Building: in this process, in a child, with pictures that cannot be drawn, and seen in a browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import small_database
from report_sites import Built, build_again, build_site
from small_database import NOW

from llamaagent.base.errors import StorageError
from llamaagent.report.child import child_argv, main

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def test_the_child_writes_the_same_site(small_site: Built, tmp_path: Path) -> None:
    argv = child_argv(
        small_site.database,
        str(tmp_path / "out"),
        public=True,
        title="test site",
        zone="Europe/Berlin",
        now=NOW,
    )

    done = subprocess.run(argv, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert (result["pages"], result["charts"], result["failed"]) == (
        small_site.result.pages,
        small_site.result.charts,
        [],
    )
    with open(result["path"], encoding="utf-8") as file:
        assert file.read() == small_site.read("index.html")


def test_the_child_says_what_is_wrong_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main([f"--database={tmp_path}/none.db", f"--out={tmp_path}/site", "--zone=UTC"])

    captured = capsys.readouterr()
    assert status == 74
    assert captured.err.startswith(f"report: no database at {tmp_path}/none.db")


def test_a_failed_database_leaves_the_old_site(tmp_path: Path) -> None:
    site = build_site(str(tmp_path), small_database.fill)
    before = site.read("index.html")
    os.truncate(site.database, 0)

    with pytest.raises(StorageError):
        build_again(site.database, site.directory, NOW + 600)

    assert site.read("index.html") == before


def test_a_chart_that_fails_costs_one_chart(tmp_path: Path) -> None:
    """Matplotlib missing is the whole of its failures at once: the pages come, with the figures and a line."""
    site = build_site(str(tmp_path), small_database.fill)
    blocked = tmp_path / "blocked" / "matplotlib"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('no fonts today')")
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{tmp_path}/blocked{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"}
    out = str(tmp_path / "out")
    argv = child_argv(site.database, out, public=False, now=NOW, zone="UTC")

    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0
    assert len(json.loads(done.stdout)["failed"]) == site.result.charts
    assert "was not drawn: ImportError: no fonts today" in done.stderr
    page = Built(site.database, out, site.result).read("system.html")
    assert "The picture could not be drawn (ImportError: no fonts today). The figures are here." in page
    assert "Processor by hour" in page
    assert '<svg class="plot"' in page


def test_nothing_to_draw_loads_no_matplotlib(tmp_path: Path) -> None:
    site = build_site(str(tmp_path), small_database.fill)
    code = (
        "import sys; from llamaagent.report.child import main; main();"
        "sys.exit(9 if {'matplotlib', 'numpy', 'PIL'} & set(sys.modules) else 0)"
    )
    arguments = child_argv(
        site.database, site.directory, public=True, now=NOW, zone="Europe/Berlin", title="test site"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, *arguments[4:]],
        env=ENVIRONMENT,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, json.loads(done.stdout)["written"]) == (0, 0)
