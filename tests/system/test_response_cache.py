"""The response cache by the server's own counters: what was a hit, and what was computed once."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from asked_site import ARGS, counted, generations
from scratch_site import Site, eventually, kill

from llamaagent.store.connect import open_database
from llamaagent.store.read import select

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.embedded
ASK = ("complete", "the of", "--model", "tiny", "--n-predict", "8", "--json")


@pytest.fixture
def tiny(tmp_path: Path, port_block: tuple[int, int], tiny_model: str) -> Iterator[Site]:
    """A site with one profile, which runs, and the cache on."""
    made = Site(tmp_path, port_block, "embedded", tiny_model)
    made.settings(cache={"enabled": True})
    made.profile("tiny", args=ARGS)
    made.settle()
    yield made
    made.stop_all()


def asked(site: Site, *words: str) -> dict[str, object]:
    done = site.run(*(words or ASK))
    assert done.rc == 0, done
    found = json.loads(done.out)
    assert isinstance(found, dict)
    return found


def test_the_same_asking_is_answered_once(tiny: Site) -> None:
    before = counted(tiny)
    first = asked(tiny)
    after = counted(tiny)
    again = [asked(tiny), asked(tiny, *ASK, "--seed", "7"), asked(tiny)]

    assert first["cache"] == "stored"
    assert [one["cache"] for one in again] == ["hit", "stored", "hit"]
    assert again[0]["text"] == again[2]["text"] == first["text"]
    assert after["written"] - before["written"] == 8
    assert counted(tiny)["written"] - after["written"] == 8  # the one with a seed on purpose
    entries = json.loads(tiny.run("cache", "--json").out)
    used = {entry["cache_key"]: entry for entry in entries}
    assert sorted(entry["hit_count"] for entry in entries) == [0, 2]
    assert used[first["cache_key"]]["hit_count"] == 2
    assert used[first["cache_key"]]["prompt"] == "the of"
    assert used[first["cache_key"]]["response_text"] == first["text"]
    info = json.loads(tiny.run("cache", "info", "--json").out)
    assert (info["entries"], info["hits"], info["enabled"]) == (2, 2, True)
    assert info["size_bytes"] == sum(entry["size_bytes"] for entry in entries)


def test_a_hit_is_a_row_of_its_own_and_no_tokens_of_the_server(tiny: Site) -> None:
    asked(tiny, *ASK, "--session", "a")
    asked(tiny, *ASK, "--session", "b")
    eventually(lambda: tiny.once() and tiny.count("generations") == 2, "both rows")
    tiny.once()
    rows = generations(tiny)

    by_session = {row["session_id"]: row for row in rows}
    assert len(rows) == 2
    assert (by_session["a"]["cache_hit"], by_session["b"]["cache_hit"]) == (0, 1)
    assert by_session["a"]["cache_key"] == by_session["b"]["cache_key"] is not None
    assert by_session["b"]["instance_id"] is None
    assert by_session["b"]["generated_tokens"] == 8
    assert {row["client"] for row in rows} == {"llamaagent"}
    counters = tiny.one("SELECT requests_total, generated_tokens_total FROM instances")
    assert counters == {"requests_total": 1, "generated_tokens_total": 8}
    db = open_database(tiny.database, write=False)
    try:
        (totals,) = select(db, "read_totals", {"from_ts": 0, "to_ts": 1 << 40}, "report").rows
    finally:
        db.close()
    assert (totals["requests"], totals["generated_tokens"]) == (1, 8)  # the report counts what servers did


def test_nothing_is_used_or_kept_when_it_is_off(tiny: Site) -> None:
    tiny.settings()
    assert [asked(tiny)["cache"], asked(tiny)["cache"]] == ["off", "off"]
    assert tiny.count("cache") == 0
    assert asked(tiny, *ASK, "--cache")["cache"] == "stored"
    assert asked(tiny, *ASK, "--cache")["cache"] == "hit"
    assert asked(tiny)["cache"] == "off"
    tiny.settings(cache={"enabled": True})
    assert asked(tiny, *ASK, "--no-cache")["cache"] == "off"
    both = tiny.run(*ASK, "--cache", "--no-cache")
    assert both.rc == 2


def test_answers_that_were_cut_off_or_refused_are_not_kept(tiny: Site) -> None:
    cut = asked(tiny, "complete", "the", "-o", "ignore-eos=true", "--json")
    assert (cut["finish_reason"], cut["cache"]) == ("cut", "miss")
    assert tiny.run("complete", "x", "--grammar", "root ::= nothing").rc == 65
    assert tiny.run(
        "complete", "the of in", "-o", "ignore-eos=true", "--timeout", "1s", "--n-predict", "7000"
    ).rc in {
        0,
        69,
    }
    kept = {row["prompt"] for row in tiny.rows("SELECT prompt, finish_reason FROM cache")}
    assert kept <= {"the of in"}


def test_a_kept_answer_expires(tiny: Site) -> None:
    assert asked(tiny, *ASK, "--ttl", "1s")["cache"] == "stored"
    time.sleep(2.1)
    assert asked(tiny, *ASK, "--ttl", "1h")["cache"] == "stored"
    assert asked(tiny)["cache"] == "hit"
    assert tiny.count("cache") == 1


def test_what_is_forgotten_is_computed_again(tiny: Site) -> None:
    asked(tiny)
    asked(tiny, "chat", "the of", "--n-predict", "4", "--json")
    asked(tiny, "complete", "another", "--n-predict", "4", "--json")
    nothing = tiny.run("cache", "invalidate")
    assert nothing.rc == 2
    assert json.loads(tiny.run("cache", "invalidate", "--older-than", "1h", "--json").out) == {"removed": 0}
    assert json.loads(tiny.run("cache", "invalidate", "--model", "no", "--json").out) == {"removed": 0}
    assert json.loads(tiny.run("cache", "invalidate", "--prompt", "the of", "--json").out) == {"removed": 2}
    assert json.loads(tiny.run("cache", "invalidate", "--model", "tiny", "--json").out) == {"removed": 1}
    assert asked(tiny)["cache"] == "stored"


def test_too_much_goes_least_recently_used_first(tiny: Site) -> None:
    tiny.settings(cache={"enabled": True, "max_size": "1MiB"})
    for name in ("one", "two", "three"):
        assert asked(tiny, "complete", name, "--n-predict", "4", "--json")["cache"] == "stored"
    tiny.edit(
        "UPDATE cache SET size_bytes = 400000, created_ts = created_ts - 10 * (4 - id), last_hit_ts = NULL"
    )
    assert asked(tiny, "complete", "one", "--n-predict", "4", "--json")["cache"] == "hit"
    tiny.edit("UPDATE cache SET expires_ts = NULL")
    assert tiny.run("cache", "cleanup", "--json").out.split() == ["{", '"removed":', "1", "}"]
    assert {row["prompt"] for row in tiny.rows("SELECT prompt FROM cache")} == {"one", "three"}
    tiny.edit("UPDATE cache SET expires_ts = 1 WHERE prompt = 'one'")
    assert json.loads(tiny.run("cache", "cleanup", "--json").out) == {"removed": 1}


@pytest.mark.parametrize("identity", ["name", "content"])
def test_a_model_is_known_by_its_name_or_its_header(tiny: Site, identity: str, tmp_path: Path) -> None:
    """Another file of the same name and size is the same by name, and not by content."""
    tiny.settings(cache={"enabled": True, "model_identity": identity})
    first = asked(tiny)["cache_key"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with open(tiny.model, "rb") as file:
        data = bytearray(file.read())
    at = data.index(b"llama.context_length") + len("llama.context_length") + 4
    data[at] ^= 1
    (elsewhere / "tiny.gguf").write_bytes(data)
    tiny.profile("tiny", args=ARGS, model=str(elsewhere / "tiny.gguf"))
    tiny.settle()
    eventually(lambda: tiny.once() and tiny.newest()["tiny"]["status"] == "running", "restarted")

    assert (asked(tiny)["cache_key"] == first) == (identity == "name")


def test_two_at_once_compute_one_answer_when_asked_to_wait(tiny: Site) -> None:
    long = ("complete", "the of", "--n-predict", "1500", "-o", "ignore-eos=true", "--json", "--single-flight")
    before = counted(tiny)["written"]
    children = [tiny.start(*long) for _ in range(4)]
    answers = [json.loads(child.communicate(timeout=120)[0]) for child in children]

    assert sorted(answer["cache"] for answer in answers) == ["hit", "hit", "hit", "stored"]
    assert len({answer["text"] for answer in answers}) == 1
    assert counted(tiny)["written"] - before == 1500
    without = tiny.run(*long, "--no-cache")
    assert without.rc == 2


def test_who_computes_and_is_killed_blocks_nobody(tiny: Site) -> None:
    tiny.profile("tiny", args={**ARGS, "ctx-size": 262144, "parallel": 1})
    tiny.settle()
    eventually(lambda: tiny.once() and tiny.newest()["tiny"]["status"] == "running", "restarted")
    key = ("complete", "the of", "-o", "ignore-eos=true", "--single-flight", "--json")
    first = tiny.start(*key, "--n-predict", "200000")
    time.sleep(1.0)
    kill(first.pid)
    first.communicate()
    late = tiny.run(*key, "--n-predict", "200000", "--timeout", "3s")
    assert late.rc in {0, 69}  # it asks the server itself, whose answer takes too long
    assert "another program" not in late.err


def test_a_kept_answer_needs_no_server(tiny: Site) -> None:
    text = asked(tiny)["text"]
    assert tiny.run("stop", "tiny").rc == 0
    assert asked(tiny)["text"] == text
    assert tiny.run("complete", "something else", "--model", "tiny").rc == 69
