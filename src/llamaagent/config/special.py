"""Readers for the keys that are like no other: secrets, environment, cards, ports, windows, options.

Each takes the Checker, the key, the node and its Spec, and returns the canonical value or MISSING.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from llamaagent.config.node import Mark, Node, plain

if TYPE_CHECKING:
    from llamaagent.config.check import Checker
    from llamaagent.config.schema import Spec

    Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

MISSING: Final = "\0missing"  # no YAML value: control characters are refused when the file is read
SECRET_WORDS = ("token", "key", "secret", "password")
_SECRET_NAME = re.compile("|".join(SECRET_WORDS), re.IGNORECASE)
_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")
HOST = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?")
_DAY = "(Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_WINDOW = re.compile(
    rf"(?:(?P<days>(?:{_DAY}(?:-{_DAY})?)(?:,{_DAY}(?:-{_DAY})?)*)\s+)?"
    r"(?P<from>\d{1,2}:\d\d)\s*-\s*(?P<to>\d{1,2}:\d\d)",
    re.IGNORECASE,
)


def looks_secret(name: str) -> bool:
    """True when a variable of this name holds something that must not stand in a file."""
    return _SECRET_NAME.search(name) is not None


def read_env(check: Checker, label: str, node: Node, _spec: Spec) -> Json:
    """Variables and their values; names that look like secrets are refused."""
    if not isinstance(node.value, dict):
        return check.wrong(label, node, "a mapping of variables to text")
    out: dict[str, Json] = {}
    for name, (mark, item) in node.map.items():
        text = item.value if isinstance(item.value, str) else item.text
        if not _VARIABLE.fullmatch(name):
            check.say(mark, f"{name!r} is no name of an environment variable")
        elif name.startswith(("LLAMA_ARG_", "LLAMAAGENT_")):
            check.say(mark, f"{name!r} is set by the agent; options of llama-server stand under 'args'")
        elif text is None:
            check.wrong(f"{label}.{name}", item, "text (put it in quotes)")
        elif looks_secret(name) and text:
            check.say(
                mark,
                f"{name!r} looks like a secret; use 'secrets: {{{name}: {{env: {name}}}}}', not a literal",
            )
        else:
            out[name] = text
    return out


def read_secrets(check: Checker, label: str, node: Node, spec: Spec) -> Json:
    """Names (or hosts) to references: {env: NAME} or {file: PATH}, also written env:NAME and file:PATH."""
    if not isinstance(node.value, dict):
        return check.wrong(label, node, "a mapping of names to {env: NAME} or {file: PATH}")
    out: dict[str, Json] = {}
    for name, (mark, item) in node.map.items():
        if spec.item == "host" and not HOST.fullmatch(name):
            check.say(mark, f"{name!r} is no host, such as nvcr.io or localhost:5000")
            continue
        if spec.item != "host" and name not in {"api-key", "hf-token"} and not _VARIABLE.fullmatch(name):
            check.say(
                mark, f"secret {name!r} must be api-key, hf-token or the name of an environment variable"
            )
            continue
        reference = _reference(check, name, item)
        if reference is not None:
            out[name] = {reference[0]: reference[1]}
    return out


def _reference(check: Checker, name: str, node: Node) -> tuple[str, str] | None:
    if isinstance(node.value, str) and node.value.startswith(("env:", "file:")):
        kind, _, value = node.value.partition(":")
        return _checked_reference(check, name, kind, value, node.mark)
    if isinstance(node.value, dict) and len(node.map) == 1 and not {"env", "file"}.isdisjoint(node.map):
        ((kind, (_, item)),) = node.map.items()
        text = item.value if isinstance(item.value, str) else ""
        return _checked_reference(check, name, kind, text, item.mark)
    # The value is not repeated: it may be the secret itself.
    check.say(
        node.mark, f"secret {name!r} must be a reference, {{env: NAME}} or {{file: PATH}}, never the value"
    )
    return None


def _checked_reference(
    check: Checker, name: str, kind: str, value: str, mark: Mark
) -> tuple[str, str] | None:
    if kind == "file" and value:
        return kind, check.places.absolute(value, mark.file)
    if kind == "env" and _VARIABLE.fullmatch(value):
        return kind, value
    wanted = "the path of a file" if kind == "file" else "the name of an environment variable"
    check.say(mark, f"secret {name!r}: {kind!r} must be {wanted}")
    return None


def read_gpus(check: Checker, label: str, node: Node, _spec: Spec) -> Json:
    """auto, all, none, a count, or a list of uuids and indexes."""
    value = node.value
    if value in {"auto", "all", "none"} if isinstance(value, str) else False:
        return value  # type: ignore[return-value]
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1024:
        return value or "none"
    if isinstance(value, list) and value:
        cards: list[Json] = [
            item.text or item.value for item in node.items if isinstance(item.value, str | int)
        ]
        good = all(isinstance(card, str) and (card.isdecimal() or len(card) > 4) for card in cards)
        if good and len(cards) == len(value) and len({str(card) for card in cards}) == len(cards):
            return cards
    return check.wrong(label, node, "auto, all, none, a count, or a list of different uuids or indexes")


def read_port(check: Checker, label: str, node: Node, _spec: Spec) -> Json:
    """The word auto, or a port number."""
    value = node.value
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535):
        return value
    return check.wrong(label, node, "auto or a port from 1 to 65535")


def read_range(check: Checker, label: str, node: Node, _spec: Spec) -> Json:
    """8100-8199, both ends included."""
    text = node.value if isinstance(node.value, str) else ""
    low, _, high = text.partition("-")
    ends = [int(end) if end.strip().isdecimal() and len(end) < 9 else 0 for end in (low, high)]
    if not 1 <= ends[0] <= ends[1] <= 65535:
        return check.wrong(label, node, "a range of ports such as 8100-8199")
    return f"{ends[0]}-{ends[1]}"


def read_window(check: Checker, label: str, node: Node, _spec: Spec) -> Json:
    """`Mon-Fri 08:00-18:00`; days may be left out (every day) or listed; past midnight is allowed."""
    match = _WINDOW.fullmatch(node.value.strip()) if isinstance(node.value, str) else None
    if match is None:
        return check.wrong(label, node, "like 'Mon-Fri 08:00-18:00' or '22:00-06:00'")
    clocks = [_clock(match["from"]), _clock(match["to"])]
    if None in clocks or clocks[0] == clocks[1] or clocks[0] == "24:00":
        return check.wrong(label, node, "times from 00:00 to 24:00 that differ")
    days = match["days"]
    tidy = "".join(part.capitalize() for part in re.split("([,-])", days)) + " " if days else ""
    return f"{tidy}{clocks[0]}-{clocks[1]}"


def _clock(text: str) -> str | None:
    hour, minute = (int(part) for part in text.split(":"))
    return f"{hour:02}:{minute:02}" if minute < 60 and hour * 60 + minute <= 1440 else None


def read_zone(check: Checker, label: str, node: Node, _spec: Spec) -> Json:
    """The name of a time zone that this system knows."""
    from zoneinfo import ZoneInfo, available_timezones

    from llamaagent.config.near import did_you_mean

    text = node.value if isinstance(node.value, str) else ""
    try:
        ZoneInfo(text)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        near = did_you_mean(text, available_timezones())
        return check.say(node.mark, f"{label!r}: no time zone {text!r} is known here{near}")
    return text


def read_command(check: Checker, label: str, node: Node, _spec: Spec) -> Json:
    """A command as text or as a list of words; stored as a list."""
    nodes = node.items if isinstance(node.value, list) else [node]
    words = [item.text or item.value for item in nodes]
    if not all(isinstance(word, str) for word in words):
        return check.wrong(label, node, "a command, as text or as a list of words")
    if isinstance(node.value, list):
        return words  # type: ignore[return-value]
    import shlex

    try:
        return list(shlex.split(str(words[0])))
    except ValueError as error:
        return check.say(node.mark, f"{label!r}: {error}")


def read_unit(check: Checker, label: str, node: Node, _spec: Spec) -> Json:
    """systemd:UNIT."""
    text = node.value if isinstance(node.value, str) else ""
    if not re.fullmatch(r"systemd:[A-Za-z0-9@._:\\-]+", text):
        return check.wrong(label, node, "systemd:UNIT, such as systemd:llama.service")
    return text


def read_give_up(check: Checker, label: str, node: Node, spec: Spec) -> Json:
    """{failures: N, within: DURATION} or never."""
    if node.value == "never":
        return "never"
    if not isinstance(node.value, dict):
        return check.wrong(label, node, "never or {failures: 5, within: 15m}")
    return check.entries(node, dict(spec.keys), label)


def read_args(check: Checker, label: str, node: Node, _spec: Spec) -> Json:
    """Options of llama-server by their long names; whether dangerous ones are allowed is checked later."""
    from llamaagent.config.args import canonical_args

    if not isinstance(node.value, dict):
        return check.wrong(label, node, "a mapping of llama-server's options")
    marks = {key: mark for key, (mark, _) in node.map.items()}
    raw = {key: _argument(item) for key, (_, item) in node.map.items()}
    result = canonical_args(
        raw,
        check.catalogue,
        allow_dangerous=True,
        resolve=lambda key, text: check.places.find_model(text, marks[key].file),
    )
    for fault in result.faults:
        check.faults.add(marks[fault.key], fault.message, fault.severity)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in result.args}


def _argument(node: Node) -> object:
    """As the option takes it: numbers as written, a mapping as it is."""
    if isinstance(node.value, list):
        return [_argument(item) for item in node.value]
    if isinstance(node.value, dict):
        return plain(node)
    return node.text if node.text is not None else node.value
