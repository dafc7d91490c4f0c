"""The stand-in misbehaves as it is told to; tests of the agent rely on it."""

from __future__ import annotations

import signal
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from llamaagent.launch.exits import read_exit
from llamaagent.launch.identity import alive

if TYPE_CHECKING:
    from conftest import Ground, Launched


def fake(ground: Ground, program: str, port: int, mode: str, **env: str) -> Launched:
    words = ("--model", "m.gguf", "--host", "127.0.0.1", "--port", str(port), "--metrics")
    launched = ground.launch(program, *words, env=(("FAKE_MODE", mode), *env.items()))
    launched.joined()
    return launched


def health(port: int) -> int:
    """The HTTP status of /health, 0 while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=0.5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


def status_of(ground: Ground, launched: Launched) -> int:
    ground.until(lambda: read_exit(launched.request.exit_path))
    record = read_exit(launched.request.exit_path)
    assert record is not None
    return record.status


def test_it_is_healthy_after_its_delay_and_ends_with_0(
    ground: Ground, fake_server: str, free_port: int
) -> None:
    launched = fake(ground, fake_server, free_port, "delay-ready:0.4")
    ground.until(lambda: health(free_port) == 503)
    ground.until(lambda: health(free_port) == 200)
    launched.signal(signal.SIGTERM)
    assert status_of(ground, launched) == 0


@pytest.mark.parametrize(
    ("mode", "status"),
    [("exit-at-once:3", 3), ("bad-option", 1), ("missing-model", 1), ("oom", 1), ("exit-after:0.1", 134)],
)
def test_it_ends_by_itself(ground: Ground, fake_server: str, free_port: int, mode: str, status: int) -> None:
    words = (fake_server, "--model", "m", "--port", str(free_port))
    assert status_of(ground, ground.launch(*words, env=(("FAKE_MODE", mode),))) == status


def test_it_never_becomes_healthy(ground: Ground, fake_server: str, free_port: int) -> None:
    launched = fake(ground, fake_server, free_port, "never-healthy")
    ground.until(lambda: health(free_port) == 503)
    launched.signal(signal.SIGTERM)
    assert status_of(ground, launched) == 143


def test_it_ignores_sigterm(ground: Ground, fake_server: str, free_port: int) -> None:
    launched = fake(ground, fake_server, free_port, "ignore-sigterm")
    ground.until(lambda: health(free_port) == 200)
    launched.signal(signal.SIGTERM)
    assert health(free_port) == 200
    launched.signal(signal.SIGKILL)
    assert status_of(ground, launched) == 137


def test_it_hangs(ground: Ground, fake_server: str, free_port: int) -> None:
    launched = fake(ground, fake_server, free_port, "hang")
    ground.until(lambda: "loading model" in launched.log())
    assert health(free_port) == 0
    assert alive(launched.server)


def test_a_taken_port_ends_it_with_1(ground: Ground, fake_server: str, free_port: int) -> None:
    fake(ground, fake_server, free_port, "")
    ground.until(lambda: health(free_port) == 200)
    second = ground.launch(fake_server, "--port", str(free_port))
    assert status_of(ground, second) == 1
    assert "couldn't bind HTTP server socket" in second.log()


def test_it_counts_its_launches_and_requests(ground: Ground, fake_server: str, free_port: int) -> None:
    notes = {"FAKE_LAUNCHES": f"{ground.folder}/launches", "FAKE_HITS": f"{ground.folder}/hits"}
    launched = fake(ground, fake_server, free_port, "", **notes)
    ground.until(lambda: health(free_port) == 200)
    with open(notes["FAKE_LAUNCHES"], encoding="ascii") as file:
        assert file.read() == f"{launched.joined().pid}\n"
    with open(notes["FAKE_HITS"], encoding="ascii") as file:
        assert file.readline() == "GET /health HTTP/1.1\n"


def test_its_grandchild_is_found_and_ended(ground: Ground, fake_server: str, free_port: int) -> None:
    launched = fake(ground, fake_server, free_port, "fork-grandchild")
    ground.until(lambda: health(free_port) == 200)
    launched.signal(signal.SIGTERM)
    ground.until(launched.gone)
