"""A site with real servers that many tests read from, and what makes its tables comparable from run to run."""

from __future__ import annotations

import csv
import io
import json
import os
import pwd
import re
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from system.scratch_site import PORTS_PER_SITE, Outcome, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Outcome", "Site", "listing", "ports", "steady"]


@contextmanager
def ports() -> Iterator[tuple[int, int]]:
    """Ports that no other test run uses: the one before the first is held meanwhile."""
    for base in range(10000, 20000, PORTS_PER_SITE):
        with socket.socket() as guard:
            try:
                guard.bind(("127.0.0.1", base))
            except OSError:
                continue
            yield base + 1, base + PORTS_PER_SITE - 1
            return
    raise AssertionError("no block of ports is free")


def listing(text: str, kind: str) -> list[dict[str, object]]:
    """A listing as printed in one of the formats for programs."""
    if kind == "json":
        found = json.loads(text)
        assert isinstance(found, list), text
        return found
    if kind == "jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(io.StringIO(text), delimiter="," if kind == "csv" else "\t"))


_VOLATILE = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME"),
    (r"http://127\.0\.0\.1:\d+", "URL"),
    (r"\bhealth_ms=\d+", "health_ms=N"),
    (r"healthy \d+ s after", "healthy N s after"),
    (r"\(\d+ times, last TIME\)", "(N times, last TIME)"),
    (r"last pass (?:\d+[smh])+ ago", "last pass Ns ago"),
    (r"(running|for)  ?\d+(?:s|m)", r"\1  AGE"),
)
_COLUMNS = {
    "PID",
    "PORT",
    "BUILD",
    "UPTIME",
    "UPTIME S",
    "MEMORY MIB",
    "PEAK MEMORY MIB",
    "TOKENS PER SECOND",
}
_COLUMNS |= {"REQUESTS PROCESSING"}
_MAYBE = {
    "TOKENS PER SECOND",
    "REQUESTS PROCESSING",
    "MEMORY MIB",
}  # measured by the next pass, or by this one


def steady(text: str, site: Site) -> str:
    """What is printed for people, without what differs from run to run: places, times, sizes, and so the widths."""
    text = text.replace(str(site.root), "ROOT").replace(f"stopped by {_user()}", "stopped by USER")
    for pattern, word in _VOLATILE:
        text = re.sub(pattern, word, text)
    lines = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    header = lines[0] if lines else []
    if header and all(name == name.upper() for name in header):
        lines = [
            [
                "*" if name in _COLUMNS and cell != name and (cell != "-" or name in _MAYBE) else cell
                for name, cell in zip(header, line, strict=True)
            ]
            for line in lines
        ]
    return "".join("  ".join(line) + "\n" for line in lines)


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
