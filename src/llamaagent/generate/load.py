"""A fixed load on one server: so many requests of one size at a time, and what the server says of each.

Prompts are made of the model's own tokens in an order of their own each time, the server's prompt cache is left out,
and every request generates as much as it may: so each computes what it is said to.
"""

from __future__ import annotations

import random
import statistics
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.base.errors import LlamaAgentError
from llamaagent.generate.client import Client
from llamaagent.generate.stream import Collector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.base.clock import Clock
    from llamaagent.generate.answer import Choice
    from llamaagent.generate.client import Address

_TEXT = (
    "It was a bright cold day in spring and the clocks were striking; someone had left the window open, and all the "
    "papers of the last week lay about the room in an order that nobody would ever find out again. "
)


class Level(NamedTuple):
    """One size: tokens read and written by each request, and how many go on at the same time."""

    prompt_tokens: int
    generated_tokens: int
    concurrency: int


class Measured(NamedTuple):
    """One level, measured. Speeds and times are medians of the requests; total is what all wrote together a second."""

    level: Level
    requests: int
    failed: int
    duration_ms: float
    prompt_tokens_per_second: float | None
    tokens_per_second: float | None
    total_tokens_per_second: float | None
    first_token_ms: float | None
    first_token_p95_ms: float | None
    fault: str | None  # of the last request that failed
    choices: tuple[Choice, ...]


def words_of(address: Address, clock: Clock, timeout_s: float) -> list[int]:
    """Tokens of ordinary text, as this server's model has them. Raises what `Client.post` does."""
    found = Client(address, clock, timeout_s).post("/tokenize", {"content": _TEXT})
    return [int(token) for token in found["tokens"]]


def run_level(
    address: Address, words: Sequence[int], level: Level, requests: int, clock: Clock, timeout_s: float
) -> Measured:
    """Send so many requests, and measure."""
    chance = random.Random(f"{level}")  # noqa: S311 - the same load each time
    prompts = [chance.choices(words, k=level.prompt_tokens) for _ in range(requests)]
    begun = clock.monotonic()

    def one(prompt: list[int]) -> Choice | str:
        sent = clock.monotonic()
        collector = Collector(1, level.generated_tokens, lambda: (clock.monotonic() - sent) * 1000)
        body = {
            "prompt": prompt,
            "n_predict": level.generated_tokens,
            "ignore_eos": True,
            "cache_prompt": False,
        }
        try:
            events = Client(address, clock, timeout_s).events(
                "/completion", {**body, "temperature": 0, "stream": True}
            )
            with closing(events):
                for event in events:
                    collector.take(event)
            return collector.choices()[0]
        except LlamaAgentError as error:
            return str(error)

    with ThreadPoolExecutor(level.concurrency) as pool:
        answers = list(pool.map(one, prompts))
    return _measured(level, answers, (clock.monotonic() - begun) * 1000)


def _measured(level: Level, answers: list[Choice | str], duration_ms: float) -> Measured:
    faults = [answer for answer in answers if isinstance(answer, str)]
    choices = tuple(answer for answer in answers if not isinstance(answer, str))
    written = sum(choice.figures.generated_tokens or 0 for choice in choices)
    first = sorted(x for choice in choices if (x := choice.figures.first_token_ms) is not None)
    return Measured(
        level,
        len(answers),
        len(faults),
        round(duration_ms, 3),
        _median([choice.figures.prompt_tokens_per_second for choice in choices]),
        _median([choice.figures.tokens_per_second for choice in choices]),
        round(written * 1000 / duration_ms, 2) if written else None,
        _median(list(first)),
        first[-(-len(first) * 95 // 100) - 1] if first else None,
        faults[-1] if faults else None,
        choices,
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value]
    return round(statistics.median(known), 3) if known else None
