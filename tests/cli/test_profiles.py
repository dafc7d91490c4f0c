"""`profiles list`, `show` and `export` read what a pass applied; what is exported loads as the same profile."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from scratch_home import Agent, scratch_environment

from llamaagent.cli.profiletext import document_text
from llamaagent.config.load import load_site
from llamaagent.domain.profile import Profile

TRICKY = """
model: {path: /m.gguf}
state: stopped
labels: {owner: "on", note: "a, b: #1", smile: "\\U0001f642"}
restart: {policy: always}
resources: {gpu_memory: 9GiB, gpus: none}
secrets: {hf-token: {env: HF}, api-key: {file: /run/keys}}
schedule: {timezone: Europe/Berlin, windows: ["Mon-Fri 08:00-18:00"]}
args:
  threads: null
  temp: 0.75
  c: 8192
  ngl: all
  load-mode: mmap+mlock
  lora: ["/a,b.gguf", /b.gguf]
  logit-bias: ["1+2", "3-4"]
  json-schema: {type: object}
  grammar: "root ::= \\"a\\"\\nb"
  no-jinja: true
  tensor-split: [1, 2]
  control-vector-layer-range: [1, 9]
"""
DEFAULTS = "{args: {threads: 8, temp: 0.1}, restart: {policy: never}, labels: {tier: gold}}"


@pytest.fixture
def applied(agent: Agent, site: Path) -> Path:
    """A site with defaults whose two stopped profiles a pass has seen."""
    (site / "llamaagent.yaml").write_text(f"profiles: profiles/\nbinary: /bin/true\ndefaults: {DEFAULTS}\n")
    (site / "profiles" / "tricky.yaml").write_text(TRICKY)
    agent("run", "--once", cwd=site)
    return site


def loaded(site: Path) -> dict[str, Profile]:
    found = load_site(
        config=str(site / "llamaagent.yaml"), profiles=(), environ={"HOME": "/"}, cwd="/", now=2_000_000_000
    )
    assert found.faults == ()
    return {profile.name: profile for profile in found.profiles}


def database(home: Path) -> sqlite3.Connection:
    return sqlite3.connect(home / "data" / "llamaagent" / "llamaagent.db")


def test_the_list_names_every_profile(agent: Agent, applied: Path) -> None:
    rows = json.loads(agent("profiles", "list", "--json", cwd=applied).stdout)
    assert [(row["profile"], row["origin"], row["ctx_size"]) for row in rows] == [
        ("tiny", "profile", None),
        ("tricky", "profile", 8192),
    ]
    assert [
        row["profile"] for row in json.loads(agent("profiles", "list", "ti*", "--json", cwd=applied).stdout)
    ]
    assert json.loads(agent("profiles", "list", "x*", "--json", cwd=applied).stdout) == []


def test_show_is_the_complete_configuration(agent: Agent, applied: Path) -> None:
    rows = json.loads(agent("profiles", "show", "tricky", "--json", cwd=applied).stdout)
    args = {row["option"]: row["value"] for row in rows if row["section"] != "model"}
    expected = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in loaded(applied)["tricky"].args
    }
    assert args == expected
    assert {row["option"]: row["value"] for row in rows if row["section"] == "model"} == {
        "model": "/m.gguf",
        "hf-token": "env:HF",
    }


def test_show_of_a_section_is_that_one(agent: Agent, applied: Path) -> None:
    text = agent("profiles", "show", "tricky", "--section", "sampling", cwd=applied).stdout
    assert [line.split()[:2] for line in text.splitlines()] == [
        ["SECTION", "OPTION"],
        ["sampling", "temp"],
        ["sampling", "grammar"],
        ["sampling", "json-schema"],
        ["sampling", "logit-bias"],
    ]
    assert "0.75" in text
    rows = json.loads(
        agent("profiles", "show", "tricky", "--section", "server", "--json", cwd=applied).stdout
    )
    assert {row["option"]: row["value"] for row in rows} == {"temp": 0.1, "threads": 8}
    assert "nothing is set" in agent("profiles", "show", "tiny", "--section", "gpu", cwd=applied).stderr
    assert agent("profiles", "show", "nobody", cwd=applied, code=2).stdout == ""


def test_what_is_exported_loads_as_the_same_profiles(agent: Agent, applied: Path) -> None:
    before = loaded(applied)
    out = applied / "out"
    said = agent("profiles", "export", "--all", "-o", out, cwd=applied).stdout
    assert said.split() == [str(out / "tiny.yaml"), str(out / "tricky.yaml")]
    assert agent("profiles", "export", "--all", "-o", out, cwd=applied, code=73).stdout == ""

    for name in before:
        (applied / "profiles" / f"{name}.yaml").write_text((out / f"{name}.yaml").read_text())
    after = loaded(applied)
    for name, profile in before.items():
        assert after[name].argv == profile.argv
        assert after[name]._replace(source="", line=0) == profile._replace(source="", line=0)


def test_export_to_a_pipe_is_one_stream_of_documents(agent: Agent, applied: Path) -> None:
    text = agent("profiles", "export", "tiny", "tricky", cwd=applied).stdout
    assert [document["name"] for document in yaml.safe_load_all(text)] == ["tiny", "tricky"]
    assert agent("profiles", "export", cwd=applied, code=2).stdout == ""


def test_an_imported_model_is_exported_from_its_tables(agent: Agent, applied: Path, home: Path) -> None:
    with database(home) as db:
        db.execute(
            "INSERT INTO models (name, origin, created_at, updated_at, model_path, ctx_size, hf_token, hf_file_v)"
            " VALUES ('old', 'import', 1, 1, '/old.gguf', 512, 'env:HF', 'v.gguf')"
        )
        db.execute(
            "INSERT INTO model_sampling_config (model_id, created_at, updated_at, temperature)"
            " SELECT id, 1, 1, 0.5 FROM models WHERE name = 'old'"
        )
    db.close()
    exported = agent("profiles", "export", "old", cwd=applied)
    assert exported.stderr == "old: hf_file_v v.gguf was not carried over: no profile can say it\n"
    (applied / "profiles" / "old.yaml").write_text(exported.stdout)
    old = loaded(applied)["old"]
    assert old.argv == ("--ctx-size", "512", "--temp", "0.5")
    assert (old.state, old.model.path, str(dict(old.secrets)["hf-token"])) == (
        "stopped",
        "/old.gguf",
        "env:HF",
    )


def test_a_change_that_a_pass_applies_is_in_the_audit_log(agent: Agent, applied: Path, home: Path) -> None:
    (applied / "profiles" / "tricky.yaml").write_text(TRICKY.replace("8192", "4096"))
    agent("run", "--once", cwd=applied)
    agent("run", "--once", cwd=applied)
    db = database(home)
    rows = db.execute("SELECT resource_id, details FROM audit_log WHERE action = 'config'").fetchall()
    db.close()
    assert [(name, json.loads(details)) for name, details in rows] == [
        ("tricky", {"old": {"ctx-size": 8192}, "new": {"ctx-size": 4096}})
    ]


SCALARS = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=("Cs",)))
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc,: #1", min_size=1), inner),
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), TREES, max_size=4))
@example({"long" * 400: {"a": "\N{GRINNING FACE}" * 300}, "b": {"\u0331" * 400: [1, {"\u0331" * 400: "c"}]}})
def test_any_document_is_written_so_that_yaml_reads_it_back(document: dict[str, object]) -> None:
    text = document_text(document)
    assert (yaml.safe_load(text) or {}) == document


# SQLite asks an authorizer about every table that a statement reads.
TABLES_READ = """
import sys
import apsw
from llamaagent.cli.main import entry
read = set()
def note(action, first, *rest):
    if action == apsw.SQLITE_READ and first:
        read.add(first)
    return apsw.SQLITE_OK
apsw.connection_hooks.append(lambda db: setattr(db, "authorizer", note))
entry(sys.argv[1:])
print(*sorted(name for name in read if name == "models" or name.startswith("model_")), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "tables"),
    [
        (("list",), ["models"]),
        (("show", "tricky", "--section", "sampling"), ["model_sampling_config", "models"]),
        (("show", "tricky", "--section", "server"), ["model_server_config", "models"]),
        (("show", "tricky", "--section", "general"), ["models"]),
    ],
    ids=" ".join,
)
def test_only_the_table_that_is_asked_for_is_read(
    home: Path, applied: Path, words: tuple[str, ...], tables: list[str]
) -> None:
    """Beside `models`, which says what is named so."""
    done = subprocess.run(
        [sys.executable, "-c", TABLES_READ, "profiles", *words],
        cwd=applied,
        env=scratch_environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout
    assert done.stderr.split() == tables
