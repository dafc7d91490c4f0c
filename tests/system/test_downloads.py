"""Models that the server fetches by itself: from an address, from a hub that does not answer."""

from __future__ import annotations

import functools
import http.server
import json
import os
import threading
from typing import TYPE_CHECKING

import pytest
from scratch_site import ask, complete, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scratch_site import Site

pytestmark = pytest.mark.binary


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, without a line for each."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the parent's
        """Say nothing."""


@pytest.fixture
def shelf(tiny_model: str) -> Iterator[str]:
    """An address below which the model's folder lies."""
    handler = functools.partial(Quiet, directory=os.path.dirname(tiny_model))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_model_by_its_address_is_downloaded_and_served(site: Site, shelf: str, tmp_path: Path) -> None:
    """A bare --model-url is ignored by llama-server: it would read `running` as a router without any model."""
    name = os.path.basename(site.model)
    cache = tmp_path / "cache"
    site.profile("alpha", model={"url": f"{shelf}/{name}"}, runtime={"env": {"LLAMA_CACHE": str(cache)}})
    row = site.settle()["alpha"]
    assert complete(row["port"], "a", 2)["tokens_predicted"] == 2
    assert json.loads(ask(row["port"], "/props")[1])["total_slots"] == 2
    (kept,) = [path for path in cache.iterdir() if path.name.endswith(".gguf")]
    assert kept.name.endswith(f"-{name}")
    assert json.loads(str(row["argv"]))[1:3] == ["--model", str(kept)]


def test_a_hub_that_does_not_answer_is_asked_again(site: Site, tmp_path: Path) -> None:
    """No network at boot must not leave a server down for good: nothing would change that it waits for."""
    site.profile(
        "alpha",
        model={"hf": "nobody/nothing:Q4_0"},
        runtime={"env": {"HF_ENDPOINT": "http://127.0.0.1:9/", "LLAMA_CACHE": str(tmp_path / "cache")}},
    )
    eventually(lambda: ("end", "failed") in decisions(site), "ended, and will be tried again")
    row = site.newest()["alpha"]
    assert (row["status"], row["reason"]) == ("error", "failed"), site.logs()
    assert row["retry_ts"] is not None
    eventually(lambda: decisions(site).count(("start", "failed")) > 0, "tried again")


def decisions(site: Site) -> list[tuple[str, str]]:
    site.once("-q")
    return site.decisions("alpha")
