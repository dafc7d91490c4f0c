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
    import datetime as dt
    from collections.abc import Sequence

_WORDS = {"ok": ("good", "well"), "warn": ("warn", "look"), "bad": ("bad", "wrong")}
_ORDER = {"wrong": 0, "no answer": 1, "silent": 2, "unknown": 3, "look": 4, "well": 5}
_POLICY = "default-src 'none'; img-src data:; style-src 'self' file:"
_LAST_TS = 253_370_764_800  # the year 9999: a later instant cannot be written
_MOST = 1 << 62  # of anything that is counted
_YEAR_S = 366 * 86400
_SILENT_S, _SILENT_INTERVALS = 3600, 3
_AHEAD_S = 600  # clocks of two machines differ by less
_NO_CONTROLS = dict.fromkeys({*range(32), *range(127, 160), *range(0xD800, 0xE000)} - {9, 10}, "\ufffd")


class Status(NamedTuple):
    """What a status.json tells, as far as a front page needs it. time: the end of its day, seconds UTC.

    interval_s: how often its site is built, 0 = not known.
    """

    state: str
    time: int
    running: int
    profiles: int
    gpus: int
    problems: tuple[str, ...]
    requests: int
    generated_tokens: int
    interval_s: int = 0


class SiteRow(NamedTuple):
    """One site. place: as it was given; link: of its first page; failure: why there is no status."""

    place: str
    link: str
    title: str
    status: Status | None
    failure: str | None = None


class Standing(NamedTuple):
    """How a site is said to be. tone: of its badge; remark: what to know of its time, or empty."""

    tone: str
    word: str
    remark: str = ""


def read_status(place: str, link: str, data: bytes) -> SiteRow:
    """Read a status.json, which anybody may have written. Raises ValueError for what is none."""
    try:
        told: Any = json.loads(data)
        day, profiles = told["day"], _items(told["profiles"])
        status = Status(
            state=_text(told["state"]),
            time=_whole(told["time"], _LAST_TS),
            running=sum(one["status"] == "running" for one in profiles),
            profiles=len(profiles),
            gpus=len(_items(told["gpus"])),
            problems=tuple(_problem(one) for one in _items(told["problems"])),
            requests=_whole(day["requests"]),
            generated_tokens=_whole(day["generated_tokens"]),
            interval_s=_interval(told.get("interval_s")),
        )
        return SiteRow(place, link, _text(told["title"]), status)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError("it is no status.json of llamaagent") from error


def _problem(told: dict[str, Any]) -> str:
    text = _text(told["text"])
    return f"{_text(told['profile'])} {text}" if told.get("profile") else text


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value.translate(_NO_CONTROLS)


def _whole(value: object, most: int = _MOST) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError("not a whole number")
    return value


def _items(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _interval(value: object) -> int:
    """Of use only where it is one: without it, an hour is enough."""
    try:
        return _whole(value, _YEAR_S)
    except ValueError:
        return 0


def judge(row: SiteRow, now: int, zone: dt.tzinfo) -> Standing:
    """Say how a site is. A status older than an hour, and than three builds of its own, says nothing any more."""
    status = row.status
    if status is None:
        return Standing("bad", "no answer")
    if now - status.time > max(_SILENT_S, _SILENT_INTERVALS * status.interval_s):
        return Standing("bad", "silent", f"silent since {_instant(status.time, zone, now)}")
    tone, word = _WORDS.get(status.state, ("off", "unknown"))
    ahead = status.time - now > _AHEAD_S
    return Standing(tone, "look" if ahead and word == "well" else word, "its clock is ahead" if ahead else "")


def _instant(ts: int, zone: dt.tzinfo, now: int) -> str:
    return f"{times.format_instant(ts, zone, now)} {times.zone_label(ts, ts, zone)}"


def write_index(rows: Sequence[SiteRow], directory: str, title: str, now: int) -> str:
    """Write the page into a folder of its own and return its path. now: seconds UTC. Raises UsageError over a site."""
    if os.path.exists(os.path.join(directory, "status.json")):
        raise UsageError(f"{directory} is a site itself", hint="give the front page a folder of its own")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(site_folder()), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    zone = times.find_zone(None)
    environment.filters.update(
        iso=lambda ts: times.iso(ts, zone),
        instant=lambda ts: _instant(ts, zone, now),
        count="{:,d}".format,
    )
    style = read_site_file("style.css").encode()
    style_path = f"assets/style-{hashlib.sha256(style).hexdigest()[:12]}.css"
    judged = [(row, judge(row, now, zone)) for row in rows]
    judged.sort(key=lambda pair: (_ORDER[pair[1].word], pair[0].title))
    with Site(directory, public=True) as site:
        site.add_asset(style_path, style)
        text = environment.get_template("sites.html").render(
            rows=judged, title=title, style=style_path, policy=_POLICY, now=now
        )
        site.add_page("index.html", text.encode("utf-8", "replace"))
        site.publish()
    return os.path.join(directory, "index.html")
