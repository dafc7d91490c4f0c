"""`report build|serve|open|index` by the command line, and what is run after a report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PYTHONPATH = os.pathsep.join(path for path in sys.path if path)


class Place:
    """A folder with settings, a database and the program."""

    def __init__(self, folder: Path, reports: str = "") -> None:
        self.folder = folder
        names = ("DATA", "STATE", "CACHE", "CONFIG")
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "LLAMAAGENT_"))
        }
        self.env = kept | {f"XDG_{name}_HOME": str(folder / name.lower()) for name in names}
        self.env |= {"PYTHONPATH": PYTHONPATH, "TZ": "UTC"}
        text = f"profiles: profiles/\nreports: {{directory: site, title: here, every: never{reports}}}\n"
        (folder / "llamaagent.yaml").write_text(text)
        (folder / "profiles").mkdir(exist_ok=True)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "llamaagent", *words]
        return subprocess.run(
            argv, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=120, check=False
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    assert made.run("run", "--once").returncode == 0
    return made


def test_build_prints_the_path_and_a_second_one_changes_nothing(place: Place) -> None:
    first = place.run("report", "build")
    index = place.folder / "site" / "index.html"
    assert (first.returncode, first.stdout) == (0, f"{index}\n")
    before = os.stat(index).st_mtime_ns

    again = place.run("report", "build", "-q", "--open")

    assert (again.returncode, again.stdout, again.stderr) == (0, f"file://{index}\n", "")
    assert os.stat(index).st_mtime_ns == before
    assert "<title>here</title>" in index.read_text()


def test_the_page_about_the_data_says_how_long_the_settings_keep_it(place: Place) -> None:
    with open(place.folder / "llamaagent.yaml", "a", encoding="utf-8") as file:
        file.write("retention: {system_samples: 45d}\n")

    assert place.run("report", "build").returncode == 0

    page = (place.folder / "site" / "care.html").read_text(encoding="utf-8")
    assert '<td>45 d <span class="quiet">retention.system_samples</span></td>' in page


def test_a_part_of_the_site_needs_a_place_of_its_own(place: Place) -> None:
    refused = place.run("report", "build", "--since", "2h")
    assert refused.returncode == 2
    assert "-o DIR or --single-file FILE" in refused.stderr

    made = place.run("report", "build", "--since", "2h", "--project", "default", "--single-file", "one.html")
    assert (made.returncode, made.stdout) == (0, f"{place.folder / 'one.html'}\n")
    assert not (place.folder / "site").exists()
    assert place.run("report", "build", "--profile", "nobody", "-o", "x").returncode == 2


def test_a_wrong_section_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    place = Place(tmp_path, ", sections: [care, sistema]")
    place.run("run", "--once", "--no-report")

    done = place.run("report", "build")

    assert done.returncode == 78
    assert "reports.sections: no page is named 'sistema'" in done.stderr


def test_what_is_to_be_run_after_a_report_is_run_when_it_changed(tmp_path: Path) -> None:
    place = Place(tmp_path, ", after: 'echo \"$LLAMAAGENT_SITE\" >> ../after.txt'")
    place.run("run", "--once")
    assert place.run("report", "build").returncode == 0
    assert place.run("report", "build").returncode == 0

    assert (tmp_path / "after.txt").read_text() == f"{tmp_path / 'site'}\n"


def test_one_that_failed_is_run_again_and_one_that_hangs_is_ended(tmp_path: Path) -> None:
    place = Place(tmp_path, ", after: 'echo no >&2; test -e ../go && rm ../go', after_timeout: 2s")
    place.run("run", "--once")
    failed = place.run("report", "build")
    assert (failed.returncode, "reports.after ended with 1: no" in failed.stderr) == (0, True)
    (tmp_path / "go").touch()
    assert "reports.after" not in place.run("report", "build").stderr
    assert not (tmp_path / "go").exists()
    assert "reports.after" not in place.run("report", "build").stderr  # done, and nothing is new

    hung = Place(tmp_path, ", links: {A: 'https://a.example/'}, after: 'sleep 100', after_timeout: 1s")
    begin = time.monotonic()
    assert "reports.after was ended: it took more than 1 s" in hung.run("report", "build").stderr
    assert time.monotonic() - begin < 60


def test_a_pass_of_crons_builds_runs_what_comes_after_and_records_its_failure(tmp_path: Path) -> None:
    place = Place(tmp_path, ", after: 'exit 3'")
    text = (tmp_path / "llamaagent.yaml").read_text()
    (tmp_path / "llamaagent.yaml").write_text(text.replace("every: never", "every: 1s"))

    done = place.run("run", "--once")

    assert done.returncode == 0
    assert (tmp_path / "site" / "index.html").is_file()
    found = place.run(
        "query", "--json", "SELECT message FROM logs WHERE source = 'report' AND level = 'error'"
    )
    assert [row["message"] for row in json.loads(found.stdout)] == ["reports.after ended with 3"]


def test_a_folder_that_a_web_server_cannot_pass_is_told(tmp_path: Path) -> None:
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o700)
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        os.chmod(folder, 0o711)
    place = Place(shut)
    place.run("run", "--once")

    told = place.run("report", "build").stderr

    assert f"a web server cannot read the site: chmod o+x {shut}" in told
    os.chmod(shut, 0o711)
    assert "web server" not in place.run("report", "build").stderr


@pytest.fixture
def served(place: Place) -> Iterator[tuple[Place, str, subprocess.Popen[str]]]:
    assert place.run("report", "build", "--pictures", "none").returncode == 0
    argv = [sys.executable, "-m", "llamaagent", "report", "serve", "-q", "--port", "0"]
    with subprocess.Popen(
        argv, cwd=place.folder, env=place.env, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield place, process.stdout.readline().strip(), process
        finally:
            process.kill()


def fetch(address: str, host: str | None = None) -> tuple[int, str, bytes]:
    request = urllib.request.Request(address, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, "", b""


def test_serve_gives_the_site_to_this_machine_and_nothing_else(
    served: tuple[Place, str, subprocess.Popen[str]],
) -> None:
    place, address, process = served
    assert address.startswith("http://127.0.0.1:")
    code, kind, body = fetch(address)
    assert (code, kind, body) == (200, "text/html", (place.folder / "site" / "index.html").read_bytes())
    assert fetch(f"{address}feed.atom")[1] == "application/atom+xml"
    for hidden in (".llamaagent-site.json", "assets/", "nothing.html", "../llamaagent.yaml"):
        assert fetch(f"{address}{hidden}")[0] == 404, hidden
    assert fetch(address, "evil.example.org")[0] == 404
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130


def test_open_prints_the_address_where_there_is_no_browser(place: Place) -> None:
    assert place.run("report", "open").returncode == 2
    place.run("report", "build", "--pictures", "none")
    place.env |= {"BROWSER": "", "PATH": "/nowhere", "DISPLAY": ""}

    done = place.run("report", "open")

    assert (done.returncode, done.stdout) == (0, f"file://{place.folder / 'site' / 'index.html'}\n")


def test_a_front_page_over_several_sites(served: tuple[Place, str, subprocess.Popen[str]]) -> None:
    place, address, _ = served
    (place.folder / "odd").mkdir()
    (place.folder / "odd" / "status.json").write_text('{"profiles": 5}')

    done = place.run("report", "index", "-o", "all", "--title", "Ours", "site", address, "odd", "gone")

    assert (done.returncode, done.stdout) == (0, f"{place.folder / 'all' / 'index.html'}\n")
    assert "odd: cannot be read: it is no status.json of llamaagent" in done.stderr
    assert "gone: cannot be read: No such file or directory" in done.stderr
    page = (place.folder / "all" / "index.html").read_text()
    assert '<a href="../site/index.html">here</a>' in page
    assert f'<a href="{address}index.html">here</a>' in page
    assert page.index("no answer") < page.index(">here<")  # the troubled ones first
    assert place.run("report", "index", "-o", "all2", "gone").returncode == 69
    assert place.run("report", "index", "-o", "site", "site").returncode == 2
    assert place.run("report", "index", "site").returncode == 2
