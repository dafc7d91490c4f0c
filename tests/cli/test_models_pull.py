"""`models pull` against a server on this machine that answers well, badly, and not to the end."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from scratch_home import Agent, scratch_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Shelf:
    """What the server has, how it misbehaves, and what it was asked."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.statuses: dict[str, int] = {}
        self.redirects: dict[str, str] = {}
        self.cut: list[int] = []  # the next answers end after so many bytes
        self.etag: str | None = '"v1"'
        self.linked: str | None = None
        self.ranges = True
        self.length = True
        self.asked: list[tuple[str, str | None, str | None]] = []  # path, Range, Authorization
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Handler(BaseHTTPRequestHandler):
    """Answers GETs from a shelf."""

    shelf: Shelf

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        shelf, path = self.shelf, self.path.partition("?")[0]
        wanted = self.headers.get("Range")
        shelf.asked.append((path, wanted, self.headers.get("Authorization")))
        if path in shelf.redirects:
            self.send_response(302)
            self.send_header("Location", shelf.redirects[path])
            if shelf.linked:
                self.send_header("X-Linked-Etag", f'"{shelf.linked}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = shelf.files.get(path)
        status = shelf.statuses.get(path, 200 if data is not None else 404)
        if data is None or status != 200:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._send(data, wanted)

    def _send(self, data: bytes, wanted: str | None) -> None:
        shelf, start = self.shelf, 0
        fresh = self.headers.get("If-Range") in {None, shelf.etag}
        if wanted and shelf.ranges and fresh:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        if shelf.etag:
            self.send_header("ETag", shelf.etag)
        body = data[start:]
        if shelf.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: shelf.cut.pop(0)] if shelf.cut else body)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    made = Shelf()
    handler = type("OneHandler", (Handler,), {"shelf": made})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def weights(tiny_model: str) -> bytes:
    with open(tiny_model, "rb") as file:
        return file.read()


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "models"


def test_a_file_comes_whole_and_is_said(agent: Agent, shelf: Shelf, folder: Path, weights: bytes) -> None:
    shelf.files["/a/x.gguf"] = weights
    done = agent("models", "pull", f"{shelf.url}/a/x.gguf", "-o", folder)
    assert done.stdout == f"{folder}/x.gguf\n"
    assert (folder / "x.gguf").read_bytes() == weights
    assert os.listdir(folder) == ["x.gguf"]
    assert "models scan" in done.stderr
    again = agent("models", "pull", f"{shelf.url}/a/x.gguf", "-o", folder, code=73)
    assert "is already there" in again.stderr


def test_the_settings_say_where(agent: Agent, shelf: Shelf, site: Path, folder: Path, weights: bytes) -> None:
    (site / "llamaagent.yaml").write_text(f"models: {{directories: [{folder}]}}\n")
    shelf.files["/x.gguf"] = weights
    agent("models", "pull", f"{shelf.url}/x.gguf", cwd=site)
    assert (folder / "x.gguf").exists()
    assert "no folder is named" in agent("models", "pull", f"{shelf.url}/x.gguf", code=2).stderr


def test_a_connection_that_breaks_off_is_taken_up_again(
    agent: Agent, shelf: Shelf, folder: Path, weights: bytes
) -> None:
    shelf.files["/x.gguf"] = weights
    shelf.cut = [1000, 5000]
    agent("models", "pull", f"{shelf.url}/x.gguf", "-o", folder)
    assert (folder / "x.gguf").read_bytes() == weights
    assert [found for _, found, _ in shelf.asked] == [None, "bytes=1000-", "bytes=6000-"]


def test_one_that_breaks_off_for_good_goes_on_in_the_next_call(
    agent: Agent, shelf: Shelf, folder: Path, weights: bytes
) -> None:
    shelf.files["/x.gguf"] = weights
    shelf.cut = [1000, 0, 0, 0, 0]
    done = agent("models", "pull", f"{shelf.url}/x.gguf", "-o", folder, code=69)
    assert f"ended after 1000 of {len(weights)} bytes" in done.stderr
    assert sorted(os.listdir(folder)) == ["x.gguf.part", "x.gguf.part.from"]
    shelf.cut, shelf.asked = [], []
    agent("models", "pull", f"{shelf.url}/x.gguf", "-o", folder)
    assert shelf.asked[0][1] == "bytes=1000-"
    assert (folder / "x.gguf").read_bytes() == weights


@pytest.mark.parametrize("change", ["etag", "no etag", "no ranges"])
def test_another_version_is_never_glued_to_the_old_one(
    agent: Agent, shelf: Shelf, folder: Path, weights: bytes, change: str
) -> None:
    shelf.files["/x.gguf"] = b"GGUF" + b"\1" * len(weights)
    shelf.cut = [1000, 0, 0, 0, 0]
    if change == "no etag":
        shelf.etag = None
    agent("models", "pull", f"{shelf.url}/x.gguf", "-o", folder, code=69)
    shelf.files["/x.gguf"], shelf.cut = weights, []
    shelf.etag = {"etag": '"v2"', "no etag": None}.get(change, '"v1"')
    shelf.ranges = change != "no ranges"
    agent("models", "pull", f"{shelf.url}/x.gguf", "-o", folder)
    assert (folder / "x.gguf").read_bytes() == weights


def test_a_part_that_is_whole_already_is_only_put_in_place(
    agent: Agent, shelf: Shelf, folder: Path, weights: bytes
) -> None:
    shelf.files["/x.gguf"] = weights
    folder.mkdir()
    (folder / "x.gguf.part").write_bytes(weights)
    (folder / "x.gguf.part.from").write_text(f'{shelf.url}/x.gguf\n"v1"\n')
    agent("models", "pull", f"{shelf.url}/x.gguf", "-o", folder)
    assert (folder / "x.gguf").read_bytes() == weights
    assert len(shelf.asked) == 1


def test_a_part_that_is_longer_than_the_file_begins_anew(
    agent: Agent, shelf: Shelf, folder: Path, weights: bytes
) -> None:
    shelf.files["/x.gguf"] = weights
    folder.mkdir()
    (folder / "x.gguf.part").write_bytes(weights + b"more")
    (folder / "x.gguf.part.from").write_text(f'{shelf.url}/x.gguf\n"v1"\n')
    agent("models", "pull", f"{shelf.url}/x.gguf", "-o", folder)
    assert (folder / "x.gguf").read_bytes() == weights


@pytest.mark.parametrize(
    ("status", "code"), [(401, 69), (403, 69), (404, 65), (410, 65), (500, 69), (503, 69)]
)
def test_what_the_server_refuses_is_said(
    agent: Agent, shelf: Shelf, folder: Path, status: int, code: int
) -> None:
    shelf.files["/x.gguf"], shelf.statuses["/x.gguf"] = b"GGUF", status
    done = agent("models", "pull", f"{shelf.url}/x.gguf?sig=hunter2", "-o", folder, code=code)
    assert str(status) in done.stderr
    assert "hunter2" not in done.stderr
    assert ("HF_TOKEN" in done.stderr) == (status in {401, 403})
    assert not (folder / "x.gguf").exists()


def test_a_page_in_place_of_a_model_is_refused_at_once(agent: Agent, shelf: Shelf, folder: Path) -> None:
    shelf.files["/x.gguf"] = b"<!DOCTYPE html>" * 100
    assert "is no GGUF file" in agent("models", "pull", f"{shelf.url}/x.gguf", "-o", folder, code=65).stderr
    assert not (folder / "x.gguf").exists()


def test_a_stream_without_a_length_that_is_cut_is_noticed(
    agent: Agent, shelf: Shelf, folder: Path, weights: bytes
) -> None:
    shelf.files["/x.gguf"], shelf.length, shelf.cut = weights, False, [5000]
    assert agent("models", "pull", f"{shelf.url}/x.gguf", "-o", folder, code=65).stderr


def test_a_server_that_is_not_there_is_69(agent: Agent, folder: Path, unused_port: int) -> None:
    done = agent("models", "pull", f"http://127.0.0.1:{unused_port}/x.gguf", "-o", folder, code=69)
    assert "cannot reach 127.0.0.1" in done.stderr


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    "source",
    [
        "ftp://x/y.gguf",
        "x.gguf",
        "http://127.0.0.1/x.bin",
        "http://127.0.0.1/",
        "http://u:p@127.0.0.1/x.gguf",
    ],
)
def test_a_source_that_cannot_be_meant_is_wrong_usage(agent: Agent, folder: Path, source: str) -> None:
    refused = agent("models", "pull", source, "-o", folder, code=2)
    assert (refused.stdout, bool(refused.stderr), folder.exists()) == ("", True, False)


@pytest.mark.parametrize("source", ["hf:nonsense", "hf:../..:Q4", "hf:a/b/c"])
def test_a_repository_that_cannot_be_meant_is_bad_input(agent: Agent, folder: Path, source: str) -> None:
    refused = agent("models", "pull", source, "-o", folder, code=65)
    assert (refused.stdout, source.removeprefix("hf:") in refused.stderr, folder.exists()) == (
        "",
        True,
        False,
    )


def test_two_at_once_do_not_write_into_each_others_file(
    agent: Agent, shelf: Shelf, folder: Path, weights: bytes
) -> None:
    shelf.files["/x.gguf"] = weights
    folder.mkdir()
    with (folder / "x.gguf.part").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = agent("models", "pull", f"{shelf.url}/x.gguf", "-o", folder, code=75)
    assert "is being written by another program" in done.stderr
    agent("models", "pull", f"{shelf.url}/x.gguf", "-o", folder)


def hub(shelf: Shelf, files: dict[str, bytes], *, sha: str | None = None) -> dict[str, str]:
    """A repository ann/x-GGUF; gives the variable that points there."""
    listing = []
    for name, data in files.items():
        shelf.files[f"/ann/x-GGUF/resolve/main/{name}"] = data
        known = sha or hashlib.sha256(data).hexdigest()
        listing.append({"rfilename": name, "size": len(data), "lfs": {"sha256": known, "size": len(data)}})
    shelf.files["/api/models/ann/x-GGUF"] = json.dumps({"siblings": listing}).encode()
    return {"HF_ENDPOINT": shelf.url}


def test_a_quantization_of_a_repository_is_found_and_checked(
    agent: Agent, shelf: Shelf, folder: Path, weights: bytes
) -> None:
    env = hub(
        shelf,
        {"x-Q4_K_M.gguf": weights, "x-Q8_0.gguf": b"GGUF", "mmproj-Q4_K_M.gguf": b"GGUF", "README.md": b""},
    )
    agent("models", "pull", "hf:ann/x-GGUF", "-o", folder, env=env)
    assert (folder / "x-Q4_K_M.gguf").read_bytes() == weights
    done = agent("models", "pull", "hf:ann/x-GGUF:q4_k_m", "-o", folder, env=env)
    assert "is already there" in done.stderr
    done = agent("models", "pull", "hf:ann/x-GGUF:Q5_0", "-o", folder, env=env, code=65)
    assert "there are: x-Q4_K_M.gguf, x-Q8_0.gguf" in done.stderr


def test_all_parts_of_a_model_come(agent: Agent, shelf: Shelf, folder: Path, weights: bytes) -> None:
    files = {f"Q8_0/x-Q8_0-0000{n}-of-00002.gguf": weights for n in (1, 2)}
    env = hub(shelf, files)
    done = agent("models", "pull", "hf:ann/x-GGUF:Q8_0", "-o", folder, env=env, code=None)
    assert len(done.stdout.splitlines()) == 2
    assert sorted(os.listdir(folder)) == ["x-Q8_0-00001-of-00002.gguf", "x-Q8_0-00002-of-00002.gguf"]
    env = hub(shelf, {"y-Q4_0-00001-of-00002.gguf": weights})
    assert (
        "1 of 2 parts" in agent("models", "pull", "hf:ann/x-GGUF:Q4_0", "-o", folder, env=env, code=65).stderr
    )


def test_a_wrong_checksum_is_thrown_away(agent: Agent, shelf: Shelf, folder: Path, weights: bytes) -> None:
    env = hub(shelf, {"x-Q8_0.gguf": weights}, sha="0" * 64)
    done = agent("models", "pull", "hf:ann/x-GGUF:Q8_0", "-o", folder, env=env, code=65)
    assert "what came is damaged" in done.stderr
    assert os.listdir(folder) == []


def test_a_checksum_that_a_redirect_tells_counts(
    agent: Agent, shelf: Shelf, folder: Path, weights: bytes
) -> None:
    shelf.files["/cdn"], shelf.redirects["/x.gguf"], shelf.linked = weights, "/cdn", "0" * 64
    assert "is damaged" in agent("models", "pull", f"{shelf.url}/x.gguf", "-o", folder, code=65).stderr
    shelf.linked = hashlib.sha256(weights).hexdigest()
    agent("models", "pull", f"{shelf.url}/x.gguf", "-o", folder)


def test_the_token_goes_to_its_host_and_nowhere_else(
    agent: Agent, shelf: Shelf, folder: Path, weights: bytes
) -> None:
    env = hub(shelf, {"x-Q8_0.gguf": weights}) | {"HF_TOKEN": "hunter2"}
    path = "/ann/x-GGUF/resolve/main/x-Q8_0.gguf"
    shelf.files["/cdn"] = shelf.files.pop(path)
    shelf.redirects[path] = f"http://localhost:{shelf.port}/cdn"
    done = agent("models", "pull", "hf:ann/x-GGUF:Q8_0", "-o", folder, env=env)
    sent = {where: token for where, _, token in shelf.asked}
    assert sent == {"/api/models/ann/x-GGUF": "Bearer hunter2", path: "Bearer hunter2", "/cdn": None}
    assert "hunter2" not in done.stdout + done.stderr
    shelf.files["/y.gguf"] = weights
    agent("models", "pull", f"{shelf.url}/y.gguf", "-o", folder, env=env)
    assert shelf.asked[-1] == ("/y.gguf", None, None)


def test_a_circle_of_redirects_ends(agent: Agent, shelf: Shelf, folder: Path) -> None:
    shelf.redirects = {"/x.gguf": "/y.gguf", "/y.gguf": "/x.gguf"}
    assert "in a circle" in agent("models", "pull", f"{shelf.url}/x.gguf", "-o", folder, code=69).stderr
    shelf.redirects = {"/x.gguf": "file:///etc/passwd"}
    agent("models", "pull", f"{shelf.url}/x.gguf", "-o", folder, code=65)


def test_progress_is_for_terminals(home: Path, shelf: Shelf, folder: Path, weights: bytes) -> None:
    shelf.files["/x.gguf"] = weights
    main, side = pty.openpty()
    words = [sys.executable, "-m", "llamaagent", "models", "pull", f"{shelf.url}/x.gguf", "-o", str(folder)]
    done = subprocess.run(
        words,
        env=scratch_environment(home),
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=side,
        check=True,
        timeout=60,
    )
    os.close(side)
    seen = os.read(main, 65536).decode()
    os.close(main)
    assert "x.gguf 100% [####" in seen
    assert done.stdout == f"{folder}/x.gguf\n".encode()
