"""What every reading command prints of a site where things happened, to people and to programs."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from live_site import Site, listing, ports, steady

from system.scratch_site import PYTHON, complete, eventually, kill

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.embedded

GOLDEN = os.path.join(os.path.dirname(os.path.dirname(__file__)), "golden", "cli")
FORMATS = ("json", "jsonl", "csv", "tsv")
LISTINGS = {
    "ps": ("ps",),
    "ps -a": ("ps", "-a"),
    "why": ("why",),
    "history": ("history",),
    "events": ("events",),
    "stats": ("stats",),
    "stats --by": ("stats", "--by", "model"),
    "plan": ("plan",),
    "settings": ("settings",),
}
_NAMED = (
    "profile kind status state health reason pid container_id host port url gpus memory_mib gpu_memory_mib "
    "tokens_per_second uptime_s restarts build git_commit wanted since retry_at override"
)
NAMED_IN_PS = frozenset(_NAMED.split())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> Iterator[Site]:
    """Here alpha runs, beta crashed once and runs again, gamma was stopped, held has no model, rest is `stopped`."""
    with ports() as block:
        made = Site(tmp_path_factory.mktemp("live"), block, "embedded", tiny_model)
        made.profile("alpha", labels={"owner": "ann", "note": "=1+1\x1b[31m"}, project="research")
        made.profile("beta", labels={"owner": "bob"})
        made.profile("gamma")
        made.profile("held", model=str(made.root / "absent.gguf"))
        made.profile("rest", state="stopped")
        try:
            made.settle("running", "alpha", "beta", "gamma")
            kill(int(str(made.newest()["beta"]["pid"])))
            made.once()
            eventually(lambda: made.once() and made.newest()["beta"]["status"] == "running", "beta is back")
            assert made.run("stop", "gamma").rc == 0
            complete(made.newest()["alpha"]["port"], "hello", 6)
            eventually(lambda: made.once() and made.count("generations"), "the request is counted")
            yield made
        finally:
            made.stop_all()


def fine(site: Site, *words: str, rc: int = 0) -> str:
    """Run a command that says nothing to people; what it prints."""
    done = site.run(*words)
    assert (done.rc, done.err) == (rc, ""), done
    return done.out


def one(site: Site, *words: str) -> dict[str, object]:
    found = json.loads(fine(site, *words, "--json"))
    assert isinstance(found, dict)
    return found


# -- for programs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", LISTINGS)
def test_every_format_tells_the_same_rows(site: Site, command: str) -> None:
    found = {kind: listing(fine(site, *LISTINGS[command], "--format", kind), kind) for kind in FORMATS}
    first = found["json"]
    assert first
    assert [list(row) for row in found["csv"]] == [list(row) for row in first]
    for kind in FORMATS[1:]:
        assert [list(row) for row in found[kind]] == [list(row) for row in first], kind
    told = [[value for value in row.values() if isinstance(value, str)] for row in found["csv"]]
    for row, cells in zip(first, told, strict=True):
        for value in row.values():
            if isinstance(value, str) and value[:1] not in "=+-@":
                assert value in cells


def test_json_is_short_for_the_format(site: Site) -> None:
    rows = json.loads(fine(site, "history", "--json"))
    assert rows == json.loads(fine(site, "history", "--format", "json"))
    done = site.run("ps", "--json", "--format", "csv")
    assert (done.rc, done.out) == (2, "")


def test_no_key_that_scripts_know_is_gone(site: Site, pytestconfig: pytest.Config) -> None:
    found = {name: list(json.loads(fine(site, *words, "--json"))[0]) for name, words in LISTINGS.items()}
    found["status"] = list(json.loads(site.run("status", "--json").out))
    found["show"] = list(one(site, "show", "alpha"))
    found["show --command"] = list(one(site, "show", "alpha", "--command"))
    found["show --diff"] = list(one(site, "show", "alpha", "--diff"))
    found["db info"] = list(one(site, "db", "info"))
    path = os.path.join(GOLDEN, "keys.json")
    if pytestconfig.getoption("--update-golden"):
        with open(path, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)
            file.write("\n")
    with open(path, encoding="utf-8") as file:
        known = json.load(file)
    assert {name: [key for key in keys if key not in found[name]] for name, keys in known.items()} == {
        name: [] for name in known
    }


def test_ps_has_what_is_promised_by_name(site: Site) -> None:
    rows = {row["profile"]: row for row in json.loads(fine(site, "ps", "--json"))}
    assert sorted(rows) == ["alpha", "beta", "gamma", "held", "rest"]
    for row in rows.values():
        assert set(row) >= NAMED_IN_PS
    alpha = rows["alpha"]
    assert (alpha["kind"], alpha["status"], alpha["state"]) == ("process", "running", "running")
    assert (alpha["health"], alpha["wanted"], alpha["gpus"]) == ("healthy", True, [])
    assert alpha["url"] == f"http://127.0.0.1:{alpha['port']}"
    assert (alpha["container_id"], alpha["retry_at"], alpha["override"]) == (None, None, None)
    assert (alpha["project"], alpha["labels"]["owner"]) == ("research", "ann")
    assert "build_info" not in str(alpha["build"])
    assert isinstance(alpha["since"], int)
    assert alpha["memory_mib"] > 0
    assert rows["beta"]["restarts"] == 1
    assert rows["held"]["reason"] == "missing-model"
    assert (rows["held"]["pid"], rows["held"]["url"]) == (None, None)


def test_ps_limits_itself_to_names_and_labels(site: Site) -> None:
    def names(*words: str) -> list[str]:
        return [row["profile"] for row in json.loads(site.run("ps", "--json", *words).out)]

    assert names("alpha", "h*") == ["alpha", "held"]
    assert names("-l", "owner=bob") == ["beta"]
    assert names("-l", "owner") == ["alpha", "beta"]
    assert names("-l", "owner=ann", "-l", "tier=gold") == []
    done = site.run("ps", "-l", "owner=nobody")
    assert (done.rc, done.out) == (0, "")
    assert "label" in done.err


def test_every_launch_is_listed_with_how_it_ended(site: Site) -> None:
    rows = json.loads(fine(site, "ps", "-a", "--json"))
    assert [row["profile"] for row in rows].count("beta") == 2
    first = min((row for row in rows if row["profile"] == "beta"), key=lambda row: row["instance_id"])
    assert (first["status"], first["reason"], first["exit_signal"]) == ("error", "crash", 9)
    assert [row["instance_id"] for row in rows] == sorted((row["instance_id"] for row in rows), reverse=True)
    assert json.loads(fine(site, "history", "beta", "--json")) == [r for r in rows if r["profile"] == "beta"]
    assert len(json.loads(fine(site, "history", "-n", "1", "--json"))) == 1


def test_status_is_one_object_and_one_answer(site: Site) -> None:
    done = site.run("status", "--json")
    found = json.loads(done.out)
    assert (done.rc, found["ok"]) == (1, False)
    assert [problem["profile"] for problem in found["problems"]] == ["held"]
    assert (found["wanted"], found["running"], found["faults"]) == (3, 2, [])
    assert found["requests_last_hour"] == 1
    assert len(found["instances"]) == 5


def test_why_carries_its_figures_as_data(site: Site) -> None:
    rows = json.loads(fine(site, "why", "alpha", "--json"))
    assert [row["action"] for row in rows] == ["ready", "start"]
    assert rows[0]["arithmetic"]["http_status"] == 200
    assert json.loads(fine(site, "why", "--since", "1h", "-n", "2", "--json"))[1]["profile"]
    assert json.loads(fine(site, "why", "rest", "--json")) == []


def test_events_are_filtered_by_level_source_text_and_number(site: Site) -> None:
    def events(*words: str) -> list[dict[str, str]]:
        found = json.loads(fine(site, "events", "--json", *words))
        assert isinstance(found, list)
        return found

    assert {row["level"] for row in events("--level", "warning")} == {"warning"}
    assert {row["source"] for row in events("--source", "held")} == {"held"}
    assert all("crash" in row["message"].lower() for row in events("--grep", "CRASH"))
    assert events("--grep", "CRASH")
    assert len(events("-n", "2")) == 2
    assert events("-n", "0") == []
    times = [row["ts"] for row in events()]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    ("by", "group"),
    [("model", "alpha"), ("project", "research"), ("session", None), ("commit", None), ("gpu", None)],
)
def test_stats_by_what_is_asked(site: Site, by: str, group: str | None) -> None:
    (row,) = json.loads(fine(site, "stats", "--by", by, "--json"))
    assert (row["group"], row["requests"], row["generated_tokens"]) == (group, 1, 6)


def test_stats_by_day_and_build_and_for_some(site: Site) -> None:
    (row,) = json.loads(fine(site, "stats", "--by", "day", "--json"))
    assert len(row["group"]) == len("2026-01-31")
    (row,) = json.loads(fine(site, "stats", "--by", "build", "--json"))
    assert row["group"] == site.newest()["alpha"]["build"]
    assert json.loads(fine(site, "stats", "al*", "--json"))[0]["requests"] == 1
    done = site.run("stats", "rest", "--json")
    assert (done.rc, json.loads(done.out)) == (0, [])
    assert json.loads(fine(site, "stats", "--since", "1h", "--json"))[0]["requests"] == 1


def test_gpus_without_a_card_is_an_empty_listing(site: Site) -> None:
    if os.path.exists("/dev/nvidiactl"):
        assert json.loads(site.run("gpus", "--json").out)
        return
    done = site.run("gpus", "--json")
    assert (done.rc, json.loads(done.out)) == (0, [])
    done = site.run("gpus")
    assert (done.rc, done.out, done.err) == (0, "", "no GPU on this host\n")


def test_plan_knows_what_would_be_refused_and_what_is_work(site: Site) -> None:
    (row,) = json.loads(fine(site, "plan", "--json"))
    assert (row["action"], row["profile"], row["reason"]) == ("hold", "held", "missing-model")
    assert site.run("plan", "--exit-code").rc == 0
    path = site.profile("rest")
    try:
        done = site.run("plan", "rest", "--exit-code", "--json")
        assert done.rc == 10
        (row,) = json.loads(done.out)
        assert (row["action"], row["reason"]) == ("start", "declared")
        assert site.run("plan").rc == 0
        assert site.count("instances") == 5
    finally:
        site.profile("rest", state="stopped")
    assert path.exists()


def test_show_has_four_views(site: Site) -> None:
    row = site.newest()["alpha"]
    argv = one(site, "show", "alpha", "--command")["argv"]
    assert isinstance(argv, list)
    assert argv == json.loads(str(row["argv"]))
    line = fine(site, "show", "alpha", "--command")
    assert f"--port {row['port']}" in line
    effective = one(site, "show", "alpha", "--effective")
    assert effective["args.threads"]["value"] == 1  # type: ignore[index]
    assert "alpha.yaml" in effective["args.threads"]["origin"]  # type: ignore[index]
    assert one(site, "show", "alpha", "--env")["LLAMAAGENT_LAUNCH_ID"] == row["launch_id"]
    assert one(site, "show", "alpha", "--diff")["diff"] == []
    assert site.run("show", "alpha", "--diff").err == "nothing differs\n"
    assert site.run("show", "alpha", "--diff", "--env").rc == 2
    document = one(site, "show", "alpha")["document"]
    assert document["project"] == "research"  # type: ignore[index]
    assert site.run("show", "rest", "--env").rc == 1


def test_where_clients_go(site: Site) -> None:
    port = site.newest()["alpha"]["port"]
    assert fine(site, "url", "alpha") == f"http://127.0.0.1:{port}\n"
    lines = fine(site, "env", "alpha").splitlines()
    assert lines == [f"export OPENAI_BASE_URL=http://127.0.0.1:{port}/v1", "export OPENAI_API_KEY=none"]
    done = site.run("url", "held")
    assert (done.rc, done.out) == (69, "")
    assert "model file missing" in done.err


def test_report_build_prints_where_it_is(site: Site) -> None:
    out = site.root / "out"
    done = site.run("report", "build", "-o", str(out))
    assert (done.rc, done.out) == (0, f"{out}/index.html\n")
    assert (out / "index.html").is_file()
    assert "Traceback" not in done.err
    assert fine(site, "report", "build", "-q", "--open", "-o", str(out)) == f"file://{out}/index.html\n"


# -- for people -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["ps", "ps -a", "status", "why", "history", "events", "plan", "ps -o wide", "check"]
)
def test_tables_look_as_they_did(site: Site, pytestconfig: pytest.Config, name: str) -> None:
    found = steady(site.run(*name.split()).out, site)
    if name in {"why", "events"}:  # within a second the order is not the same in each run
        found = "".join(sorted(found.splitlines(keepends=True)))
    path = os.path.join(GOLDEN, name.replace(" ", "") + ".txt")
    if pytestconfig.getoption("--update-golden"):
        with open(path, "w", encoding="utf-8") as file:
            file.write(found)
    with open(path, encoding="utf-8") as file:
        assert found == file.read()


def test_states_are_words_for_people(site: Site) -> None:
    states = {row["profile"]: row["state"] for row in json.loads(fine(site, "ps", "--json"))}
    who = json.loads(
        fine(site, "query", "SELECT override_by FROM v_profiles WHERE override IS NOT NULL", "--json")
    )[0]["override_by"]
    assert states == {
        "alpha": "running",
        "beta": "running",
        "gamma": f"stopped by {who}",
        "held": "held: model file missing",
        "rest": "stopped",
    }


def test_what_a_label_says_does_not_steer_a_terminal(site: Site) -> None:
    assert "\x1b" not in fine(site, "ps", "-o", "wide")
    assert "\x1b" not in fine(site, "show", "alpha")
    assert "\x1b" not in fine(site, "show", "alpha", "--effective")
    assert "\x1b" not in fine(site, "ps", "--json")


def test_without_a_terminal_nothing_is_coloured(site: Site) -> None:
    plain = fine(site, "why", "alpha")
    assert "\x1b" not in plain
    coloured = site.run("why", "alpha", env=site.env | {"NO_COLOR": "1", "FORCE_COLOR": "1", "TERM": "xterm"})
    assert coloured.out == plain
    assert fine(site, "why", "alpha", "--no-color") == plain


def test_quiet_takes_the_words_and_leaves_the_data(site: Site) -> None:
    assert site.run("stats", "--since", "1s", "rest", "-q").err == ""
    assert json.loads(fine(site, "ps", "--json", "-q"))
    done = site.run("status", "-q")
    assert (done.rc, done.err) == (1, "")


# -- the command line -----------------------------------------------------------------------------------


def test_common_options_may_stand_before_and_behind(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    config = str(site.root / "llamaagent.yaml")
    for words in (
        ("--config", config, "ps", "--json"),
        ("ps", "--json", "--config", config),
        (f"--config={config}", "ps", "--json"),
    ):
        done = subprocess.run(
            [*PYTHON, *words], cwd=elsewhere, env=site.env, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert len(json.loads(done.stdout)) == 5
    done = subprocess.run([*PYTHON, "ps"], cwd=elsewhere, env=site.env, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (78, b"")
    assert b"llamaagent init" in done.stderr


@pytest.mark.parametrize("command", ["ps", "why", "history", "stats", "plan", "show", "url", "env", "logs"])
def test_an_unknown_profile_is_wrong_usage(site: Site, command: str) -> None:
    done = site.run(command, "alpa")
    assert (done.rc, done.out) == (2, "")
    assert "no profile is named alpa" in done.err
    assert "did you mean alpha?" in done.err


@pytest.mark.parametrize("command", ["show", "url", "env", "logs"])
def test_one_profile_is_meant_not_several(site: Site, command: str) -> None:
    done = site.run(command, "*a*")
    assert (done.rc, done.out) == (2, "")
    assert "alpha, beta, gamma" in done.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("pz",), "did you mean 'ps'"),
        (("ps", "--frmat", "json"), "--format"),
        (("ps", "--format", "xml"), "'jsonl'"),
        (("why", "--since", "soon"), "--since"),
        (("stats", "--by", "moon"), "'project'"),
        (("logs",), "name"),
        (("logs", "alpha", "-n", "many"), "-n"),
        (("events", "--level", "loud"), "'warning'"),
        (("ps", "-o", "narrow"), "'wide'"),
    ],
)
def test_wrong_words_are_told_with_the_right_ones(site: Site, words: tuple[str, ...], told: str) -> None:
    done = site.run(*words)
    assert (done.rc, done.out) == (2, "")
    assert told.lower() in done.err.lower()
    assert "Traceback" not in done.err


@pytest.mark.parametrize("words", [("ps",), ("events",), ("settings",), ("show", "alpha"), ("why", "--json")])
def test_a_closed_pipe_is_no_error(site: Site, words: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [*PYTHON, *words], cwd=site.root, env=site.env, stdout=write, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_reading_leaves_the_database_as_it_is(site: Site) -> None:
    before = {
        name: site.count(name) for name in ("decisions", "logs", "instances", "system_samples", "audit_log")
    }
    for words in (
        ("ps",),
        ("status",),
        ("why",),
        ("plan",),
        ("show", "alpha"),
        ("logs", "alpha"),
        ("stats",),
    ):
        site.run(*words)
    assert before == {name: site.count(name) for name in before}
