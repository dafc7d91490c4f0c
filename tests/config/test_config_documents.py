"""Laws of merging, and the way from a file to the stored document and back, which loses nothing."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from site_folder import Folder

from llamaagent.config.document import (
    DEFAULTS,
    canonical_json,
    filled,
    hashes_of,
    profile_from_document,
    without_defaults,
)
from llamaagent.config.load import effective_profile, load_site
from llamaagent.config.merge import merge, without_nulls
from llamaagent.config.node import Mark, node_of, plain
from llamaagent.domain.profile import Evict, Health, Idle, Listen, Profile, Resources, Restart, Stop, Update

MARK = Mark("x", 1, 1)
KEYS = st.sampled_from("abc")
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text("xy", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
MAPS = st.dictionaries(KEYS, TREES, max_size=3)


def merged(under: object, over: object) -> object:
    return plain(merge(node_of(under, MARK), node_of(over, MARK)))


@given(MAPS)
def test_nothing_laid_over_or_under_changes_nothing(tree: dict[str, object]) -> None:
    assert merged({}, tree) == merged(tree, {}) == merged(tree, tree) == tree


@given(MAPS, MAPS)
def test_the_upper_value_wins_and_the_rest_stays(under: dict[str, object], over: dict[str, object]) -> None:
    out = merged(under, over)
    assert isinstance(out, dict)
    assert set(out) == set(under) | set(over)
    for key, value in out.items():
        if key not in over:
            assert value == under[key]
        elif not (isinstance(under.get(key), dict) and isinstance(over[key], dict)):
            assert value == over[key]
        else:
            assert value == merged(under[key], over[key])


@given(MAPS)
def test_nulls_are_gone_after_they_have_removed(tree: dict[str, object]) -> None:
    def has_null(value: object) -> bool:
        return isinstance(value, dict) and any(item is None or has_null(item) for item in value.values())

    assert not has_null(plain(without_nulls(node_of(tree, MARK))))


def test_the_documents_defaults_are_those_of_the_records() -> None:
    profile = profile_from_document('{"name":"a","model":{"path":"/m"}}', "/f", 1)
    sections = (
        profile.evict,
        profile.resources,
        profile.listen,
        profile.health,
        profile.restart,
        profile.stop,
    )
    assert sections == (Evict(), Resources(), Listen(), Health(), Restart(), Stop())
    assert (profile.idle, profile.update) == (Idle(), Update())
    bare = Profile("a", "/f", 1, profile.model)
    assert profile._replace(document="{}", launch_hash="", profile_hash="") == bare


DURATION = st.sampled_from(["0", "90s", "5m", "1h30m", "120m", "7d"])
POSITIVE = st.sampled_from(["90s", "5m", "1h30m", "120m", "7d"])
SIZE = st.sampled_from(["512MiB", "9GiB", "1.5GB", "1024MiB"])
WORD = st.text("abcxyz-", min_size=1, max_size=6).map(lambda word: f"w{word}")


def optional(**fields: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries({}, optional=fields)


ARGS = optional(
    **{
        "c": st.integers(0, 10**6),
        "temp": st.floats(0, 2),
        "flash_attn": st.sampled_from([True, False, "auto"]),
        "no-warmup": st.booleans(),
        "jinja": st.booleans() | st.none(),
        "lora": st.lists(WORD.map(lambda word: f"/l/{word}"), max_size=3),
        "samplers": st.lists(st.sampled_from(["top_k", "temp", "min_p"]), min_size=1, max_size=3),
        "control-vector-layer-range": st.just([1, 20]),
        "chat-template-kwargs": st.dictionaries(WORD, st.booleans() | st.integers(0, 9), max_size=2),
        "grammar": st.sampled_from(["a # b", "x: y", "null", "017", "1e3", "'", "a\nb"]),
    }
)
PROFILES = optional(
    state=st.sampled_from(["running", "stopped"]),
    hosts=st.lists(st.sampled_from(["*", "here", "h*"]), min_size=1, max_size=2),
    priority=st.integers(-5, 5),
    evict=optional(pinned=st.booleans(), min_residency=DURATION),
    resources=SIZE
    | st.integers(0, 4)
    | optional(gpus=st.sampled_from(["auto", "all", 2, ["0", "1"]]), memory=SIZE, cpus=st.floats(0.5, 64)),
    listen=st.sampled_from(["auto", 8101, "0.0.0.0:8101", {"port": 8101}]),
    args=ARGS,
    secrets=optional(**{"api-key": st.sampled_from(["env:KEY", {"file": "/k"}])}),
    health=optional(start_timeout=POSITIVE | st.just("never"), timeout=POSITIVE, failures=st.integers(1, 9)),
    restart=st.sampled_from(
        ["never", "always", {"give_up_after": "never"}, {"give_up_after": {"failures": 2}}]
    ),
    stop=optional(drain=DURATION, grace=DURATION),
    idle=optional(sleep_after=POSITIVE | st.just("never"), stop_after=POSITIVE),
    update=optional(restart=st.sampled_from(["now", "manual"]), rollback=st.booleans()),
    schedule=st.sampled_from(["8:00-9:00", {"windows": ["Mon,Wed 22:00-06:00"], "timezone": "UTC"}]),
    runtime=optional(
        env=st.dictionaries(st.sampled_from("AB"), st.integers(0, 99), max_size=2),
        wrap=st.sampled_from(["nice -n 5", ["nice"]]),
    ),
    labels=st.dictionaries(WORD, st.sampled_from(["yes", "017", "null", 'a "b"', "ü"]), max_size=2),
)


def load_one(folder: Folder, text: str) -> Profile:
    path = folder.write("profiles/p.yaml", text)
    site = load_site(
        config=None, profiles=(), environ=folder.environ, cwd=str(folder.root), now=0, host="here"
    )
    assert [str(fault) for fault in site.faults] == []
    (profile,) = site.profiles
    assert (profile.source, profile.line) == (str(path), 1)
    return profile


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=PROFILES)
def test_from_yaml_to_document_and_back_nothing_changes(folder: Folder, written: dict[str, object]) -> None:
    profile = load_one(folder, yaml.safe_dump({"model": "/m.gguf", **written}, allow_unicode=True))
    assert profile_from_document(profile.document, profile.source, profile.line) == profile
    assert load_one(folder, profile.document) == profile  # the document is a loadable profile itself
    document = json.loads(profile.document)
    short = without_defaults(document)
    assert filled(short) == document
    assert load_one(folder, yaml.safe_dump(short, allow_unicode=True)) == profile


def test_a_default_that_is_written_out_changes_no_hash(folder: Folder) -> None:
    short = folder.profile("model: /m\n")
    long = folder.profile(
        "model: /m\nlisten: auto\nstop: {drain: 0.5m}\nargs: {}\nlabels: {}\nruntime: {wrap: [], env: {}}\n"
    )
    assert (short.launch_hash, short.profile_hash) == (long.launch_hash, long.profile_hash)


def test_hashes_of_a_known_document_never_change() -> None:
    document = filled(
        {"name": "a", "model": {"path": "/m"}, "runtime": {"binary": "llama-server"}, "args": {"ctx-size": 1}}
    )
    assert hashes_of(document) == (
        "d3cec2e9da655566927f8891d6ff53ee6f48f477896ccb3d401a025c6f3be90e",
        "1a0d4967ada1ad124a19bf1513e44d588fd356a2b4666161e9aef4c4f6b3a909",
    )


@pytest.mark.parametrize(
    ("change", "restarts"),
    [
        ("args: {c: 2}", True),
        ("listen: 8101", True),
        ("resources: 1GiB", True),
        ("resources: 1", True),
        ("secrets: {api-key: {env: A}}", True),
        ("runtime: {env: {A: 1}}", True),
        ("runtime: {wrap: nice}", True),
        ("idle: {sleep_after: 5m}", True),
        ("model: /n", True),
        ("resources: {memory: 1GiB}", False),
        ("priority: 1", False),
        ("state: stopped", False),
        ("stop: {drain: 1s}", False),
        ("schedule: 8:00-9:00", False),
        ("labels: {a: b}", False),
        ("idle: {stop_after: 5m}", False),
        ("allow_dangerous: true", False),
        ("update: {restart: manual}", False),
    ],
)
def test_only_what_reaches_the_server_changes_the_launch_hash(
    folder: Folder, change: str, restarts: bool
) -> None:
    before = folder.profile("model: /m\n")
    after = folder.profile(f"{'' if change.startswith('model') else 'model: /m'}\n{change}\n")
    assert before.profile_hash != after.profile_hash
    assert (before.launch_hash != after.launch_hash) is restarts


def test_a_containers_limits_reach_its_launch(folder: Folder) -> None:
    text = "runtime: {kind: container, image: x}\n"
    before, after = folder.profile(text), folder.profile(f"{text}resources: {{memory: 1GiB}}\n")
    assert before.launch_hash != after.launch_hash


def test_the_command_line_is_the_same_whatever_the_order_of_writing(folder: Folder) -> None:
    one = folder.profile("model: /m\nargs: {c: 1, temp: 1, ngl: 5}\n")
    two = folder.profile("args: {n_gpu_layers: 5, temperature: 1.0, ctx-size: 1}\nmodel: /m\n")
    assert one.document == two.document
    assert one.argv == two.argv


def test_a_stored_document_is_read_without_yaml(folder: Folder, tmp_path: Path) -> None:
    profile = folder.profile("model: /m\nargs: {c: 1}\n")
    (tmp_path / "doc").write_text(profile.document, encoding="utf-8")
    code = (
        "import sys; from llamaagent.config.document import profile_from_document as f;"
        "p = f(open(sys.argv[1]).read(), '/x', 1); print(p.launch_hash, *p.argv, 'yaml' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "doc"], check=True, capture_output=True, text=True
    )
    assert out.stdout.split() == [profile.launch_hash, "--ctx-size", "1", "False"]


def test_canonical_json_has_one_form() -> None:
    assert (
        canonical_json({"b": [1.0, "ü"], "a": {"d": 1, "c": None}}) == '{"a":{"c":null,"d":1},"b":[1.0,"ü"]}'
    )
    assert json.loads(canonical_json(DEFAULTS)) == DEFAULTS


def test_each_effective_value_names_its_origin(folder: Folder) -> None:
    folder.write("llamaagent.yaml", "env: {A: 1}\ndefaults:\n  args: {threads: 8}\n")
    folder.write("profiles/_b.yaml", "args:\n  temp: 0.5\n")
    folder.write("profiles/p.yaml", "extends: _b.yaml\nmodel: /m\nargs:\n  c: 1\n")
    rows = effective_profile("p", config=None, profiles=(), environ=folder.environ, cwd=str(folder.root))
    found = {row.key: (row.value, row.origin.replace(f"{folder.root}/", "")) for row in rows}
    assert found["args.threads"] == (8, "settings llamaagent.yaml:3")
    assert found["args.temp"] == (0.5, "base profiles/_b.yaml:2")
    assert found["args.ctx-size"] == (1, "profiles/p.yaml:4")
    assert found["model.path"] == ("/m", "profiles/p.yaml:2")
    assert found["runtime.env.A"] == ("1", "settings llamaagent.yaml:1")
    assert found["stop.drain"] == ("30s", "default")
    assert (
        effective_profile("q", config=None, profiles=(), environ=folder.environ, cwd=str(folder.root)) == ()
    )


@pytest.mark.alone
def test_a_large_hostile_file_is_checked_in_reasonable_time(folder: Folder) -> None:
    folder.write(
        "profiles/p.yaml", "model: m\nargs: {" + ", ".join(f"k{n}: 1" for n in range(60_000)) + "}\n"
    )
    begin = time.monotonic()
    site = folder.load()
    assert time.monotonic() - begin < 8
    assert len(site.faults) == 60_000
