"""Every request the real server answers becomes one row, with the very figures of its answer."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from scratch_site import complete, eventually, kill

if TYPE_CHECKING:
    from scratch_site import Site

pytestmark = pytest.mark.binary
WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "you",
    "that",
    "it",
    "he",
    "was",
    "for",
    "on",
    "are",
    "as",
    "with",
    "his",
    "they",
    "at",
    "be",
    "this",
    "have",
    "from",
]
SELECT = """
SELECT prompt_tokens, generated_tokens, cached_tokens, printf('%.2f', prompt_time_ms) AS prompt_ms,
       printf('%.2f', generation_time_ms) AS predicted_ms, total_tokens, cache_hit, finish_reason, instance_id,
       prompt_tokens_per_second, tokens_per_second
  FROM generations WHERE profile = ?
"""
Figures = tuple[int, int, int, str, str]


def figures(answer: dict[str, object]) -> Figures:
    """What the answer's timings say, the times as the log prints them."""
    timings = answer["timings"]
    assert isinstance(timings, dict)
    times = f"{timings['prompt_ms']:.2f}", f"{timings['predicted_ms']:.2f}"
    return timings["prompt_n"], timings["predicted_n"], timings["cache_n"], *times


def stored(site: Site, profile: str) -> list[Figures]:
    rows = site.rows(SELECT, profile)
    assert all(row["finish_reason"] == "stop" for row in rows), rows
    names = ("prompt_tokens", "generated_tokens", "cached_tokens", "prompt_ms", "predicted_ms")
    return sorted(tuple(row[name] for name in names) for row in rows)  # type: ignore[misc]


def test_two_hundred_requests_while_passes_run_and_one_is_killed(site: Site) -> None:
    site.profile("alpha", args={"threads": 1, "parallel": 4, "ctx-size": 4096})
    site.profile("beta", args={"threads": 1, "parallel": 4, "ctx-size": 4096})
    rows = site.settle()
    chance = random.Random(7)
    jobs = []
    for number in range(200):
        shared = "once upon a time there was a server " if number % 3 else ""
        prompt = shared + " ".join(chance.choices(WORDS, k=chance.randint(1, 60)))
        jobs.append(("alpha" if number % 10 else "beta", prompt, chance.choice([1, 2, 7, 30, 90, 200])))
    done = threading.Event()
    passes: list[str] = []

    def keep_passing() -> None:
        while not done.is_set():
            child = site.start("run", "--once", "-q")
            if len(passes) % 4 == 2:  # somewhere in the middle of it, at another moment each time
                time.sleep(0.03 + chance.random() * 0.15)
                child.kill()
            _, err = child.communicate(timeout=30)
            passes.append("killed" if child.returncode == -9 else "done")
            assert child.returncode in {0, -9}, err.decode()

    def send(job: tuple[str, str, int]) -> tuple[str, Figures]:
        name, prompt, tokens = job
        time.sleep(0.05)  # so that there are passes before, among and after
        return name, figures(complete(rows[name]["port"], prompt, tokens, cache_prompt=True))

    with ThreadPoolExecutor(9) as pool:
        passing = pool.submit(keep_passing)
        try:
            answers = list(pool.map(send, jobs))
            eventually(lambda: "killed" in passes or passing.done(), "a killed pass")
        finally:
            done.set()
        passing.result(60)
    assert passes.count("done") > 1
    assert "killed" in passes
    assert len(answers) == 200
    for name in ("alpha", "beta"):
        expected = sorted(found for profile, found in answers if profile == name)
        eventually(
            lambda n=name, e=expected: site.once("-q") and len(stored(site, n)) >= len(e), f"{name} stored"
        )
        site.once("-q")
        assert stored(site, name) == expected
        assert any(found[2] > 0 for found in expected), (
            "no prompt came from the cache, so that was not tested"
        )
    assert site.count("generations") == 200
    totals = site.rows(
        "SELECT total_tokens, prompt_tokens + cached_tokens + generated_tokens AS sum FROM generations"
    )
    assert all(row["total_tokens"] == row["sum"] for row in totals)
    counted = site.one("SELECT sum(requests) AS n FROM system_samples")
    assert counted["n"] == 200


def test_requests_just_before_a_server_is_killed_are_counted(site: Site) -> None:
    site.profile("alpha", restart={"backoff": "1m"})  # long enough to be seen down
    row = site.settle()["alpha"]
    expected = sorted(figures(complete(row["port"], f"{word} and", 6)) for word in WORDS[:10])
    # The answer leaves a moment before the server's own log thread has written the last line.
    path = str(row["log_path"])

    def written() -> bool:
        with open(path, encoding="utf-8") as file:
            return file.read().count("stop processing") == len(expected) + 1  # and our own, after the start

    eventually(written, "the log is written")
    kill(int(str(row["pid"])))
    site.settle("error")
    assert stored(site, "alpha") == expected
    assert site.newest()["alpha"]["exit_signal"] == 9
    site.edit("UPDATE instances SET retry_ts = NULL")
    site.settle()
    assert stored(site, "alpha") == expected


def test_requests_just_before_a_stop_are_counted(site: Site) -> None:
    site.profile("alpha")
    row = site.settle()["alpha"]
    expected = sorted(figures(complete(row["port"], f"{word} or", 3)) for word in WORDS[:5])
    assert site.run("stop", "alpha").rc == 0
    assert stored(site, "alpha") == expected


def test_the_rates_are_those_the_server_printed(site: Site) -> None:
    site.profile("alpha")
    row = site.settle()["alpha"]
    timings = complete(row["port"], "the rates of it", 50)["timings"]
    assert isinstance(timings, dict)
    eventually(lambda: site.once("-q") and site.count("generations") == 1, "stored")
    found = site.one(SELECT, "alpha")
    assert found["tokens_per_second"] == pytest.approx(timings["predicted_per_second"], abs=0.006)
    assert found["prompt_tokens_per_second"] == pytest.approx(timings["prompt_per_second"], abs=0.006)


def test_a_request_whose_client_left_is_recorded_as_cancelled(site: Site) -> None:
    import http.client
    import json

    site.profile("alpha", args={"threads": 1, "ctx-size": 256, "parallel": 1, "context-shift": True})
    row = site.settle()["alpha"]
    link = http.client.HTTPConnection("127.0.0.1", int(str(row["port"])), timeout=20)
    body = {"prompt": "go on", "n_predict": 10**8, "stream": True, "ignore_eos": True}
    link.request("POST", "/completion", json.dumps(body), {"Content-Type": "application/json"})
    link.getresponse().readline()
    link.close()
    eventually(lambda: site.once("-q") and site.count("generations") == 1, "recorded")
    found = site.one("SELECT finish_reason, generated_tokens FROM generations")
    assert found == {"finish_reason": "cancelled", "generated_tokens": None}
