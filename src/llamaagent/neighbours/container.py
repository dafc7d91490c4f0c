"""Parts of a container that `docker run` and compose say in the same words: ports, volumes, cards, memory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.neighbours.carried import beside, number_of
from llamaagent.neighbours.environment import take_cards

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.neighbours.carried import Draft

_PUBLISHED = re.compile(
    r"(?:(?:(?P<host>\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(?P<outer>\d{0,5}):)?(?P<inner>\d{1,5})(?:/(?P<protocol>tcp|udp|sctp))?"
)
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)\s*([bkmgt]?)(?:i?b)?", re.IGNORECASE)
_UNITS = {"": "B", "b": "B", "k": "KiB", "m": "MiB", "g": "GiB", "t": "TiB"}
_CDI = "nvidia.com/gpu="


class Port(NamedTuple):
    """A published port. outer None: the engine chooses."""

    text: str
    host: str | None
    outer: int | None
    inner: int


def read_port(text: str) -> Port | None:
    """`8080`, `80:8080`, `127.0.0.1:80:8080`, `[::1]:80:8080/tcp`; None for ranges, other protocols, variables.

    >>> read_port("127.0.0.1:80:8080/tcp")
    Port(text='127.0.0.1:80:8080/tcp', host='127.0.0.1', outer=80, inner=8080)
    """
    match = _PUBLISHED.fullmatch(text)
    if match is None or match["protocol"] not in {None, "tcp"}:
        return None
    outer = int(match["outer"]) if match["outer"] else None
    if not all(0 < number < 65536 for number in (outer or 1, int(match["inner"]))):
        return None
    return Port(text, (match["host"] or "").strip("[]") or None, outer, int(match["inner"]))


def put_ports(draft: Draft, texts: Iterable[str], *, main: int | None = None, key: str = "ports") -> None:
    """The port that clients use becomes `listen`, the others `runtime.ports`. main: its number outside, if known."""
    ports = [(text, read_port(text)) for text in texts]
    whole = [port for _, port in ports if port is not None]
    chosen = next((port for port in whole if port.outer == main), whole[0] if whole else None)
    if chosen is not None:
        draft.put("listen.host", chosen.host or "0.0.0.0")  # noqa: S104 - an engine publishes to all of them
        draft.put("listen.port", chosen.outer)
        draft.put("runtime.port", chosen.inner)
    others: list[str] = []
    for text, port in ports:
        if "$" in text:
            draft.lose(key, f"{text!r} holds a variable; write the port under `listen`")
        elif port is not chosen or port is None:
            others.append(text)
    draft.put("runtime.ports", others or None)


def put_volume(draft: Draft, text: str, key: str = "volumes") -> None:
    """`SOURCE:TARGET[:OPTIONS]`; a relative source is made absolute, a named volume keeps its name."""
    source, colon, rest = text.partition(":")
    if not colon:
        draft.lose(key, f"{text}: a nameless volume is not carried over")
        return
    if source.startswith((".", "~")) or ("/" in source and not source.startswith(("/", "$"))):
        source = beside(draft.taking.source, source)
    if "$" in text:
        draft.lose(key, f"{text!r} is written as it stands; a profile expands no variables")
    draft.document.setdefault("runtime", {}).setdefault("volumes", []).append(f"{source}:{rest}")


def put_mount(draft: Draft, fields: dict[str, str], key: str = "mount") -> None:
    """`--mount` and the long form of compose."""
    kind = fields.get("type", "volume")
    source = fields.get("source") or fields.get("src")
    target = fields.get("target") or fields.get("dst") or fields.get("destination")
    if kind not in {"bind", "volume"} or not source or not target:
        draft.lose(key, f"a mount of type {kind} is not carried over")
        return
    is_fixed = {fields.get("readonly"), fields.get("read_only"), fields.get("ro")} & {"", "true", "1"}
    if kind == "bind" and not source.startswith(("/", ".", "~", "$")):
        source = f"./{source}"
    put_volume(draft, f"{source}:{target}{':ro' if is_fixed else ''}", key)
    for extra in sorted(
        fields.keys() - {"type", "source", "src", "target", "dst", "destination", "readonly", "ro"}
    ):
        if extra != "read_only":
            draft.lose(key, f"{extra} of the mount {target} is not carried over")


def put_device(draft: Draft, text: str) -> None:
    """A device, or a card by its CDI name."""
    if text.startswith(_CDI):
        name = text.removeprefix(_CDI)
        known = draft.get("resources.gpus")
        cards = [*(known if isinstance(known, list) else []), name]
        take_cards(draft, "devices", "all" if name == "all" else ",".join(cards))
    else:
        draft.document.setdefault("runtime", {}).setdefault("devices", []).append(text)


def put_gpus(draft: Draft, text: str, key: str = "gpus") -> None:
    """What stands behind `--gpus`: all, a count, `device=0,1`, with capabilities beside it."""
    word = text.strip().strip("\"'")
    match = re.search(r"device=([^\"']+)", word)
    count = re.search(r"count=(-?\w+)", word)
    if match:
        cards = [part for part in match[1].split(",") if "=" not in part]
        take_cards(draft, key, ",".join(cards))
    elif count or re.fullmatch(r"-?\d+(,.*)?", word):
        put_count(draft, count[1] if count else word.partition(",")[0], key)
    elif word.partition(",")[0] in {"all", ""}:
        draft.put("resources.gpus", "all")
    else:
        draft.lose(key, f"{text!r} is no choice of cards")


def put_count(draft: Draft, text: str, key: str) -> None:
    """How many cards; -1 and `all` mean every one."""
    if text in {"all", "-1"}:
        draft.put("resources.gpus", "all")
    elif (number := number_of(text)) is not None and number <= 1024:
        draft.put("resources.gpus", number or "none")
    else:
        draft.lose(key, f"{text!r} is no number of cards")


def read_size(text: str) -> str | None:
    """A size as an engine reads it (`16g`, `512mb`, bytes without a unit; 1024-based) as a profile writes it.

    >>> read_size("16g"), read_size("512mb"), read_size("64"), read_size("x")
    ('16GiB', '512MiB', '64B', None)
    """
    match = _SIZE.fullmatch(text.strip())
    return f"{match[1]}{_UNITS[match[2].lower()]}" if match else None


def put_size(draft: Draft, path: str, text: str, key: str) -> None:
    """A limit of memory."""
    size = read_size(text)
    if size is None:
        draft.lose(key, f"{text!r} is no size")
    draft.put(path, size)


def put_host_network(draft: Draft, words: list[str]) -> None:
    """With the host's own network nothing is published: the server's port is the port outside."""
    given = [words[index + 1] for index, word in enumerate(words[:-1]) if word == "--port"]
    number = number_of(given[-1]) if given else None
    if number is not None and 0 < number < 65536:
        draft.put("listen.port", number)
        draft.put("runtime.port", number)
