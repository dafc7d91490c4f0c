"""A fixed load on the server of a profile, stored; and llama.cpp's own bench of the same build beside it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from llamaagent.base.errors import ServiceUnavailableError, UsageError
from llamaagent.generate.ask import Ask
from llamaagent.generate.load import Level, Measured, run_level, words_of
from llamaagent.library.generating import Rules, told_of
from llamaagent.library.source import need
from llamaagent.sql import statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llamaagent.base.clock import Clock
    from llamaagent.library.generating import Asker
    from llamaagent.library.source import Server
    from llamaagent.store.types import Connection

_SQL = statements("bench")
_TRIES = 8  # of the tool, which may lose lines
_TOOL = "llama-batched-bench"
_SAME = ("threads", "threads-batch", "gpu-layers", "flash-attn", "batch-size", "ubatch-size", "cache-type-k",
         "cache-type-v", "split-mode", "tensor-split", "main-gpu", "device")  # fmt: skip
SESSION = "bench"


def measure(
    asker: Asker, name: str, levels: Sequence[Level], requests: int, clock: Clock, timeout_s: float
) -> Iterator[Measured]:
    """Run each level and store it; raises as `find_server`, and when the server does not run."""
    server = asker.server(name)
    address, ts = need(server), clock.now()
    words = words_of(address, clock, timeout_s)
    for level in levels:
        warm = level._replace(generated_tokens=2)
        before = run_level(address, words, warm, level.concurrency, clock, timeout_s)
        found = run_level(address, words, level, max(requests, level.concurrency), clock, timeout_s)
        told = found._replace(choices=(*before.choices, *found.choices))
        _store(asker, server, "server", told, ts, clock.now())
        yield found


def measure_by_tool(
    asker: Asker, name: str, levels: Sequence[Level], clock: Clock, timeout_s: float
) -> list[Measured]:
    """The same sizes by the program beside the server's own, which loads the model a second time.

    Raises UsageError when there is none, ServiceUnavailableError when it fails.
    """
    server = asker.server(name)
    row = asker.store.link.read(
        lambda db: db.execute(_SQL["select_launch_tools"], {"id": server.instance_id}).fetchone(), None
    )
    binary = str(row[0] or "") if row is not None else ""
    tool = os.path.join(os.path.dirname(os.path.realpath(binary)), _TOOL)
    if not os.path.isabs(binary) or not os.access(tool, os.X_OK):
        raise UsageError(f"there is no {_TOOL} beside the server of {name}", hint="leave --tool out")
    ts, found = clock.now(), []
    for prompt, generated in sorted({(level.prompt_tokens, level.generated_tokens) for level in levels}):
        at_once = sorted({level.concurrency for level in levels})
        room = (prompt + generated) * max(at_once)
        words = [tool, "-m", str(row[1] if row is not None else ""), "-c", str(room), "-npp", str(prompt), "-ntg",
                 str(generated), "-npl", ",".join(map(str, at_once)), "--output-format", "jsonl"]  # fmt: skip
        found += _run_tool([*words, *_same(server)], at_once, timeout_s)
    for one in found:
        _store(asker, server, _TOOL, one, ts, ts)
    return found


def _run_tool(words: Sequence[str], at_once: Sequence[int], timeout_s: float) -> list[Measured]:
    """A row for each number of requests at a time; the tool is run again for those that it did not tell.

    It prints from a thread of its own and ends without waiting for it, so on a busy machine lines are missing, or
    come twice.
    """
    from llamaagent.base.run import run

    found: dict[int, Measured] = {}
    for _ in range(_TRIES):
        done = run(words, deadline_s=timeout_s)
        if done.code:
            last = done.err.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
            raise ServiceUnavailableError(f"{_TOOL} failed ({done.code}): {last}")
        for one in map(_told, done.text.splitlines()):
            if one is not None:
                found.setdefault(one.level.concurrency, one)
        if set(at_once) <= found.keys():
            return [found[number] for number in at_once]
    raise ServiceUnavailableError(f"{_TOOL} told {len(found)} of {len(at_once)} results in {_TRIES} runs")


def _told(line: str) -> Measured | None:
    """One line of the tool; None for what is none, or only a part of one."""
    try:
        return _of_tool(json.loads(line))
    except (ValueError, KeyError, TypeError):
        return None


def _same(server: Server) -> list[str]:
    """The options of the server that change its speed."""
    words: list[str] = []
    for name in _SAME if server.profile is not None else ():
        value = server.profile.arg(name) if server.profile is not None else None
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            words += [f"--{name}", str(value)]
    return words


def _of_tool(line: dict[str, Any]) -> Measured:
    at_once = int(line["pl"])
    level = Level(int(line["pp"]), int(line["tg"]), at_once)
    speed, alone = float(line["speed_tg"]), float(line["speed_tg"]) / at_once
    return Measured(
        level, at_once, 0, round(float(line["t"]) * 1000, 3), round(float(line["speed_pp"]), 2), round(alone, 2),
        round(speed, 2), None, None, None, (),
    )  # fmt: skip


def _store(asker: Asker, server: Server, tool: str, found: Measured, ts: int, now: int) -> None:
    from llamaagent.store.claims import ClaimStore

    given = {**found.level._asdict(), **found._asdict(), "ts": ts, "tool": tool, "profile": server.name}
    given["instance_id"] = server.instance_id
    for name in ("level", "fault", "choices"):
        del given[name]
    rules = Rules(session=SESSION)
    asked = Ask(settings={"n_predict": found.level.generated_tokens, "temperature": 0.0})

    def act(db: Connection) -> None:
        db.execute(_SQL["insert_benchmark"], given)
        for choice in found.choices if server.instance_id is not None else ():
            told = told_of(choice, found.duration_ms, server, asked, rules, None)
            ClaimStore(db).leave(server.instance_id or 0, told, now)

    asker.store.link.write(act, None)
