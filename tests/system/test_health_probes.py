"""Health that means it: a token, a command, a page, the bare process; nobody disturbed by it. Peers 5.5, 5.21."""

from __future__ import annotations

import json
import os
import stat
import time
from typing import TYPE_CHECKING

import pytest
from scratch_site import complete, eventually

from llamaagent.launch.identity import pids, read_small

if TYPE_CHECKING:
    from pathlib import Path

    from scratch_site import Site


def fake(site: Site, mode: str, **keys: object) -> Path:
    """A profile whose server is the fake in this mode; gives the file that gets its request lines."""
    hits = site.root / "hits"
    env = {"FAKE_MODE": mode, "FAKE_HITS": str(hits)}
    site.profile("alpha", runtime={"env": env}, **keys)
    return hits


def asked(hits: Path) -> dict[str, int]:
    """How often each path was asked for."""
    found: dict[str, int] = {}
    for line in hits.read_text().splitlines() if hits.exists() else []:
        path = line.split()[1]
        found[path] = found.get(path, 0) + 1
    return found


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(stat.S_IRWXU)
    return str(path)


def health_row(site: Site) -> dict[str, object]:
    return site.rows("SELECT status, detail FROM health_checks ORDER BY id DESC LIMIT 1")[0]


def test_after_a_start_one_token_is_asked_for_and_then_no_more(fake_site: Site) -> None:
    hits = fake(fake_site, "")
    fake_site.settle()
    eventually(lambda: fake_site.once("-q") and asked(hits).get("/completion") == 1, "one token")
    for _ in range(3):
        fake_site.once("-q")
    assert asked(hits)["/completion"] == 1
    assert fake_site.newest()["alpha"]["probe_due"] is None
    assert fake_site.newest()["alpha"]["probe_tokens"] == 50  # as many as the fake says it counted
    fake_site.once("-q")
    assert fake_site.count("generations") == 0


def test_a_server_that_answers_health_and_cannot_infer_is_replaced_by_force(fake_site: Site) -> None:
    """Peers ranking 6 (llama-swap 100, 125), 5.9, 5.10: out of memory on the card, deaf to SIGTERM."""
    broken = fake_site.root / "broken"
    hits = fake(
        fake_site,
        f"ignore-sigterm,broken-file:{broken}",
        health={"failures": 2, "timeout": "1s"},
        stop={"drain": "0s", "grace": "1s"},
        restart={"backoff": "0s"},
    )
    row = fake_site.settle()["alpha"]
    fake_site.once("-q")
    broken.write_text("500")
    fake_site.once("-q")
    assert fake_site.newest()["alpha"]["status"] == "running"
    assert asked(hits)["/completion"] == 1  # nothing has told that it is broken
    complete_fails(row["port"])  # a user's request leaves an error in the log
    eventually(
        lambda: fake_site.once("-q") and fake_site.newest()["alpha"]["status"] == "unhealthy", "unhealthy"
    )
    told = health_row(fake_site)
    assert told["status"] == "unhealthy"
    assert "/completion for one token answered 500: Compute error." in str(told["detail"])
    broken.unlink()
    broken.write_text("hang")  # a probe that is not answered fails as well
    eventually(lambda: fake_site.once("-q") and fake_site.newest()["alpha"]["id"] != row["id"], "another", 60)
    broken.unlink()
    fresh = fake_site.settle(deadline_s=40)["alpha"]
    assert fresh["pid"] != row["pid"]
    old = fake_site.one("SELECT * FROM instances WHERE id = ?", row["id"])
    assert (old["status"], old["reason"], old["exit_signal"]) == ("error", "health", 9)
    words = fake_site.decisions("alpha")
    at = words.index(("unhealthy", "health"))
    assert words[at : at + 5] == [
        ("unhealthy", "health"),
        ("stop", "health"),
        ("signal", "signal"),
        ("signal", "signal"),
        ("end", "health"),
    ]


def complete_fails(port: object) -> None:
    with pytest.raises(AssertionError, match="500"):
        complete(port, "hello", 3)


def test_the_completion_probe_asks_each_pass_once_and_decides_readiness(fake_site: Site) -> None:
    broken = fake_site.root / "broken"
    broken.write_text("500")
    hits = fake(fake_site, f"broken-file:{broken}", health={"probe": "completion", "start_timeout": "1m"})
    fake_site.once("-q")
    eventually(lambda: fake_site.once("-q") and asked(hits).get("/completion"), "asked")
    assert fake_site.newest()["alpha"]["status"] == "loading"  # healthy is who can infer
    broken.unlink()
    fake_site.settle()
    before = asked(hits)
    for _ in range(3):
        fake_site.once("-q")
    after = asked(hits)
    assert after["/completion"] - before["/completion"] == 3
    assert after["/health"] - before["/health"] == 3
    assert fake_site.count("generations") == 0
    assert "/slots" not in after


@pytest.mark.parametrize("probe", ["auto", "completion", "health"])
def test_a_sleeping_server_is_asked_nothing_that_wakes_it(fake_site: Site, probe: str) -> None:
    """Peers 5.21."""
    hits = fake(fake_site, "asleep", health={"probe": probe}, idle={"sleep_after": "5m"})
    fake_site.settle()
    for _ in range(3):
        fake_site.once("-q")
    assert set(asked(hits)) <= {"/health", "/props", "/metrics"}
    assert fake_site.newest()["alpha"]["status"] == "running"
    assert health_row(fake_site)["status"] == "healthy"


def test_a_server_that_may_fall_asleep_is_only_asked_after_it_was_used(fake_site: Site) -> None:
    """Our own token would start its idle timer anew in each pass."""
    hits = fake(fake_site, "", health={"probe": "completion"}, idle={"sleep_after": "5m"})
    row = fake_site.settle()["alpha"]
    fake_site.once("-q")
    before = asked(hits)["/completion"]
    for _ in range(3):
        fake_site.once("-q")
    assert asked(hits)["/completion"] == before
    complete(row["port"], "a user", 20)
    fake_site.once("-q")
    fake_site.once("-q")
    assert asked(hits)["/completion"] == before + 2  # the user's and one of ours
    fake_site.once("-q")
    assert fake_site.count("generations") == 1


def test_a_server_with_all_slots_busy_gets_no_request_to_queue(fake_site: Site) -> None:
    hits = fake(fake_site, "one-slot,busy:1,decoding", health={"probe": "completion", "stuck_after": "1m"})
    fake_site.settle()
    for _ in range(3):
        fake_site.once("-q")
    assert "/completion" not in asked(hits)
    assert fake_site.newest()["alpha"]["status"] == "running"


def test_a_pass_for_others_asks_for_no_token(fake_site: Site) -> None:
    """A verb makes many passes while it waits for its own profile."""
    hits = fake(fake_site, "", health={"probe": "completion"})
    fake_site.profile("beta", runtime={"env": {"FAKE_MODE": "delay-ready:2"}}, state="stopped")
    fake_site.settle("running", "alpha")
    before = asked(hits)["/completion"]
    assert fake_site.run("start", "beta").rc == 0
    assert asked(hits)["/completion"] == before
    assert fake_site.newest()["alpha"]["status"] == "running"
    assert health_row(fake_site)["status"] == "healthy"


def test_the_wrong_model_on_our_port_is_not_healthy(fake_site: Site) -> None:
    """Peers 5.5: beside the owner of the socket, the model that is named by /props."""
    without_model = (
        'for word; do shift; [ "$word" = --model ] && { skip=1; continue; }; '
        '[ "${skip-}" ] && { skip=; continue; }; set -- "$@" "$word"; done'
    )
    run = f'exec {fake_site.binary} "$@" --model /models/another.gguf'
    script_path = script(fake_site.root / "other", f"{without_model}\n{run}")
    fake_site.profile(
        "alpha", runtime={"binary": script_path}, health={"probe": "completion", "start_timeout": "1m"}
    )
    for _ in range(4):
        fake_site.once("-q")
    assert fake_site.newest()["alpha"]["status"] == "loading"
    assert "another model answers there" in str(health_row(fake_site)["detail"])


@pytest.mark.parametrize(("status", "well"), [("200", True), ("404", False)])
def test_an_http_probe_takes_any_good_page_of_its_own(fake_site: Site, status: str, well: bool) -> None:
    path = "/v1/models" if status == "200" else "/nothing-there"
    fake(fake_site, "", health={"probe": "http", "path": path, "start_timeout": "1m"})
    for _ in range(3):
        fake_site.once("-q")
        time.sleep(0.1)
    assert fake_site.newest()["alpha"]["status"] == ("running" if well else "loading")


def test_a_command_says_whether_it_is_well(fake_site: Site) -> None:
    told, verdict = fake_site.root / "told", fake_site.root / "verdict"
    verdict.write_text("0")
    check = script(
        fake_site.root / "check",
        f"env | sort >{told}; printf 'first\\n%s said\\n' \"$1\"; exit $(cat {verdict})",
    )
    fake(fake_site, "", health={"probe": "command", "command": f"{check} 'all of it'", "failures": 1})
    row = fake_site.settle()["alpha"]
    env = dict(line.split("=", 1) for line in told.read_text().splitlines())
    assert env["LLAMAAGENT_URL"] == f"http://127.0.0.1:{row['port']}"
    assert (env["LLAMAAGENT_PORT"], env["LLAMAAGENT_NAME"]) == (str(row["port"]), "alpha")
    assert env["FAKE_MODE"] == ""  # made like the server's
    assert "PYTHONPATH" not in env  # not ours
    assert not {"LLAMAAGENT_LAUNCH_ID", "LLAMAAGENT_SITE"} & set(env)  # no part of the launch
    verdict.write_text("3")
    fake_site.once("-q")
    assert fake_site.newest()["alpha"]["status"] == "unhealthy"
    assert health_row(fake_site)["detail"] == "the probe's command ended with 3: all of it said"
    verdict.write_text("0")
    assert fake_site.settle()["alpha"]["pid"] == row["pid"]


def test_a_command_that_hangs_is_ended_with_all_it_started(fake_site: Site) -> None:
    child = f"sh -c 'sleep 600; : {fake_site.root}/check'"
    check = script(fake_site.root / "check", f"{child} & echo waiting; {child}")
    fake(fake_site, "", health={"probe": "command", "command": check, "timeout": "1s", "failures": 9})
    began = time.monotonic()
    for _ in range(2):
        fake_site.once("-q")
    assert time.monotonic() - began < 12
    assert fake_site.newest()["alpha"]["status"] == "loading"
    detail = str(health_row(fake_site)["detail"])
    assert detail == "the probe's command did not end in time: waiting"
    eventually(lambda: not running_with(str(fake_site.root / "check")), "the command's group is gone")


def running_with(text: str) -> list[int]:
    found = []
    for pid in pids():
        try:
            if text.encode() in read_small(f"/proc/{pid}/cmdline"):
                found.append(pid)
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def test_without_a_probe_it_runs_when_its_process_lives(fake_site: Site) -> None:
    hits = fake(fake_site, "no-listen", health={"probe": "none"})
    fake_site.settle()
    assert "/health" not in asked(hits)


@pytest.mark.alone
def test_one_that_hangs_makes_no_pass_longer_than_its_limit_and_starves_nobody(fake_site: Site) -> None:
    for name in ("slow1", "slow2", "slow3"):
        fake_site.profile(name, runtime={"env": {"FAKE_MODE": "hang"}}, health={"timeout": "60s"})
    hits = fake(fake_site, "", health={"probe": "completion"})
    fake_site.settle("running", "alpha", deadline_s=60)
    began = time.monotonic()
    fake_site.once("-q")
    assert time.monotonic() - began < 10 + 5  # the start of Python comes to it
    before = asked(hits)["/completion"]
    fake_site.once("-q")
    assert asked(hits)["/completion"] == before + 1


@pytest.mark.binary
@pytest.mark.parametrize("more", [{}, {"embeddings": True, "pooling": "mean"}, {"reranking": True}], ids=str)
def test_the_real_server_gives_a_token_that_is_nobodys_request(site: Site, more: dict[str, object]) -> None:
    site.profile("alpha", args={"threads": 1, "parallel": 2, **more}, health={"probe": "completion"})
    row = site.settle()["alpha"]
    for _ in range(3):
        site.once("-q")
    now = site.newest()["alpha"]
    assert int(str(now["probe_tokens"])) >= 3 * 2
    if not more:
        complete(row["port"], "a user asks", 1)
        complete(row["port"], "a", 1, cache_prompt=False)  # like ours, and yet a user's
    site.once("-q")
    site.once("-q")
    assert site.count("generations") == (0 if more else 2)
    state = json.loads(str(site.newest()["alpha"]["probe_state"] or '{"marks":[]}'))
    assert len(state["marks"]) <= 1  # the last one's lines may not be written yet
    assert site.run("stop", "alpha").rc == 0
    assert site.count("generations") == (0 if more else 2)


@pytest.mark.binary
def test_the_token_is_asked_for_with_key_and_prefix(site: Site) -> None:
    site.env["THE_KEY"] = "s3cret-of-the-probe"
    args = {"threads": 1, "parallel": 1, "api-prefix": "/llm"}
    secrets = {"api-key": {"env": "THE_KEY"}}
    site.profile("alpha", args=args, secrets=secrets, health={"probe": "completion", "path": "/health"})
    row = site.settle()["alpha"]
    site.once("-q")
    assert (
        int(str(site.newest()["alpha"]["probe_tokens"])) >= 2
    )  # a refusal would count as unable, without tokens
    assert site.newest()["alpha"]["pid"] == row["pid"]
    site.once("-q")
    assert site.count("generations") == 0


@pytest.mark.binary
def test_the_real_server_goes_to_sleep_under_a_completion_probe(site: Site) -> None:
    site.profile(
        "alpha",
        args={"threads": 1, "parallel": 1},
        idle={"sleep_after": "2s"},
        health={"probe": "completion"},
    )
    row = site.settle()["alpha"]

    def asleep() -> bool:
        from scratch_site import ask

        site.once("-q")
        return bool(json.loads(ask(row["port"], "/props")[1])["is_sleeping"])

    eventually(asleep, "asleep", 40)
    for _ in range(3):
        site.once("-q")
        assert asleep()
    assert site.newest()["alpha"]["status"] == "running"
