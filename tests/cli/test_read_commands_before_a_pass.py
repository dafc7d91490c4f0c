"""The reading commands where nothing has been started yet: they answer, and leave nothing behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from live_site import Site, ports

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("fresh")
    (root / "m.gguf").write_bytes(b"GGUF")
    with ports() as block:
        made = Site(root, block, "/bin/true", str(root / "m.gguf"))
        made.profile("alpha", project="research", labels={"owner": "ann"})
        made.profile("rest", state="stopped")
        yield made
        made.stop_all()


def left(site: Site) -> list[str]:
    """Files below the folders that are the program's own, but what it remembers of parsed files."""
    return sorted(
        str(path.relative_to(site.root / "xdg"))
        for path in (site.root / "xdg").rglob("*")
        if path.is_file() and "cache" not in path.parts
    )


@pytest.mark.parametrize("command", ["why", "history", "events", "stats", "ps -a", "gpus"])
def test_listings_are_empty_arrays(fresh: Site, command: str) -> None:
    done = fresh.run(*command.split(), "--json")
    assert (done.rc, done.err, json.loads(done.out)) == (0, "", [])
    done = fresh.run(*command.split(), "--format", "jsonl")
    assert (done.rc, done.out) == (0, "")
    done = fresh.run(*command.split(), "--format", "csv")
    assert len(done.out.splitlines()) == 1
    done = fresh.run(*command.split())
    assert (done.rc, done.out, len(done.err.splitlines())) == (0, "", 1)
    done = fresh.run(*command.split(), "-q")
    assert (done.rc, done.out, done.err) == (0, "", "")
    assert left(fresh) == []


def test_ps_lists_what_is_declared(fresh: Site) -> None:
    alpha, rest = json.loads(fresh.run("ps", "--json").out)
    assert (alpha["profile"], alpha["state"], alpha["wanted"]) == ("alpha", "not started", True)
    assert (alpha["kind"], alpha["project"], alpha["instance_id"]) == ("process", "research", None)
    assert alpha["source"].endswith("profiles/alpha.yaml")
    assert (rest["profile"], rest["state"], rest["wanted"]) == ("rest", "stopped", False)
    assert left(fresh) == []


def test_status_says_that_there_was_no_pass(fresh: Site) -> None:
    done = fresh.run("status")
    assert done.rc == 1
    assert "no pass yet" in done.out
    found = json.loads(fresh.run("status", "--json").out)
    assert (found["last_pass_s"], found["wanted"], found["running"]) == (None, 1, 0)
    assert left(fresh) == []


def test_plan_says_what_the_first_pass_will_do(fresh: Site) -> None:
    done = fresh.run("plan", "--exit-code", "--json")
    assert (done.rc, [row["action"] for row in json.loads(done.out)]) == (10, ["start"])
    assert left(fresh) == []


def test_what_needs_a_launch_says_so(fresh: Site) -> None:
    for words, rc in (
        (("logs", "alpha"), 1),
        (("url", "alpha"), 69),
        (("env", "alpha"), 69),
        (("show", "alpha", "--env"), 1),
    ):
        done = fresh.run(*words)
        assert (done.rc, done.out) == (rc, ""), done
        assert "alpha" in done.err
    assert fresh.run("show", "alpha", "--diff").err == "alpha does not run\n"
    assert "--port" in fresh.run("show", "alpha", "--command").out
    assert left(fresh) == []


def test_a_site_without_profiles_is_empty_and_fine(tmp_path_factory: pytest.TempPathFactory) -> None:
    with ports() as block:
        bare = Site(tmp_path_factory.mktemp("bare"), block, "/bin/true", "/m.gguf")
        done = bare.run("ps")
        assert (done.rc, done.out) == (0, "")
        assert "llamaagent" in done.err
        assert json.loads(bare.run("ps", "--json").out) == []
        assert bare.run("status").rc == 0
        assert bare.run("plan", "--exit-code").rc == 0
