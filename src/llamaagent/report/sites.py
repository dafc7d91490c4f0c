"""The front page over several sites: a row for each, the troubled ones first."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import jinja2

from llamaagent.base.errors import UsageError
from llamaagent.base.record import NamedTuple
from llamaagent.report import times
from llamaagent.report.folder import site_folder
from llamaagent.report.paths import read_site_file
from llamaagent.report.publish import Site

if TYPE_CHECKING:
    from collections.abc import Sequence

_ORDER = {"bad": 0, "unknown": 1, "warn": 2, "ok": 3}
_POLICY = "default-src 'none'; img-src data:; style-src 'self' file:"


class Status(NamedTuple):
    """What a status.json tells, as far as a front page needs it. time: the end of its day, seconds UTC."""

    state: str
    time: int
    running: int
    profiles: int
    gpus: int
    problems: tuple[str, ...]
    requests: int
    generated_tokens: int


class SiteRow(NamedTuple):
    """One site. place: as it was given; link: of its first page; failure: why there is no status."""

    place: str
    link: str
    title: str
    status: Status | None
    failure: str | None = None


def read_status(place: str, link: str, data: bytes) -> SiteRow:
    """Read a status.json. Raises ValueError for what is none."""
    try:
        told: Any = json.loads(data)
        day = told["day"]
        profiles = told["profiles"]
        status = Status(
            state=str(told["state"]),
            time=int(told["time"]),
            running=sum(one["status"] == "running" for one in profiles),
            profiles=len(profiles),
            gpus=len(told["gpus"]),
            problems=tuple(_problem(one) for one in told["problems"]),
            requests=int(day["requests"]),
            generated_tokens=int(day["generated_tokens"]),
        )
        return SiteRow(place, link, str(told["title"]), status)
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError("it is no status.json of llamaagent") from error


def _problem(told: dict[str, Any]) -> str:
    return f"{told['profile']} {told['text']}" if told.get("profile") else str(told["text"])


def write_index(rows: Sequence[SiteRow], directory: str, title: str) -> str:
    """Write the page into a folder of its own and return its path. Raises UsageError over a site."""
    if os.path.exists(os.path.join(directory, "status.json")):
        raise UsageError(f"{directory} is a site itself", hint="give the front page a folder of its own")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(site_folder()), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    zone = times.find_zone(None)
    environment.filters.update(
        iso=lambda ts: times.iso(ts, zone),
        instant=lambda ts: times.format_instant(ts, zone, ts),
        count="{:,d}".format,
    )
    style = read_site_file("style.css").encode()
    style_path = f"assets/style-{hashlib.sha256(style).hexdigest()[:12]}.css"
    ordered = sorted(
        rows, key=lambda row: (_ORDER.get(row.status.state if row.status else "unknown", 1), row.title)
    )
    with Site(directory, public=True) as site:
        site.add_asset(style_path, style)
        text = environment.get_template("sites.html").render(
            rows=ordered, title=title, style=style_path, policy=_POLICY
        )
        site.add_page("index.html", text.encode("utf-8", "replace"))
        site.publish()
    return os.path.join(directory, "index.html")
