"""The report for programs: `status.json`, an Atom feed of incidents, and figures for Prometheus. Pure."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from llamaagent.report.escaping import escape
from llamaagent.report.paths import card_path, page_path
from llamaagent.report.words import BAD, say_change

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.report.model import GpuPage, ProfilePage, Report
    from llamaagent.report.rows import IncidentRow

_PROM = "llamaagent_report_"
_CONTROLS = dict.fromkeys({*range(32), *range(127, 160), *range(0xD800, 0xE000)} - {9, 10})


def status_json(report: Report, every_s: int | None = None) -> bytes:
    """How everything is, as one JSON object with stable keys; what `report index` reads of other sites.

    every_s: how often the agent builds the report, None when it does not. Where passes come less often, it is that.
    """
    told = {
        "schema": 1,
        "title": report.title,
        "time": report.now,
        "interval_s": None if every_s is None else max(every_s, report.sampling.period_s or 0),
        "last_sample_ts": report.sampling.last_ts,
        "state": _state(report),
        "problems": [
            {"tone": p.tone, "profile": p.profile, "text": p.text, "since_ts": p.ts} for p in report.problems
        ],
        "profiles": [_profile(page) for page in report.profiles],
        "gpus": [_gpu(page) for page in report.gpus],
        "day": {key: value for key, value in report.totals._asdict().items() if key != "profile"},
    }
    return (json.dumps(told, indent=1) + "\n").encode()


def _state(report: Report) -> str:
    if any(problem.tone == BAD for problem in report.problems):
        return "bad"
    return "warn" if report.problems else "ok"


def _profile(page: ProfilePage) -> dict[str, Any]:
    row = page.row
    return {
        "profile": row.profile,
        "project": row.project,
        "status": row.status,
        "state": page.state.word,
        "tone": page.state.tone,
        "reason": row.reason,
        "since_ts": row.since_ts,
        "url": row.url,
        "page": page_path(row.profile),
        "tokens_per_second": page.speed,
        "memory_mib": page.latest.memory_mib,
        "gpu_memory_mib": page.latest.gpu_memory_mib,
        "requests": page.totals.requests,
        "generated_tokens": page.totals.generated_tokens,
    }


def _gpu(page: GpuPage) -> dict[str, Any]:
    return {
        "uuid": page.row.uuid,
        "index": page.row.idx,
        "name": page.row.name,
        "status": page.row.status,
        "page": card_path(page.row),
        "use_percent": page.use_percent,
        "memory_mib": page.memory_mib,
        "memory_total_mib": page.row.memory_total_mib,
        "temperature_celsius": page.temperature_celsius,
        "power_watts": page.power_watts,
    }


def atom(report: Report) -> bytes:
    """Incidents of the last thirty days as an Atom feed (RFC 4287); without incidents, an empty one."""
    name = _text(report.title)
    newest = max((row.ts for row in report.incidents), default=report.sampling.first_ts or 0)
    entries = "".join(_entry(row, report.title) for row in report.incidents)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">\n'
        f"<title>{name}: incidents</title>\n<id>{_id(report.title, 'incidents')}</id>\n"
        f'<updated>{_utc(newest)}</updated>\n<link rel="self" href="feed.atom"/>\n<link href="index.html"/>\n'
        f"<author><name>{name}</name></author>\n{entries}</feed>\n"
    ).encode("utf-8", "replace")


def _entry(row: IncidentRow, title: str) -> str:
    subject = f"{row.profile} {say_change(row.kind)}" if row.profile is not None else row.kind
    target = _text(page_path(row.profile) if row.profile is not None else "index.html")
    return (
        f"<entry>\n<title>{_text(subject)}</title>\n<id>{_id(title, row.id)}</id>\n<updated>{_utc(row.ts)}</updated>\n"
        f"<link href='{target}'/>\n<summary>{_text(row.detail or subject)}</summary>\n</entry>\n"
    )


def _id(title: str, what: str) -> str:
    """The same for ever, and of no use as an address."""
    import hashlib

    digest = hashlib.sha256(f"{title}|{what}".encode("utf-8", "replace")).hexdigest()
    return f"urn:sha256:{digest[:32]}"


def _text(value: str) -> str:
    return escape(value.translate(_CONTROLS))


def _utc(ts: int) -> str:
    return dt.datetime.fromtimestamp(ts, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def prometheus(report: Report) -> bytes:
    """What the report itself found, without timestamps; `metrics` has the figures of the last pass."""
    lines: list[str] = []
    _family(lines, "problems", "Things that are wrong or to be looked at.", [
        ({"tone": tone}, sum(problem.tone == tone for problem in report.problems)) for tone in (BAD, "warn")
    ])  # fmt: skip
    _family(lines, "timestamp_seconds", "The end of the day that the report shows.", [({}, report.now)])
    profiles = report.profiles
    healthy = [({"profile": p.row.profile}, int(p.row.status == "running")) for p in profiles]
    _family(lines, "profile_up", "1 while the profile runs.", healthy)
    requests = [({"profile": p.row.profile}, p.totals.requests) for p in profiles]
    _family(lines, "profile_day_requests", "Requests that ended within the day.", requests)
    tokens = [({"profile": p.row.profile}, p.totals.generated_tokens) for p in profiles]
    _family(lines, "profile_day_generated_tokens", "Tokens generated within the day.", tokens)
    speeds = [({"profile": p.row.profile}, p.speed) for p in profiles if p.speed is not None]
    _family(lines, "profile_day_tokens_per_second", "Speed of the day's median request.", speeds)
    return "".join(lines).encode("utf-8", "replace")


def _family(
    lines: list[str], name: str, help_text: str, rows: Sequence[tuple[dict[str, str], float]]
) -> None:
    if not rows:
        return
    lines.append(f"# HELP {_PROM}{name} {help_text}\n# TYPE {_PROM}{name} gauge\n")
    for labels, value in rows:
        written = ",".join(f'{key}="{_label(text)}"' for key, text in labels.items())
        lines.append(f"{_PROM}{name}{f'{{{written}}}' if written else ''} {value:.10g}\n")


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
