"""Many threads that ask one server through one store, and what must be true afterwards."""

from __future__ import annotations

import logging
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import llamaagent

if TYPE_CHECKING:
    from scratch_site import Site

TOKENS = 8


class Load(NamedTuple):
    """One run: how many askings, how long, what the store had to complain of, and how many came from the cache."""

    asked: int
    seconds: float
    warnings: list[str]
    hits: int
    stored: int

    @property
    def per_second(self) -> float:
        return self.asked / self.seconds


class _Listener(logging.Handler):
    """Keeps what the library warns of."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())


def run_load(asked: int, prompts: int, threads: int, *, cache: bool, seed: int = 1) -> Load:
    """Ask this often for so many different prompts, each at least once when there are enough askings."""
    chance = random.Random(seed)
    jobs = [f"once upon a time {number}" for number in range(prompts)]
    jobs += chance.choices(jobs, k=asked - prompts)
    chance.shuffle(jobs)
    llm = llamaagent.LLM(
        "tiny", n_predict=TOKENS, ignore_eos=True, cache=cache, single_flight=cache, timeout_s=300
    )
    listener = _Listener()
    logging.getLogger("llamaagent.library").addHandler(listener)
    try:
        begun = time.monotonic()
        with ThreadPoolExecutor(threads) as pool:
            answers = list(pool.map(lambda prompt: llm(prompt).cache, jobs))
        seconds = time.monotonic() - begun
    finally:
        logging.getLogger("llamaagent.library").removeHandler(listener)
    return Load(asked, seconds, listener.told, answers.count("hit"), answers.count("stored"))


def settle(site: Site) -> None:
    """Pass until every claim has met its row."""
    until = time.monotonic() + 120
    while site.once("-q") and site.count("generation_claims"):
        assert time.monotonic() < until, "claims are left"
    site.once("-q")
