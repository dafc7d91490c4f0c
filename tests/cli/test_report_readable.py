"""The line that says how a site becomes readable by a web server: for `-o`, and once from the passes."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from test_publishing import opened
from test_report_commands import Place

from llamaagent.cli.publishing import Publisher
from llamaagent.cli.site import database
from llamaagent.cli.spec import Values

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = "a web server cannot read the site: chmod o+x "


@pytest.fixture
def shut() -> Iterator[Path]:
    """A folder that others may not pass, all of those above it being open; pytest shuts its own with each run."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o711)
        made = Path(name) / "an n"
        made.mkdir(mode=0o700)
        yield made


def test_a_site_that_is_written_elsewhere_is_told_too(shut: Path) -> None:
    place = Place(shut)
    place.run("run", "--once")
    words = ("report", "build", "--pictures", "none", "-o", "out")

    told = place.run(*words)
    assert (told.returncode, f"{LINE}'{shut}'\n" in told.stderr) == (0, True)
    assert LINE not in place.run(*words, "-q").stderr
    assert LINE not in place.run(*words[:4], "--single-file", "one.html").stderr
    os.chmod(shut, 0o711)
    assert LINE not in place.run(*words).stderr


def test_a_pass_says_it_once_and_again_when_the_reason_is_another(shut: Path) -> None:
    place = Place(shut)
    settings = shut / "llamaagent.yaml"
    settings.write_text(settings.read_text().replace("every: never", "every: 1s"))

    def passes() -> str:
        time.sleep(1.1)  # until the next report is due
        done = place.run("run", "--once")
        assert done.returncode == 0
        return done.stderr

    assert f"{LINE}'{shut}'" in passes()
    assert LINE not in passes()
    os.chmod(shut, 0o711)
    assert LINE not in passes()
    os.chmod(shut / "site", 0o750)
    assert f"{LINE}'{shut / 'site'}'" in passes()
    found = place.run(
        "query", "--json", "SELECT level, message FROM logs WHERE source = 'report' ORDER BY id"
    )
    assert json.loads(found.stdout) == [
        {"level": "warning", "message": f"{LINE}'{shut}'"},
        {"level": "warning", "message": f"{LINE}'{shut / 'site'}'"},
    ]


def test_the_loop_says_it_once_and_a_private_site_is_no_news(
    shut: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = opened(shut, directory=f"'{shut / 'site'}'", every="1s")
    publisher = Publisher()
    with database(site, write=True) as db:
        until = time.monotonic() + 120
        for path in (shut / "site" / "index.html", shut / "site" / "feed.atom"):
            while not path.exists() or not db.execute("SELECT 1 FROM logs").fetchall():
                assert time.monotonic() < until
                publisher.beat(Values({}), site, db)
                time.sleep(0.05)
            path.unlink()  # so that the next build writes it anew
    assert capsys.readouterr().err.count(LINE) == 1

    private = opened(shut, every="1s")
    with database(private, write=True) as db:
        until = time.monotonic() + 60
        while not os.path.exists(os.path.join(private.places.report, "index.html")):
            assert time.monotonic() < until
            publisher.beat(Values({}), private, db)
            time.sleep(0.05)
        publisher.beat(Values({}), private, db)
    assert LINE not in capsys.readouterr().err
