"""`bench` and `compare` on a real server."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from asked_site import ARGS, counted, generations
from scratch_site import complete, eventually

if TYPE_CHECKING:
    from scratch_site import Site

pytestmark = pytest.mark.binary


def test_a_fixed_load_is_measured_stored_and_counted(site: Site) -> None:
    site.profile("tiny", args={**ARGS, "flash-attn": "auto"})
    site.settle()
    before = counted(site)
    words = ("--prompt-tokens", "32,64", "--n-predict", "16", "--concurrency", "1,2", "--requests", "4")
    done = site.run("bench", "tiny", *words, "--tool", "--json")
    assert done.rc == 0, done
    rows = json.loads(done.out)

    server = [row for row in rows if row["tool"] == "server"]
    tool = [row for row in rows if row["tool"] == "llama-batched-bench"]
    sizes = [(32, 16, 1), (32, 16, 2), (64, 16, 1), (64, 16, 2)]
    assert [(r["prompt_tokens"], r["generated_tokens"], r["concurrency"]) for r in server] == sizes
    assert [(r["prompt_tokens"], r["generated_tokens"], r["concurrency"]) for r in tool] == sizes
    assert all(row["tokens_per_second"] > 0 and row["prompt_tokens_per_second"] > 0 for row in rows)
    assert all(row["first_token_ms"] > 0 and row["failed"] == 0 for row in server)
    # Each level: its requests, and one of two tokens for each of those at a time, to warm up. Nothing from the cache.
    after = counted(site)
    assert after["written"] - before["written"] == 4 * 4 * 16 + (1 + 2) * 2 * 2
    assert after["prompt"] - before["prompt"] == 2 * (32 + 64) * 4 + 3 * (32 + 64)
    assert after["cached"] == before["cached"]
    stored = site.rows("SELECT tool, build, profile_hash, instance_id FROM benchmarks")
    assert len(stored) == 8
    assert all(row["profile_hash"] and row["instance_id"] == 1 for row in stored)
    assert len(json.loads(site.run("bench", "tiny", "--list", "--json").out)) == 8

    eventually(lambda: site.once() and not site.count("generation_claims"), "every claim settled")
    assert {(row["client"], row["session_id"]) for row in generations(site)} == {("llamaagent", "bench")}
    assert len(generations(site)) == 22
    wrong = site.run("bench", "tiny", "--concurrency", "many")
    assert wrong.rc == 2


def test_requests_that_do_not_fit_are_told(site: Site) -> None:
    site.profile("tiny", args={"threads": 1, "parallel": 1, "ctx-size": 256})
    site.settle()
    done = site.run(
        "bench", "tiny", "--prompt-tokens", "900", "--concurrency", "1", "--requests", "2", "--json"
    )
    assert done.rc == 0
    assert json.loads(done.out)[0]["failed"] == 2
    assert "2 of 2 requests failed" in done.err


def test_before_and_after_another_build(site: Site) -> None:
    site.profile("tiny", args=ARGS)
    port = site.settle()["tiny"]["port"]
    for number in range(6):
        complete(port, f"the of {number}", 20)
    complete(port, "the of", 200)
    site.once()
    site.edit("UPDATE instances SET build = 'b1', git_commit = 'aaaa1111'")
    site.edit("UPDATE generations SET tokens_per_second = 100 + task_id % 7, prompt_tokens_per_second = 50")
    assert site.run("restart", "tiny").rc == 0
    port = site.newest()["tiny"]["port"]
    for number in range(5):
        complete(port, f"the of {number}", 20)
    eventually(lambda: site.once() and site.count("generations WHERE instance_id = 2") == 5, "five rows")
    site.edit("UPDATE instances SET build = 'b2', git_commit = 'bbbb2222' WHERE id = 2")
    site.edit(
        "UPDATE generations SET tokens_per_second = 200, prompt_tokens_per_second = 25 WHERE instance_id = 2"
    )

    found = json.loads(site.run("compare", "tiny", "--build", "b1", "--build", "b2", "--json").out)
    assert found["tokens_per_second"]["before"]["n"] == 6
    assert found["tokens_per_second"]["after"] == {"n": 5, "median": 200.0, "p95": 200.0}
    assert 0.8 < found["tokens_per_second"]["change"] <= 1.0
    assert found["prompt_tokens_per_second"]["change"] == -0.5
    assert found["tokens_per_second"]["left_out"] == 1
    assert found["crashes"] == {"before": 0, "after": 0}
    assert found["memory_mib"]["before"] > 1
    by_commit = json.loads(site.run("compare", "tiny", "--commit", "aaaa", "--commit", "bbbb", "--json").out)
    assert by_commit["tokens_per_second"] == found["tokens_per_second"]
    table = site.run("compare", "tiny", "--build", "b1", "--build", "b2")
    assert "-50.0%" in table.out
    cut = int(time.time()) + 3600
    later = site.run("compare", "tiny", "--since", time.strftime("%Y-%m-%d %H:%M", time.localtime(cut)))
    assert later.rc == 0
    assert "no requests of like size" in later.err
    for words in (
        ("--build", "b1"),
        ("--build", "b1", "--build", "b1"),
        (),
        ("--build", "a", "--since", "1h"),
    ):
        assert site.run("compare", "tiny", *words).rc == 2
    assert "--build b2: 5 requests" in site.run("compare", "tiny").err
