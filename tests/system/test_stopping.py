"""Stopping the real server while somebody is being answered."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import TYPE_CHECKING

import pytest
from scratch_site import ask, complete, eventually

if TYPE_CHECKING:
    from scratch_site import Site

pytestmark = pytest.mark.binary
ENDLESS = 100_000_000


class Client(threading.Thread):
    """A client that waits for a completion, or reads it as it is generated."""

    def __init__(self, port: object, tokens: int, *, stream: bool = True) -> None:
        super().__init__(daemon=True)
        self.port = int(str(port))
        self.body = {"prompt": "tell", "n_predict": tokens, "stream": stream, "ignore_eos": True}
        self.begun = threading.Event()
        self.last: dict[str, object] = {}
        self.start()
        assert self.begun.wait(20)

    def run(self) -> None:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            link.request("POST", "/completion", json.dumps(self.body), {"Content-Type": "application/json"})
            if not self.body["stream"]:
                self.begun.set()
            for line in link.getresponse():
                self.begun.set()
                if not self.body["stream"]:
                    self.last = json.loads(line)
        except (OSError, http.client.HTTPException):
            pass
        finally:
            link.close()
            self.begun.set()


def shifting(**more: object) -> dict[str, object]:
    """Options with which one answer may be longer than the context."""
    return {"args": {"threads": 1, "ctx-size": 256, "context-shift": True, "parallel": 1, **more}}


def test_a_request_in_flight_does_not_hold_the_stop_up(site: Site) -> None:
    """The first SIGTERM ends generation only; the second one ends the server."""
    site.profile("alpha", **shifting(), stop={"drain": "0s", "grace": "1s"})
    row = site.settle()["alpha"]
    client = Client(row["port"], ENDLESS)
    began = time.monotonic()
    done = site.run("stop", "alpha", "--timeout", "20s")
    assert done.rc == 0, done
    assert time.monotonic() - began < 10
    assert site.live() == {}
    client.join(5)
    assert not client.is_alive()
    ended = site.one("SELECT * FROM instances WHERE id = ?", row["id"])
    assert (ended["status"], ended["reason"]) == ("stopped", "override")
    # Hanging in the first SIGTERM is what it does nearly always: then it took two, and its exit code is 1.
    assert (ended["signals_sent"], ended["exit_code"]) in {(1, 0), (2, 1)}


def test_draining_lets_a_request_finish_first(site: Site) -> None:
    site.profile("alpha", **shifting(), stop={"drain": "30s", "grace": "2s"})
    row = site.settle()["alpha"]
    timings = complete(row["port"], "tell", 200)["timings"]
    assert isinstance(timings, dict)
    tokens = int(2.5 / (float(timings["predicted_ms"]) / 1000 / 200))
    client = Client(row["port"], tokens, stream=False)
    eventually(lambda: "requests_processing 1" in ask(row["port"], "/metrics")[1], "it is being answered")
    done = site.run("stop", "alpha", "--timeout", "40s")
    assert done.rc == 0, done
    client.join(5)
    assert client.last.get("stop") is True
    assert client.last["tokens_predicted"] == tokens
    ended = site.one("SELECT * FROM instances WHERE id = ?", row["id"])
    assert (ended["status"], ended["reason"], ended["exit_code"]) == ("stopped", "override", 0)
    figures = site.one("SELECT arithmetic FROM decisions WHERE action = 'stop'")["arithmetic"]
    assert json.loads(str(figures))["requests_processing"] == 1
    row = site.one("SELECT generated_tokens, finish_reason FROM generations ORDER BY id DESC LIMIT 1")
    assert row == {"generated_tokens": tokens, "finish_reason": "stop"}


def test_draining_has_an_end(site: Site) -> None:
    site.profile("alpha", **shifting(), stop={"drain": "1s", "grace": "1s"})
    row = site.settle()["alpha"]
    client = Client(row["port"], ENDLESS)
    assert site.run("stop", "alpha", "--timeout", "20s").rc == 0
    assert site.live() == {}
    client.join(5)
    cut = site.one("SELECT finish_reason FROM generations")
    assert cut["finish_reason"] == "cancelled"


def test_the_agent_may_be_killed_while_it_waits_for_a_drain(site: Site) -> None:
    site.profile("alpha", **shifting(), stop={"drain": "1s", "grace": "1s"})
    row = site.settle()["alpha"]
    client = Client(row["port"], ENDLESS)
    verb = site.start("stop", "alpha")
    eventually(lambda: site.newest()["alpha"]["status"] == "stopping", "stopping")
    verb.kill()
    verb.wait()
    site.settle("stopped")
    assert site.live() == {}
    client.join(5)
