"""Generations from Python: against a real server, and with a database that fails in every way there is."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import apsw
import pytest
from asked_site import ARGS, counted, generations, held_ports
from generation_load import TOKENS, run_load, settle
from scratch_site import ROOT, Site, complete, eventually

import llamaagent
from llamaagent.base.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> Iterator[Site]:
    """A site whose server runs for all tests here."""
    root = tmp_path_factory.mktemp("served")
    with held_ports() as ports:
        made = Site(root, ports, "embedded", tiny_model)
        made.profile("tiny", args=ARGS)
        made.settle()
        yield made
        made.stop_all()


@pytest.fixture
def tiny(served: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The site as this program's own, with nothing kept or counted."""
    for name, value in served.env.items():
        if name.startswith("XDG_") or name == "HOME":
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(served.root)
    served.once()
    served.once()
    served.once()
    served.edit("DELETE FROM cache")
    served.edit("DELETE FROM generations")
    llamaagent.configure_db()
    yield served
    llamaagent.configure_db(enabled=False)


def test_three_ways_of_use(tiny: Site, tmp_path: Path) -> None:
    answer = llamaagent.complete("the of", n_predict=6, temp=0.5, session="mine")
    assert answer.text == str(answer)
    assert (answer.finish_reason, answer.cache, answer.session) == ("length", "off", "mine")
    assert json.loads(answer.to_json()) == answer.to_dict()
    assert answer.to_dict()["usage"]["generated_tokens"] == 6
    said = llamaagent.chat("the of", "tiny", system="in", n_predict=3)
    assert said.usage["generated_tokens"] == 3

    with llamaagent.open_store(tmp_path / "own.db") as own:
        llm = llamaagent.LLM("tiny", db=own, n_predict=4, cache=True)
        assert [llm("the of").cache, llm("the of").cache] == ["stored", "hit"]
        assert own.cache.info()["entries"] == 1
        assert (
            own.stats.get_summary()["cache_hit_rate"] == 0.5
        )  # its own figures, though no pass writes to it
    assert llamaagent.get_db().cache.info()["entries"] == 0

    pieces: list[str] = []
    shown = llamaagent.LLM("tiny", n_predict=9)("the", on_text=pieces.append)
    assert "".join(pieces) == shown.text
    assert len(pieces) > 1


def test_a_wrapper_and_a_decorator_cache(tiny: Site) -> None:
    before = counted(tiny)["written"]
    llm = llamaagent.LLM("tiny", n_predict=5)
    kept = llamaagent.cached(ttl=timedelta(hours=1))(llm)
    assert [kept("a").cache, kept("a").cache, llm("a").cache] == ["stored", "hit", "off"]

    calls: list[str] = []

    @llamaagent.cached(ttl=60)
    def summary(text: str, *, loud: bool = False) -> str:
        """Sum it up."""
        calls.append(text)
        return llm(text).text + ("!" if loud else "")

    @llamaagent.cached(ttl=None)
    def answer(text: str) -> llamaagent.LLM:
        calls.append(text)
        return llm(text)  # type: ignore[return-value]

    first = summary("b")
    assert (summary("b"), summary("b", loud=True)[-1], summary.__doc__) == (first, "!", "Sum it up.")
    assert str(answer("c")) == str(answer("c"))
    assert calls == ["b", "b", "c"]
    assert counted(tiny)["written"] - before == 5 * 5
    assert llamaagent.cached()(lambda x: (x,))(1) == (1,)  # a tuple would come back as a list
    with pytest.raises(UsageError, match="goes around"):
        llamaagent.cached()(3)


def test_the_settings_of_the_program(tiny: Site) -> None:
    store = llamaagent.configure_db(cache_ttl=timedelta(seconds=90), max_cache_size_mb=2)
    assert llamaagent.get_db() is store
    assert store.cache.max_bytes == 2 << 20
    assert llamaagent.complete("the", n_predict=2).cache == "stored"
    (row,) = tiny.rows("SELECT expires_ts - created_ts AS kept FROM cache")
    assert row["kept"] == 90
    assert llamaagent.complete("the", n_predict=2, cache=False).cache == "off"
    llamaagent.configure_db(cache=True, cache_ttl=None)
    llamaagent.complete("of", n_predict=2)
    assert tiny.count("cache WHERE expires_ts IS NULL") == 1


def test_wrong_arguments_are_told_at_once(tiny: Site) -> None:
    with pytest.raises(UsageError, match="warmth is not an option"):
        llamaagent.LLM("tiny", warmth=1)
    with pytest.raises(UsageError, match="no profile is named"):
        llamaagent.complete("x", "nobody")
    for name in ("tiny", "t*", "tiny.gguf", tiny.model):
        assert llamaagent.complete("x", name, n_predict=1).model == "tiny"
    with pytest.raises(UsageError, match="no profile is named"):
        llamaagent.complete("x", "/elsewhere/tiny.gguf")


@pytest.mark.parametrize("trouble", ["disabled", "missing", "damaged", "read-only", "locked"])
def test_the_answer_comes_whatever_the_database_is(
    tiny: Site, trouble: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, locker = tmp_path / "x.db", None
    if trouble == "missing":
        path = tmp_path / "no" / "such"
        path.parent.write_text("a file where a folder should be")
    elif trouble == "damaged":
        path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    elif trouble in {"read-only", "locked"}:
        llamaagent.open_store(path).close()
    if trouble == "locked":
        locker = apsw.Connection(str(path))
        locker.execute("BEGIN IMMEDIATE")
    store = llamaagent.open_store(path, enabled=trouble != "disabled", busy_timeout_s=0.2)
    if trouble == "read-only":
        store.link.kind = "read-only"
    caplog.clear()
    try:
        with caplog.at_level(logging.WARNING):
            answers = [llamaagent.complete("the", n_predict=3, db=store, cache=True) for _ in range(3)]
    finally:
        store.close()
        if locker is not None:
            locker.execute("ROLLBACK")
            locker.close()

    assert all(answer.usage["generated_tokens"] == 3 for answer in answers)
    assert len([r for r in caplog.records if r.name == "llamaagent.library"]) <= 1
    expected = ["stored", "hit", "hit"] if trouble in {"missing", "damaged"} else ["miss"] * 3
    assert [answer.cache for answer in answers] == expected


def test_every_client_is_one_row_and_never_two(tiny: Site) -> None:
    """Some ask through llamaagent, some ask the server itself, while passes run; the figures are the server's own."""
    before = tiny.one("SELECT requests_total, generated_tokens_total FROM instances")
    port = tiny.newest()["tiny"]["port"]
    mine: list[dict[str, object]] = []
    done = threading.Event()

    def passing() -> None:
        while not done.is_set():
            tiny.once("-q")

    def one(number: int) -> int:
        words, tokens = f"the of {number}", 5 + number % 7
        if number % 3 == 0:
            complete(port, words, tokens)
            return tokens
        answer = llamaagent.complete(words, n_predict=tokens, ignore_eos=True, session=f"s{number}")
        mine.append({"session": f"s{number}", **answer.to_dict()["timings"], **answer.usage})
        return tokens

    thread = threading.Thread(target=passing)
    thread.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            written = sum(pool.map(one, range(90)))
    finally:
        done.set()
        thread.join(60)
    eventually(lambda: tiny.once() and not tiny.count("generation_claims"), "every claim settled")
    tiny.once()
    rows = generations(tiny)

    assert len(rows) == 90
    assert sum(row["client"] == "llamaagent" for row in rows) == 60
    assert all(row["task_id"] is not None for row in rows)
    by_session = {row["session_id"]: row for row in rows if row["client"] == "llamaagent"}
    for told in mine:
        row = by_session[told["session"]]
        assert row["generated_tokens"] == told["generated_tokens"]
        assert row["cached_tokens"] == told["cached_tokens"]
        assert row["first_token_ms"] == told["first_token_ms"]
        assert row["finish_reason"] == "length"
    after = tiny.one("SELECT requests_total, generated_tokens_total FROM instances")
    assert int(str(after["requests_total"])) - int(str(before["requests_total"])) == 90
    assert int(str(after["generated_tokens_total"])) - int(str(before["generated_tokens_total"])) == written


def test_a_claim_whose_row_never_comes_becomes_the_row(tiny: Site) -> None:
    llamaagent.complete("the of", n_predict=4, session="lost")
    tiny.edit("UPDATE generation_claims SET prompt_time_ms = 7777, generated_tokens = 99")
    tiny.once()
    assert tiny.count("generation_claims") == 1
    tiny.once()
    assert tiny.count("generation_claims") == 0
    rows = {row["client"]: row for row in generations(tiny)}
    assert rows["llamaagent"]["session_id"] == "lost"
    assert rows["llamaagent"]["task_id"] is None
    assert len(rows) == 2  # and the log's own, which the claim did not describe


def test_a_log_that_is_read_late_finds_its_row(tiny: Site) -> None:
    """The claim is a row before the log is read: the log's row takes its place, and nothing is counted twice."""
    before = tiny.one("SELECT requests_total FROM instances")["requests_total"]
    llamaagent.complete("the of", n_predict=4, session="late")
    path = str(tiny.newest()["tiny"]["log_path"])
    tiny.edit("UPDATE instances SET log_path = log_path || '.away'")
    tiny.once()
    tiny.once()
    assert [row["task_id"] for row in generations(tiny)] == [None]
    tiny.edit("UPDATE instances SET log_path = ?", path)
    tiny.once()
    tiny.once()
    (row,) = generations(tiny)
    assert row["session_id"] == "late"
    assert row["task_id"] is not None
    assert tiny.one("SELECT requests_total FROM instances")["requests_total"] == int(str(before)) + 1


def test_figures_of_what_was_asked(tiny: Site) -> None:
    for number in range(4):
        llamaagent.complete(f"the {number % 2}", n_predict=6, cache=True, session="figures", ignore_eos=True)
    eventually(lambda: tiny.once() and not tiny.count("generation_claims"), "every claim settled")
    found = json.loads(tiny.run("stats", "summary", "tiny", "--json").out)
    assert found["total_generations"] == 4
    assert found["cache_hit_rate"] == 0.5
    assert found["generated_tokens"] == 24
    rates = sorted(row["tokens_per_second"] for row in llamaagent.history(10) if row["tokens_per_second"])
    assert len(rates) == 2
    assert found["avg_tokens_per_second"] == pytest.approx(sum(rates) / 2)
    assert found["median_tokens_per_second"] == pytest.approx(sum(rates) / 2)
    assert found["p95_tokens_per_second"] == rates[-1]
    assert found["by_model"]["tiny"]["generations"] == 4
    assert found["avg_first_token_ms"] > 0
    sessions = json.loads(tiny.run("stats", "summary", "--by", "session", "--json").out)
    assert [(row["group"], row["generations"]) for row in sessions] == [("figures", 4)]

    pages = []
    words = ["stats", "history", "-n", "3", "--format", "json", "--session", "figures"]
    rows = json.loads(tiny.run(*words).out)
    pages.append([row["id"] for row in rows])
    rows = json.loads(tiny.run(*words, "--before", f"{rows[-1]['ts']}:{rows[-1]['id']}").out)
    pages.append([row["id"] for row in rows])
    assert [len(page) for page in pages] == [3, 1]
    assert len({*pages[0], *pages[1]}) == 4
    assert tiny.run("stats", "tiny", "--json").rc == 0
    assert all(
        isinstance(value, (str, int, float, bool, type(None)))
        for r in llamaagent.history()
        for value in r.values()
    )


def test_a_hit_costs_a_fiftieth(tiny: Site) -> None:
    llm = llamaagent.LLM("tiny", n_predict=128, ignore_eos=True, cache=True, temp=0.5)
    asked = sorted(llm(f"once {number}").total_ms for number in range(9))
    hits = [llm(f"once {number}") for number in range(9)]

    assert all(hit.cached for hit in hits)
    assert sorted(hit.total_ms for hit in hits)[4] * 50 < asked[4]


def test_importing_loads_nothing() -> None:
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import llamaagent"],
        env={"PYTHONPATH": os.path.join(ROOT, "src")}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in told.stderr.splitlines()}
    assert not {name for name in loaded if name.startswith("llamaagent.")}


def test_many_threads_lose_nothing_and_count_nothing_twice(tiny: Site) -> None:
    """The same as `make bench-generations`, smaller, with a pass going on beside it."""
    before = counted(tiny)["written"]
    done = threading.Event()
    beside = threading.Thread(target=lambda: [tiny.once("-q") for _ in iter(done.is_set, True)])
    beside.start()
    try:
        runs = [run_load(600, 50, 64, cache=cache) for cache in (False, True, True)]
    finally:
        done.set()
        beside.join(60)
    settle(tiny)

    assert [run.warnings for run in runs] == [[], [], []]
    assert [(run.hits, run.stored) for run in runs] == [(0, 0), (550, 50), (600, 0)]
    assert tiny.count("generations") == 1800
    assert tiny.count("generations WHERE client = 'unknown' OR (NOT cache_hit AND task_id IS NULL)") == 0
    assert tiny.one("SELECT sum(hit_count) AS n FROM cache")["n"] == 1150
    assert counted(tiny)["written"] - before == TOKENS * 650


def test_the_cache_loads_nothing_while_it_is_off(tiny: Site) -> None:
    program = (
        "import llamaagent, sys; llamaagent.complete('the', n_predict=2);"
        "print([m for m in sys.modules if m.endswith(('remembering', 'generate.key', 'store.flight', 'gguf.header'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tiny.root, env=tiny.env, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


FULL = """
import resource, signal, llamaagent
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = llamaagent.configure_db(cache=True)
llamaagent.complete("the", n_predict=2)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
print([llamaagent.complete(f"the {n}", n_predict=2).usage["generated_tokens"] for n in range(3)])
"""


def test_a_full_disk_costs_no_answer(tiny: Site) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL], cwd=tiny.root, env=tiny.env, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "[2, 2, 2]\n"), done
    assert done.stderr.count("\n") == 1, done.stderr
    assert "going on without it" in done.stderr
