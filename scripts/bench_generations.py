"""What asking through llamaagent costs, and what its cache saves: threads that ask one embedded server.

10,000 askings from 64 threads over 500 prompts: with the cache off, cold and warm, in askings a second; every row and
every hit is counted afterwards. Then one answer of 128 tokens against the same from the cache, in Python and as a
command, whose own cost is printed beside. Run it with `make bench-generations`; ARGS is askings, prompts, threads.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "system")]

from asked_site import ARGS, counted  # noqa: E402
from generation_load import TOKENS, run_load, settle  # noqa: E402
from scratch_site import Site  # noqa: E402

import llamaagent  # noqa: E402
from llamaagent.launch.tiny import write_tiny_model  # noqa: E402


def main() -> int:
    """Print the figures; 1 when a row was lost or counted twice."""
    numbers = [int(word) for word in sys.argv[1:]] or [10_000, 500, 64]
    asked, prompts, threads = numbers
    with tempfile.TemporaryDirectory(prefix="llamaagent-bench-") as name:
        root = Path(name)
        site = Site(root, (7400, 7419), "embedded", write_tiny_model(str(root / "tiny.gguf")))
        site.profile("tiny", args={**ARGS, "parallel": 8})
        try:
            site.settle()
            for variable, value in site.env.items():
                if variable.startswith("XDG_") or variable == "HOME":
                    os.environ[variable] = value
            os.chdir(root)
            llamaagent.configure_db()
            wrong = _load(site, asked, prompts, threads)
            _one(site)
            llamaagent.configure_db(enabled=False)
        finally:
            os.chdir("/")
            site.stop_all()
    return 1 if wrong else 0


def _load(site: Site, asked: int, prompts: int, threads: int) -> list[str]:
    before = counted(site)["written"]
    runs = {word: run_load(asked, prompts, threads, cache=word != "off") for word in ("off", "cold", "warm")}
    settle(site)
    for word, run in runs.items():
        print(
            f"cache {word:5} {run.per_second:9.0f} askings/s  ({run.hits} hits, {len(run.warnings)} warnings)"
        )
    written = counted(site)["written"] - before
    hits = site.one("SELECT sum(hit_count) AS n FROM cache")["n"]
    expected = {
        "rows": (site.count("generations"), 3 * asked),
        "rows of hits": (site.count("generations WHERE cache_hit"), 2 * asked - prompts),
        "hits counted": (hits, 2 * asked - prompts),
        "tokens of the server": (written, TOKENS * (asked + prompts)),
        "warnings": (sum(len(run.warnings) for run in runs.values()), 0),
    }
    wrong = [
        f"{name}: {found}, not {wanted}" for name, (found, wanted) in expected.items() if found != wanted
    ]
    print("\n".join(wrong) or "every row and every hit is there, once")
    return wrong


def _one(site: Site) -> None:
    llm = llamaagent.LLM("tiny", n_predict=128, ignore_eos=True, cache=True)
    asked = [llm(f"there was {number}").total_ms for number in range(21)]
    hits = [llm(f"there was {number}").total_ms for number in range(21)]
    one, other = statistics.median(asked), statistics.median(hits)
    print(f"128 tokens {one:.2f} ms, from the cache {other:.3f} ms: {one / other:.0f} times faster")
    words = ("complete", "there was", "--n-predict", "128", "-o", "ignore-eos=true")
    spent = {
        "the command alone (--help)": _seconds(site, "complete", "--help"),
        "the command, asking": _seconds(site, *words),
        "the command, from the cache": _seconds(site, *words, "--cache"),
    }
    for what, seconds in spent.items():
        print(f"{what:28} {seconds * 1000:7.0f} ms")


def _seconds(site: Site, *words: str) -> float:
    site.run(*words)
    took = []
    for _ in range(5):
        begun = time.monotonic()
        site.run(*words)
        took.append(time.monotonic() - begun)
    return statistics.median(took)


if __name__ == "__main__":
    raise SystemExit(main())
