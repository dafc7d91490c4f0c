"""One line of a llama-server log, taken apart. Pure, and without patterns: most lines are of no interest.

Handled are the default prefix (`M.SS.mmm.uuu L `, minutes unbounded, since the start of the process), no
prefix, colours, `--log-jsonl`, and a router's `[PORT] ` before the lines of its children.
Source: common/log.cpp and tools/server of llama.cpp, and the output of real servers.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple

_LEVELS = {b"I": "I", b"W": "W", b"E": "E", b"D": "D", b"T": "T"}
_JSON_LEVELS = {"info": "I", "warn": "W", "error": "E", "debug": "D", "trace": "T"}
_PHASES = {b"prompt eval time": "prompt", b"eval time": "generation", b"total time": "total"}
_LIMIT = 1 << 62  # larger than any count can be; keeps rubbish out of SQLite's integers


class LogLine(NamedTuple):
    """The text without its prefix. at_us: microseconds since the server's start, None when not printed."""

    text: bytes
    port: int | None = None
    at_us: int | None = None
    level: str = ""


class SlotLine(NamedTuple):
    """`slot FUNCTION: id SLOT | task TASK | TEXT`; task -1 = none."""

    slot: int
    task: int
    text: bytes


class Timing(NamedTuple):
    """One of the three timing lines. phase: prompt | generation | total; nan and inf become None."""

    phase: str
    ms: float | None
    tokens: int | None
    per_second: float | None


def split_line(raw: bytes) -> tuple[LogLine, ...]:
    """Take prefixes off a line (without its line end). A JSON record may hold several lines, or none."""
    if b"\x1b" in raw:
        raw = strip_colours(raw)
    raw = raw.rstrip()
    port = None
    if raw.startswith(b"["):
        number, bracket, rest = raw[1:].partition(b"] ")
        if bracket and number.isdigit():
            port, raw = int(number), rest
    if raw.startswith(b'{"') and raw.endswith(b"}"):
        return _json_lines(raw, port)
    at_us = None
    word, _, rest = raw.partition(b" ")
    if word.count(b".") == 3 and (at_us := parse_clock(word)) is not None:
        raw = rest
    level = _LEVELS.get(raw[:1], "") if raw[1:2] == b" " else ""
    return (LogLine(raw[2:] if level else raw, port, at_us, level),)


def parse_clock(word: bytes) -> int | None:
    """Microseconds of `M.SS.mmm.uuu`, None when it is something else (an IPv4 address, say)."""
    parts = word.split(b".")
    if (
        len(parts) != 4
        or [len(part) for part in parts[1:]] != [2, 3, 3]
        or not word.replace(b".", b"").isdigit()
    ):
        return None
    minutes, seconds, milli, micro = map(int, parts)
    return ((minutes * 60 + seconds) * 1000 + milli) * 1000 + micro


def strip_colours(raw: bytes) -> bytes:
    """Drop ANSI sequences: everything from ESC [ to the first letter."""
    first, *others = raw.split(b"\x1b[")
    for part in others:
        end = next((i for i, byte in enumerate(part) if not 0x20 <= byte <= 0x3F), len(part))
        first += part[end + 1 :]
    return first


def parse_slot(text: bytes) -> SlotLine | None:
    """Read a line about a slot, None when it is about something else."""
    if not text.startswith(b"slot "):
        return None
    parts = text.partition(b": id ")[2].split(b"|", 2)
    if len(parts) != 3:
        return None
    task = parts[1].split()
    if len(task) != 2 or task[0] != b"task":
        return None
    try:
        return SlotLine(int(parts[0]), int(task[1]), parts[2].strip())
    except ValueError:
        return None


def parse_timing(text: bytes) -> Timing | None:
    """Read `PHASE = F ms / N tokens (F ms per token, F tokens per second)`, the rates being optional."""
    label, equals, rest = text.partition(b"=")
    phase = _PHASES.get(b" ".join(label.split()).lower()) if equals else None
    if phase is None:
        return None
    words = rest.replace(b"(", b" ").replace(b",", b" ").split()
    if len(words) < 5 or words[1] != b"ms" or words[2] != b"/":
        return None
    rate = words[words.index(b"second)") - 3] if b"second)" in words[8:] else b""
    return Timing(phase, parse_float(words[0]), parse_int(words[3]), parse_float(rate))


def parse_draft(text: bytes) -> tuple[int, int] | None:
    """(accepted, generated) of `draft acceptance [rate] = F ( A accepted / G generated)`."""
    start = text.find(b"draft acceptance")
    if start < 0:
        return None
    words = text[start:].replace(b"(", b" ").replace(b")", b" ").split()
    if b"accepted" not in words or b"generated" not in words:
        return None
    accepted = parse_int(words[words.index(b"accepted") - 1])
    generated = parse_int(words[words.index(b"generated") - 1])
    return None if accepted is None or generated is None else (accepted, generated)


def number_after(text: bytes, label: bytes) -> int | None:
    """The whole number that follows `label` in the text; None without label or number."""
    start = text.find(label)
    if start < 0:
        return None
    rest = text[start + len(label) :].lstrip(b" '\"")
    end = 0
    while end < len(rest) and 0x30 <= rest[end] <= 0x39:
        end += 1
    return parse_int(rest[:end])


def parse_int(word: bytes) -> int | None:
    """A count, None when it is no plain number."""
    if not word.isdigit() or len(word) > 19:
        return None
    value = int(word)
    return value if value < _LIMIT else None


def parse_float(word: bytes) -> float | None:
    """A finite number, None for nan, inf and what is no number."""
    try:
        value = float(word)
    except ValueError:
        return None
    return value if -1e300 < value < 1e300 else None


def _json_lines(raw: bytes, port: int | None) -> tuple[LogLine, ...]:
    import json

    try:
        record = json.loads(raw)
    except ValueError:
        return (LogLine(raw, port),)
    message = record.get("msg") if isinstance(record, dict) else None
    if not isinstance(message, str):
        return ()
    at_us = record.get("time")
    at_us = at_us if isinstance(at_us, int) and 0 <= at_us < _LIMIT else None
    level = _JSON_LEVELS.get(str(record.get("level")), "")
    lines = message.encode(errors="replace").split(b"\n")
    return tuple(LogLine(line.rstrip(), port, at_us, level) for line in lines if line.strip())
