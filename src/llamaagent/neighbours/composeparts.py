"""Parts of a compose service: cards in their four forms, ports, volumes, limits, health checks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llamaagent.base.units import format_duration
from llamaagent.neighbours.carried import number_of
from llamaagent.neighbours.container import put_count, put_device, put_mount, put_ports, put_size, put_volume
from llamaagent.neighbours.dockerrun import take_cpus
from llamaagent.neighbours.environment import take_cards
from llamaagent.neighbours.yamlread import is_true, text_of, texts_of

if TYPE_CHECKING:
    from llamaagent.config.node import Node
    from llamaagent.neighbours.carried import Draft

_DURATION = re.compile(
    r"(?:(\d{1,9})h)?(?:(\d{1,9})m(?!s))?(?:(\d{1,9}(?:\.\d{1,9})?)s)?(?:(\d{1,9})ms)?(?:\d+us)?"
)
_URL = re.compile(r"https?://(?:localhost|127\.0\.0\.1|\[::1\]|0\.0\.0\.0)(?::\d+)?(/[^\s\"'|;&]*)?")


def read_duration(text: str) -> int | None:
    """Whole seconds, rounded up, of `1m30s`; a bare number is seconds.

    >>> read_duration("1m30s"), read_duration("2h"), read_duration("500ms"), read_duration("x")
    (90, 7200, 1, None)
    """
    if number_of(text) is not None:
        return number_of(text)
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        return None
    hours, minutes, seconds, millis = (float(part or 0) for part in match.groups())
    return -int(-(hours * 3600 + minutes * 60 + seconds + millis / 1000) // 1)


def put_duration(draft: Draft, path: str, node: Node, key: str) -> None:
    """A time that has an equal here."""
    seconds = read_duration(text_of(node) or "")
    if seconds is None or seconds <= 0:
        draft.lose(key, f"{text_of(node)!r} is no time that a profile can have", node.mark.line)
    else:
        draft.put(path, format_duration(seconds))


def device_requests(draft: Draft, node: Node) -> None:
    """Cards under deploy.resources.reservations.devices; `gpus:`; `runtime: nvidia`, where no variable names cards."""
    deploy = node.get("deploy")
    resources = deploy.get("resources") if deploy else None
    reservations = resources.get("reservations") if resources else None
    requests = reservations.get("devices") if reservations else None
    for item in (*(requests.items if requests else ()), *(_gpus(node.get("gpus")))):
        _request(draft, item)
    gpus = node.get("gpus")
    if gpus is not None and text_of(gpus) is not None:
        put_count(draft, text_of(gpus) or "", "gpus")
    runtime = text_of(node.get("runtime"))
    if runtime == "nvidia" and draft.get("resources.gpus") is None:
        draft.put("resources.gpus", "all")
    elif runtime not in {None, "nvidia", "runc"}:
        draft.lose("runtime", f"{runtime} has no equal here")


def _gpus(node: Node | None) -> list[Node]:
    return node.items if node is not None else []


def _request(draft: Draft, item: Node) -> None:
    """One request for devices: ids, or a count, or all; only NVIDIA's and CDI's are cards here."""
    key = "deploy.resources.reservations.devices"
    driver = text_of(item.get("driver")) or "nvidia"
    words = {text for text, _ in texts_of(item.get("capabilities"))}
    if driver not in {"nvidia", "cdi"} or (
        words and driver == "nvidia" and not words & {"gpu", "nvidia", "compute"}
    ):
        draft.lose(key, f"a device of driver {driver} is not carried over", item.mark.line)
        return
    ids = [text for text, _ in texts_of(item.get("device_ids"))]
    count = text_of(item.get("count"))
    if driver == "cdi":
        for name in ids:
            put_device(draft, name)
    elif ids:
        take_cards(draft, key, ",".join(ids), item.mark.line)
        if count is not None:
            draft.lose(key, "count and device_ids exclude each other; the ids were taken", item.mark.line)
    else:
        put_count(draft, count or "all", key)


def choose_among(draft: Draft, seen: object) -> None:
    """A variable counts within the cards of the reservation. seen: what it said, None = there was none."""
    reserved = draft.get("resources.gpus")
    if seen is None or seen == reserved:
        return
    if reserved == "all" or seen == "none":
        draft.put("resources.gpus", seen)
    elif isinstance(reserved, list) and isinstance(seen, list) and set(seen) <= _numbers(reserved):
        draft.put("resources.gpus", [reserved[int(number)] for number in seen])
    elif seen != "all":
        draft.lose(
            "environment.CUDA_VISIBLE_DEVICES",
            f"of the reserved cards ({reserved}) it names {seen}; all were taken",
        )


def _numbers(cards: list[str]) -> set[str]:
    return {str(number) for number in range(len(cards))}


def ports(draft: Draft, node: Node) -> None:
    """Short and long forms."""
    texts = []
    for item in node.items:
        text = text_of(item)
        if text is None:
            outer, host = text_of(item.get("published")), text_of(item.get("host_ip"))
            protocol = text_of(item.get("protocol")) or "tcp"
            inner = text_of(item.get("target")) or ""
            text = f"{host}:{outer or ''}:{inner}" if host else f"{outer}:{inner}" if outer else inner
            text += f"/{protocol}" if protocol != "tcp" else ""
        texts.append(text)
    put_ports(draft, texts)


def volumes(draft: Draft, node: Node) -> None:
    """Short and long forms."""
    for item in node.items:
        text = text_of(item)
        if text is not None:
            put_volume(draft, text)
        else:
            put_mount(draft, {key: text_of(entry) or "" for key, (_, entry) in item.map.items()}, "volumes")


def devices(draft: Draft, node: Node) -> None:
    """Devices of the host, cards by their CDI names among them."""
    for text, _ in texts_of(node):
        put_device(draft, text)


def deploy(draft: Draft, node: Node) -> None:
    """Limits; the cards are read elsewhere, the rest is a cluster's."""
    for key, (mark, item) in node.map.items():
        if key != "resources":
            is_one = key == "replicas" and text_of(item) == "1"
            if not is_one:
                draft.lose(f"deploy.{key}", "one profile is one container on one host", mark.line)
            continue
        for part, (place, inner) in item.map.items():
            for name, (_, value) in inner.map.items():
                if part == "limits" and name == "memory":
                    put_size(
                        draft, "resources.memory", text_of(value) or "", "deploy.resources.limits.memory"
                    )
                elif part == "limits" and name == "cpus":
                    take_cpus(draft, text_of(value) or "", "deploy.resources.limits.cpus")
                elif (part, name) != ("reservations", "devices"):
                    draft.lose(f"deploy.resources.{part}.{name}", "it has no equal here", place.line)


def healthcheck(draft: Draft, node: Node) -> None:
    """A question to the server's own address becomes a probe; other commands are left out."""
    test = node.get("test")
    words = " ".join(text for text, _ in texts_of(test))
    found = _URL.search(words)
    if is_true(node.get("disable")) or words.strip() == "NONE":
        draft.put("health.probe", "none")
    elif found and (found[1] or "/") != "/health":
        draft.put("health.probe", "http")
        draft.put("health.path", found[1] or "/")
    elif test is not None and not found:
        draft.lose(
            "healthcheck.test",
            "a command inside of the container is not carried over (`health`)",
            test.mark.line,
        )
    for key, path in (("timeout", "health.timeout"), ("start_period", "health.start_timeout")):
        item = node.get(key)
        if item is not None:
            put_duration(draft, path, item, f"healthcheck.{key}")
    retries = number_of(text_of(node.get("retries")) or "")
    if retries is not None and 1 <= retries <= 1000:
        draft.put("health.failures", retries)
    for key, (mark, _) in node.map.items():
        if key in {"interval", "start_interval"}:
            draft.lose(
                f"healthcheck.{key}", "it is asked once a pass (`interval` of the settings)", mark.line
            )


def security(draft: Draft, node: Node) -> None:
    """no-new-privileges is the default here and can be taken back."""
    for text, line in texts_of(node):
        name, _, value = text.replace("=", ":", 1).partition(":")
        if name == "no-new-privileges":
            draft.put("runtime.no_new_privileges", value != "false")
        else:
            draft.lose("security_opt", f"{text} has no equal here", line)


def labels(draft: Draft, node: Node) -> None:
    """A map, or a list of `NAME=value`."""
    for key, (_, item) in node.map.items():
        draft.label(key, text_of(item) or "")
    for text, _ in texts_of(node):
        name, _, value = text.partition("=")
        draft.label(name, value)
