"""`report index` over sites that are silent, broken or hostile: each costs a line, never the front page."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "TZ": "UTC"}
HOUR_S = 3600


def status(**more: object) -> dict[str, Any]:
    told: dict[str, Any] = {
        "schema": 1, "title": "gpu1", "time": int(time.time()), "state": "ok", "problems": [], "gpus": [],
        "profiles": [{"profile": "a", "status": "running"}], "day": {"requests": 7, "generated_tokens": 1234},
    }  # fmt: skip
    return told | more


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., str]:
    def make(name: str, text: str | None = None, **more: object) -> str:
        (tmp_path / name).mkdir()
        (tmp_path / name / "status.json").write_text(
            json.dumps(status(title=name) | more) if text is None else text
        )
        return name

    return make


def index(folder: Path, *places: str) -> tuple[subprocess.CompletedProcess[str], str]:
    argv = [sys.executable, "-m", "llamaagent", "report", "index", "-o", "all", "--timeout", "2s", *places]
    done = subprocess.run(
        argv, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False
    )
    page = folder / "all" / "index.html"
    return done, page.read_text() if page.exists() else ""


def rows(page: str) -> dict[str, str]:
    """Each site's row, in the order of the page."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    found = re.findall(r'<tr><th scope="row"><a href="[^"]*">([^<]*)</a></th>(.*?)</tr>', body, re.DOTALL)
    return dict(found)


def test_a_site_that_fell_silent_is_told_with_its_year_and_stands_before_those_that_are_well(
    tmp_path: Path, site: Callable[..., str]
) -> None:
    done, page = index(tmp_path, site("a-well"), site("b-old", time=1_036_000), site("c-bad", state="bad"))

    assert done.returncode == 0
    found = rows(page)
    assert list(found) == ["c-bad", "b-old", "a-well"]
    assert "silent since Mon 12 Jan 1970 23:46 UTC" in found["b-old"]
    assert ">well<" not in found["b-old"]
    assert "silent" not in found["a-well"]
    assert re.search(r"[A-Z][a-z]{2} \d+ [A-Z][a-z]{2} \d\d:\d\d UTC</time>", found["a-well"])


def test_a_site_is_silent_after_an_hour_or_three_of_its_own_intervals(
    tmp_path: Path, site: Callable[..., str]
) -> None:
    now = int(time.time())
    daily = {"time": now - 40 * HOUR_S, "interval_s": 24 * HOUR_S}
    places = [
        site("late", time=now - 2 * HOUR_S), site("fresh", time=now - 1200, interval_s=60),
        site("daily", **daily), site("gone", **daily | {"time": now - 80 * HOUR_S}),
        site("odd", time=now - 2 * HOUR_S, interval_s="1e9"), site("ahead", time=now + 2 * HOUR_S),
    ]  # fmt: skip
    found = rows(index(tmp_path, *places)[1])

    assert {name for name, text in found.items() if "silent since" in text} == {"late", "gone", "odd"}
    assert "its clock is ahead" in found["ahead"]
    assert list(found)[-2:] == ["daily", "fresh"]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        json.dumps(status(time=1e20)),
        json.dumps(status(time=10**30)),
        json.dumps(status(time=-1)),
        json.dumps(status(time=float("nan"))),
        json.dumps(status(time=True)),
        json.dumps(status(time="1795257000")),
        json.dumps(status(day={"requests": float("inf"), "generated_tokens": 1})),
        json.dumps(status(day={"requests": 10**400, "generated_tokens": 1})),
        '{"time": ' + "9" * 5000 + "}",
        json.dumps(status(title=["x"])),
        json.dumps(status(state={"x": 1})),
        json.dumps(status(problems=[5])),
        json.dumps(status(problems=[{"text": {}, "profile": None}])),
        json.dumps(status(profiles={"a": 1})),
        json.dumps(status(gpus=3)),
        "null",
        "\ufeff\x00",
        "",
    ],
    ids=lambda text: text[:12] + text[-20:],
)
def test_a_file_that_is_no_status_costs_one_line(tmp_path: Path, site: Callable[..., str], text: str) -> None:
    done, page = index(tmp_path, site("good"), site("odd", text))

    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.endswith("odd: cannot be read: it is no status.json of llamaagent")
    assert list(rows(page)) == ["odd", "good"]
    assert "no answer" in rows(page)["odd"]


def test_a_server_that_is_not_there_is_told_in_the_systems_words(
    tmp_path: Path, site: Callable[..., str], free_port: int
) -> None:
    done, _ = index(tmp_path, site("good"), f"http://127.0.0.1:{free_port}/")
    assert done.returncode == 0
    assert done.stderr == f"http://127.0.0.1:{free_port}/: cannot be read: Connection refused\n"


def test_hostile_words_of_a_site_stay_words(tmp_path: Path, site: Callable[..., str]) -> None:
    nasty = '<script>"&\ud800\x00'
    done, page = index(
        tmp_path, site("nasty", title=nasty, state=nasty, problems=[{"text": nasty, "profile": nasty}])
    )
    assert done.returncode == 0
    assert "<script>" not in page
    assert "\x00" not in page
    assert "&lt;script&gt;" in page


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], str]]:
    """Answer each connection with fixed bytes, whatever was asked."""
    sockets: list[socket.socket] = []

    def start(answer: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def loop() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(65536)
                    peer.sendall(answer)

        threading.Thread(target=loop, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield start
    for one in sockets:
        one.shutdown(socket.SHUT_RDWR)
        one.close()


def test_ports_that_speak_no_http_and_addresses_that_are_none_cost_one_line_each(
    tmp_path: Path, site: Callable[..., str], serve: Callable[[bytes], str]
) -> None:
    places = [
        serve(b"SSH-2.0-OpenSSH_9.2\r\n"),
        serve(b""),
        serve(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"),
        serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        serve(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n"),
        "http://a b.example/",
        "http://127.0.0.1:99999/",
        "http://[::1/",
        f"http://{'x' * 70}.example/",
    ]
    os.mkfifo(tmp_path / "status.json")
    done, page = index(tmp_path, site("good"), *places, ".")

    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == len(places) + 1
    assert len(rows(page)) == len(places) + 2
    assert page.count("no answer") == len(places) + 1


def test_an_answer_that_drips_takes_no_longer_than_the_time_limit(
    tmp_path: Path, site: Callable[..., str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            peer, _ = listener.accept()
            with peer:
                try:
                    peer.sendall(b"HTTP/1.0 200 OK\r\n\r\n{")
                    while True:
                        peer.sendall(b" ")
                        time.sleep(0.2)
                except OSError:
                    return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        done, page = index(tmp_path, site("good"), f"http://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join(60)

    assert done.returncode == 0
    assert "no answer" in page
    assert not thread.is_alive()
