"""`complete`, `chat`, `embed` and `rerank` against a real server, as a user types them."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from asked_site import ARGS, counted, generations, slots_busy
from scratch_site import PYTHON, Site, eventually, kill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.embedded


@pytest.fixture
def tiny(tmp_path: Path, port_block: tuple[int, int], tiny_model: str) -> Iterator[Site]:
    """A site with one profile, which runs."""
    made = Site(tmp_path, port_block, "embedded", tiny_model)
    made.profile("tiny", args=ARGS)
    made.settle()
    yield made
    made.stop_all()


def terminal(
    site: Site, *words: str, say: bytes = b"", until: bytes, deadline_s: float = 30.0
) -> tuple[bytes, int]:
    """Run a command on a terminal of its own until it has shown this; what it showed, and its exit code."""
    child, fd = pty.fork()
    if child == 0:
        os.chdir(site.root)
        os.execve(PYTHON[0], [*PYTHON, *words], {**site.env, "TERM": "dumb"})
    shown, end = b"", time.monotonic() + deadline_s
    try:
        for line in say.splitlines(keepends=True):
            os.write(fd, line)
        while until not in shown:
            assert time.monotonic() < end, shown
            try:
                shown += os.read(fd, 65536)
            except OSError:
                break
        while True:
            try:
                more = os.read(fd, 65536)
            except OSError:
                break
            if not more:
                break
            shown += more
    finally:
        os.close(fd)
        _, status = os.waitpid(child, 0)
    return shown, os.waitstatus_to_exitcode(status)


def test_a_text_comes_whole_on_a_pipe_and_as_an_object_with_json(tiny: Site) -> None:
    before = counted(tiny)["written"]
    plain = tiny.run("complete", "the of", "--model", "tiny", "--n-predict", "8", "--seed", "1")
    assert plain.rc == 0, plain
    assert plain.err == ""
    assert plain.out.endswith("\n")

    told = tiny.run("complete", "the of", "--model", "tiny", "--n-predict", "8", "--seed", "1", "--json")
    found = json.loads(told.out)
    assert found["text"] + "\n" == plain.out
    assert (found["model"], found["finish_reason"], found["cache"]) == ("tiny", "length", "off")
    assert found["usage"]["generated_tokens"] == 8
    assert found["timings"]["tokens_per_second"] > 0
    assert found["timings"]["first_token_ms"] > 0
    assert counted(tiny)["written"] - before == 16


@pytest.mark.binary
def test_a_schema_shapes_the_answer(site: Site, tmp_path: Path) -> None:
    """With llama.cpp's own grammars: the embedded build brings others, which the tiny model's vocabulary escapes."""
    site.profile("tiny", args=ARGS)
    site.settle()
    schema = tmp_path / "schema.json"
    schema.write_text(
        '{"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"], '
        '"additionalProperties": false}'
    )
    for command in ("complete", "chat"):
        shaped = site.run(command, "json:", "--schema", str(schema), "--n-predict", "200", "--temp", "0")
        assert set(json.loads(shaped.out)) == {"a"}, shaped


def test_options_reach_the_server_by_their_own_names(tiny: Site) -> None:
    ruled = tiny.run("complete", "x", "--grammar", 'root ::= "the" " of"', "--n-predict", "20")
    assert ruled.out == "the of\n"
    stopped = tiny.run("complete", "x", "--grammar", 'root ::= "the" " of"', "--stop", " of", "--stop", "zzz")
    assert stopped.out == "the\n"
    several = tiny.run("complete", "x", "--n", "2", "--n-predict", "3", "--json")
    assert len(json.loads(several.out)["texts"]) == 2
    wrong = tiny.run("complete", "x", "--temp", "warm")
    assert (wrong.rc, wrong.out) == (2, "")
    assert "temp is a number" in wrong.err
    near = tiny.run("complete", "x", "-o", "topk=3")
    assert near.rc == 2
    assert "did you mean top-k?" in near.err
    refused = tiny.run("complete", "x", "--grammar", "root ::= nothing")
    assert refused.rc == 65
    assert "grammar" in refused.err


def test_the_text_comes_from_files_and_from_standard_input(tiny: Site, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the of\n")
    for words, given in (
        (("-f", "a.txt"), None),
        (("-",), b"the of\n"),
        ((), b"the of\n"),
        (("-f", "-"), b"the of\n"),
    ):
        done = subprocess.run(
            [*PYTHON, "complete", *words, "--n-predict", "4", "--seed", "1", "--json"],
            cwd=tiny.root, env=tiny.env, input=given or b"", capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done
        usage = json.loads(done.stdout)["usage"]
        assert usage["prompt_tokens"] + usage["cached_tokens"] == 8, words
    missing = tiny.run("complete", "-f", "nothing.txt")
    assert (missing.rc, missing.out) == (65, "")


def test_on_a_terminal_tokens_come_one_by_one(tiny: Site) -> None:
    shown, code = terminal(tiny, "complete", "the", "--n-predict", "30", "--temp", "0", until=b"\n")
    assert code == 0
    whole = tiny.run("complete", "the", "--n-predict", "30", "--temp", "0").out
    assert shown.replace(b"\r\n", b"\n").decode() == whole


def test_an_interrupt_frees_the_slot(tiny: Site) -> None:
    tiny.profile("tiny", args={**ARGS, "ctx-size": 262144, "parallel": 1})
    tiny.settle()
    eventually(lambda: tiny.once() and tiny.newest()["tiny"]["status"] == "running", "restarted")
    child = tiny.start(
        "complete", "the", "--n-predict", "200000", "-o", "ignore-eos=true", "--session", "cut"
    )
    eventually(lambda: slots_busy(tiny) == 1, "the slot is taken", 30)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=20)

    assert (child.returncode, out) == (130, b""), err
    assert b"Traceback" not in err
    eventually(lambda: slots_busy(tiny) == 0, "the slot is free", 10)
    eventually(lambda: tiny.once() and tiny.count("generations") == 1, "its row")
    tiny.once()
    tiny.once()
    (row,) = generations(tiny)
    assert (row["finish_reason"], row["client"], row["session_id"]) == ("cancelled", "llamaagent", "cut")
    assert row["task_id"] is not None


def test_one_that_does_not_run_is_unavailable_and_can_be_started(tiny: Site) -> None:
    assert tiny.run("stop", "tiny").rc == 0
    refused = tiny.run("complete", "the", "--model", "tiny")
    assert (refused.rc, refused.out) == (69, "")
    assert "--start" in refused.err
    assert tiny.newest()["tiny"]["status"] == "stopped"

    started = tiny.run("complete", "the", "--model", "tiny", "--start", "--n-predict", "4")
    assert started.rc == 0, started
    assert "starting tiny" in started.err
    assert tiny.newest()["tiny"]["status"] == "running"


def test_one_that_was_killed_is_told_apart(tiny: Site) -> None:
    kill(tiny.live()["tiny"][0])
    gone = tiny.run("complete", "the")
    assert gone.rc == 69
    assert "its process has ended" in gone.err


def test_the_name_may_be_left_out_or_be_a_pattern(tiny: Site) -> None:
    tiny.profile("other", state="stopped")
    assert tiny.run("complete", "the", "--n-predict", "2").rc == 0
    assert tiny.run("complete", "the", "-m", "ti*", "--n-predict", "2").rc == 0
    unknown = tiny.run("complete", "the", "-m", "tinny")
    assert unknown.rc == 2
    assert "did you mean tiny?" in unknown.err
    many = tiny.run("complete", "the", "-m", "*")
    assert many.rc == 2
    assert "other, tiny" in many.err


def test_without_a_database_the_answer_comes_with_one_warning(tiny: Site) -> None:
    for name in os.listdir(os.path.dirname(tiny.database)):
        if name.startswith("llamaagent.db"):
            os.unlink(os.path.join(os.path.dirname(tiny.database), name))
    done = tiny.run("complete", "the", "-m", "tiny", "--n-predict", "3", "--cache")

    assert done.rc == 0, done
    assert done.out
    assert done.err.count("\n") == 1
    assert "kept in memory" in done.err
    assert not os.path.exists(tiny.database)


def test_a_key_is_used_by_reference_and_shown_nowhere(tiny: Site) -> None:
    tiny.env["TINY_KEY"] = "s3cr3t-k3y"
    tiny.profile("tiny", args=ARGS, secrets={"api-key": {"env": "TINY_KEY"}})
    tiny.settle()
    eventually(lambda: tiny.once() and tiny.newest()["tiny"]["status"] == "running", "restarted")

    done = tiny.run("complete", "the", "--n-predict", "3", "--cache", "-vv")
    assert done.rc == 0, done
    wrong = tiny.run("complete", "the", "--n-predict", "3", env={**tiny.env, "TINY_KEY": "other"})
    assert wrong.rc == 78
    assert "another API key" in wrong.err
    unset = tiny.run("complete", "the", env={n: v for n, v in tiny.env.items() if n != "TINY_KEY"})
    assert unset.rc == 78
    assert "TINY_KEY" in unset.err
    tiny.once()
    with open(tiny.database, "rb") as file:
        assert b"s3cr3t-k3y" not in file.read()
    assert "s3cr3t-k3y" not in tiny.logs() + done.out + done.err + wrong.err


def test_one_question_and_a_conversation(tiny: Site, tmp_path: Path) -> None:
    once = tiny.run("chat", "the of", "--system", "in", "--n-predict", "5", "--json")
    assert once.rc == 0, once
    usage = json.loads(once.out)["usage"]
    assert usage["generated_tokens"] == 5

    typed = b"the of\n/set n-predict 3\n/history\n/stats\n/wrong\n/save talk.json\n/undo\n/load talk.json\n/exit\n"
    shown, code = terminal(tiny, "chat", "-m", "tiny", "--n-predict", "4", say=typed, until=b"cache = off")
    assert code == 0, shown
    assert b"user: the of" in shown
    assert b"generated_tokens = 4" in shown
    assert b"/wrong is nothing here" in shown
    kept = json.loads((tmp_path / "talk.json").read_text())
    assert [message["role"] for message in kept["messages"]] == ["user", "assistant"]
    assert tiny.run("query", "SELECT count(*) FROM generation_claims", "--json").rc == 0


def test_an_answer_that_fills_the_context_is_told(tiny: Site) -> None:
    done = tiny.run("complete", "the", "-o", "ignore-eos=true", timeout_s=120)
    assert done.rc == 0
    assert "cut off" in done.err
    long = tiny.run("complete", "the " * 9000)
    assert long.rc == 65
    assert "raise ctx-size" in long.err


def test_vectors_and_orders(tiny: Site) -> None:
    tiny.profile("vectors", args={"threads": 1, "embeddings": True, "pooling": "mean"})
    tiny.settle("running")
    done = tiny.run("embed", "the of", "and to", "-m", "vectors", "--format", "jsonl")
    assert done.rc == 0, done
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["text"] for row in rows] == ["the of", "and to"]
    assert len(rows[0]["embedding"]) == 64
    assert rows[0]["embedding"] != rows[1]["embedding"]
    refused = tiny.run("embed", "x", "-m", "tiny")
    assert refused.rc == 65
    assert "does not support embeddings" in refused.err
    none = tiny.run("rerank", "q", "a", "b", "-m", "tiny")
    assert none.rc == 65
    assert "rerank" in none.err


def test_an_image_for_a_model_that_does_not_see(tiny: Site, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"\x89PNG")
    for command in ("complete", "chat"):
        done = tiny.run(command, "what is it?", "--image", "cat.png")
        assert done.rc == 65, done
        assert "mmproj" in done.err


def test_an_interrupt_in_a_conversation_ends_one_answer_alone(tiny: Site) -> None:
    child, fd = pty.fork()
    if child == 0:
        os.chdir(tiny.root)
        words = ("chat", "-m", "tiny", "-o", "ignore-eos=true", "--n-predict", "8000")
        os.execve(PYTHON[0], [*PYTHON, *words], {**tiny.env, "TERM": "dumb"})
    shown = b""

    def until(text: bytes) -> None:
        nonlocal shown
        while text not in shown:
            shown += os.read(fd, 4096)

    try:
        until(b"> ")
        os.write(fd, b"the of\n")
        eventually(lambda: slots_busy(tiny) == 1, "it answers")
        os.write(fd, b"\x03")
        until(b"nothing of it is kept")
        os.write(fd, b"/history\n/exit\n")
        with contextlib.suppress(OSError):
            while True:
                shown += os.read(fd, 4096)
    finally:
        os.close(fd)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert b"user: the of" not in shown
    eventually(lambda: slots_busy(tiny) == 0, "the slot is free")


def test_one_that_still_loads_is_told_so(fake_site: Site) -> None:
    fake_site.profile("slow", runtime={"env": {"FAKE_MODE": "delay-ready:60"}})
    fake_site.once()
    assert fake_site.newest()["slow"]["status"] == "loading"
    done = fake_site.run("complete", "x", "-m", "slow")
    assert (done.rc, done.out) == (69, "")
    assert "still loading its model" in done.err
