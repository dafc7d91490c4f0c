"""A site with an embedded server that tests ask, and what its own /metrics counts."""

from __future__ import annotations

import re
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scratch_site import PORTS_PER_SITE, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scratch_site import Site

ARGS = {"threads": 1, "parallel": 4, "ctx-size": 8192}
KEPT = (
    "client", "session_id", "prompt_tokens", "cached_tokens", "generated_tokens", "finish_reason", "temperature",
    "max_tokens", "cache_hit", "cache_key", "task_id", "instance_id", "first_token_ms", "total_time_ms",
)  # fmt: skip


@contextmanager
def held_ports() -> Iterator[tuple[int, int]]:
    """Ports for a site of a whole module, which no other test run uses: the one before the first is held meanwhile."""
    for base in range(6000, 7380, PORTS_PER_SITE):
        with socket.socket() as guard:
            try:
                guard.bind(("127.0.0.1", base))
            except OSError:
                continue
            yield base + 1, base + PORTS_PER_SITE - 1
            return
    raise AssertionError("no block of ports is free")


def port_of(site: Site, name: str = "tiny") -> int:
    """Where a server listens."""
    return int(str(site.newest()[name]["port"]))


def counted(site: Site, name: str = "tiny", key: str | None = None) -> dict[str, int]:
    """What the server itself has counted: tokens read, from its own cache, and written."""
    status, text = ask(port_of(site, name), "/metrics", key=key)
    assert status == 200, text
    names = {
        "prompt": "prompt_tokens_total",
        "cached": "prompt_tokens_cached_total",
        "written": "tokens_predicted_total",
    }
    return {
        word: int(float(re.findall(rf"^llamacpp:{metric} (\S+)$", text, re.MULTILINE)[0]))
        for word, metric in names.items()
    }


def generations(site: Site) -> list[dict[str, object]]:
    """Every row of `generations`, in order."""
    return site.rows(f"SELECT {', '.join(KEPT)} FROM generations ORDER BY ts, id")


def slots_busy(site: Site, name: str = "tiny") -> int:
    """How many requests the server works at."""
    _, text = ask(port_of(site, name), "/metrics")
    return int(float(re.findall(r"^llamacpp:requests_processing (\S+)$", text, re.MULTILINE)[0]))
