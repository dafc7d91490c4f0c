"""Profiles from files: short and long forms, what is inherited, and one exact sentence for each mistake."""

import json

import pytest
from site_folder import Folder

from llamaagent.domain.profile import Listen, ModelRef, Resources, Restart, Schedule, SecretRef, Stop

FULL = """
name: qwen3-8b
state: running
hosts: [here, "gpu*"]
project: research
priority: 5
evict: {pinned: true, when_busy: false, min_residency: 10m}
model: {path: /models/qwen3-8b-q4_k_m.gguf}
runtime: {kind: process, binary: ./bin/llama-server, env: {OMP: 017}, wrap: [numactl, --interleave=all], cwd: ~/w}
resources: {gpus: [0, GPU-1234], gpu_memory: 9GiB, exclusive: true, memory: 16GB, cpus: 1.5}
listen: {host: 127.0.0.1, port: 8101}
args: {ctx-size: 8192, temp: 0.70, flash-attn: auto}
secrets: {api-key: {env: QWEN_KEY}, hf-token: {file: /run/secrets/hf}}
health: {probe: command, path: /h, command: check me, start_timeout: never, timeout: 3s, failures: 2, stuck_after: 1m}
restart: {policy: on-failure, backoff: 1s, max_backoff: 1m, reset_after: 1h, give_up_after: {failures: 3, within: 5m}}
stop: {drain: 1m, grace: 5s}
idle: {sleep_after: 10m, stop_after: 1d}
update: {restart: when_idle, rollback: false}
schedule: {timezone: Europe/Berlin, windows: ["mon-FRI 8:00-18:00", "Sat,Sun 22:00-06:00"]}
labels: {owner: ann, tier: 1}
"""


def test_the_full_form_sets_every_field(folder: Folder) -> None:
    profile = folder.profile(FULL)
    assert profile.name == "qwen3-8b"
    assert profile.hosts == ("here", "gpu*")
    assert (profile.project, profile.priority, profile.evict) == ("research", 5, (True, False, 600))
    assert profile.model == ModelRef(path="/models/qwen3-8b-q4_k_m.gguf")
    assert profile.runtime.binary == str(folder.root / "profiles/bin/llama-server")
    assert profile.runtime.env == (("OMP", "017"),)
    assert profile.runtime.wrap == ("numactl", "--interleave=all")
    assert profile.runtime.cwd == str(folder.root / "home/w")
    assert profile.resources == Resources(("0", "GPU-1234"), 9216, True, 15259, 1.5)
    assert profile.listen == Listen("127.0.0.1", 8101)
    assert profile.arg("temp") == 0.7
    assert profile.argv[-4:] == ("--sleep-idle-seconds", "600", "--temp", "0.7")
    assert profile.secrets == (
        ("api-key", SecretRef("env", "QWEN_KEY")),
        ("hf-token", SecretRef("file", "/run/secrets/hf")),
    )
    assert profile.health == ("command", "/h", "check me", None, 3, 2, 60)
    assert profile.restart == Restart("on-failure", 1, 60, 3600, 3, 300)
    assert profile.stop == Stop(60, 5)
    assert profile.idle == (600, 86400)
    assert profile.update == ("when_idle", False)
    assert profile.schedule == Schedule(("Mon-Fri 08:00-18:00", "Sat,Sun 22:00-06:00"), "Europe/Berlin")
    assert profile.labels == (("owner", "ann"), ("tier", "1"))


def test_folders_of_a_container_are_relative_to_the_file(folder: Folder) -> None:
    text = "runtime: {kind: container, image: a, volumes: ['./d:/d:ro', '~/e:/e', '/f:/f', 'named:/g']}\n"
    profile = folder.profile(text, "box")
    at = folder.root / "profiles"
    assert json.loads(profile.runtime.container or "")["volumes"] == [
        f"{at}/d:/d:ro", f"{folder.root}/home/e:/e", "/f:/f", "named:/g"
    ]  # fmt: skip


def test_one_line_is_a_profile(folder: Folder) -> None:
    profile = folder.profile("model: qwen3-8b-q4_k_m.gguf\n", "qwen3-8b")
    assert profile.name == "qwen3-8b"
    assert profile.model == ModelRef(path="/models/qwen3-8b-q4_k_m.gguf")
    assert profile.line == 1
    assert profile.argv == ()
    assert profile.listen == Listen()


SHORT_FORMS: list[tuple[str, object]] = [
    ("listen: 8101", Listen("127.0.0.1", 8101)),
    ("listen: auto", Listen()),
    ("listen: 0.0.0.0:8101", Listen("0.0.0.0", 8101)),
    ("listen: '[::1]:8101'", Listen("::1", 8101)),
    ("listen: 0.0.0.0:auto", Listen("0.0.0.0", None)),
    ("resources: 9GiB", Resources(gpu_memory_mib=9216)),
    ("resources: none", Resources(gpus="none")),
    ("resources: 2", Resources(gpus=2)),
    ("resources: {gpus: 0}", Resources(gpus="none")),
    ("model: https://host/x.gguf", ModelRef(url="https://host/x.gguf")),
    ("model: {hf: a/b:Q4}", ModelRef(hf="a/b:Q4")),
    ("schedule: Mon-Fri 08:00-18:00", Schedule(("Mon-Fri 08:00-18:00",))),
    ("schedule: [08:00-12:00, '13:00-24:00']", Schedule(("08:00-12:00", "13:00-24:00"))),
    ("schedule: {windows: '22:00-6:00'}", Schedule(("22:00-06:00",))),
    ("restart: never", Restart("never")),
    ("restart: {give_up_after: never}", Restart(give_up_failures=None)),
    ("restart: {give_up_after: {failures: 2}}", Restart(give_up_failures=2)),
]


@pytest.mark.parametrize(("text", "expected"), SHORT_FORMS)
def test_short_and_long_forms(folder: Folder, text: str, expected: object) -> None:
    model = "" if text.startswith("model") else "model: m.gguf\n"
    assert expected in tuple(folder.profile(f"{model}{text}\n"))


def test_both_spellings_of_sleeping_say_the_same(folder: Folder) -> None:
    by_key = folder.profile("name: a\nmodel: m\nidle: {sleep_after: 5m}\n")
    by_option = folder.profile("name: a\nmodel: m\nargs: {sleep-idle-seconds: 300}\n")
    assert by_key.document == by_option.document
    assert by_option.idle.sleep_after_s == 300
    assert folder.profile("model: m\nargs: {sleep-idle-seconds: -1}\n").argv == ()


def test_defaults_bases_and_profile_in_this_order(folder: Folder) -> None:
    folder.write(
        "llamaagent.yaml",
        "defaults: {args: {threads: 8, c: 1, temp: 0.1}, health: {failures: 9}, labels: {a: 1}}\n",
    )
    folder.write(
        "profiles/_far.yaml", "args: {ctx-size: 2, top-k: 2}\nlisten: 0.0.0.0:auto\nrestart: {backoff: 1s}\n"
    )
    folder.write(
        "profiles/_near.yaml", "extends: _far.yaml\nargs: {top_k: 3, no-warmup: true, lora: [/a, /b]}\n"
    )
    profile = folder.profile(
        "extends: _near.yaml\nmodel: m.gguf\nlisten: 8101\nargs: {temp: null, lora: [/c], warmup: true}\nlabels: null\n"
    )
    assert dict(profile.args) == {"ctx-size": 2, "lora": "/c", "threads": 8, "top-k": 3, "warmup": True}
    assert profile.listen == Listen("0.0.0.0", 8101)
    assert profile.restart.backoff_s == 1
    assert profile.health.failures == 9
    assert profile.labels == ()


def test_a_model_is_never_a_mixture_of_two_files(folder: Folder) -> None:
    folder.write("profiles/_b.yaml", "model: {hf: a/b:Q4}\nsecrets: {api-key: {env: A}}\n")
    profile = folder.profile("extends: [_b.yaml]\nmodel: m.gguf\nsecrets: {api-key: {file: /k}}\n")
    assert profile.model == ModelRef(path="/models/m.gguf")
    assert profile.secrets == (("api-key", SecretRef("file", "/k")),)


def test_what_is_inherited_for_another_runtime_is_left_out(folder: Folder) -> None:
    folder.write(
        "llamaagent.yaml",
        "binary: /b\nenv: {A: 1}\ndefaults: {args: {threads: 8}, runtime: {wrap: [nice]}, restart: never}\n",
    )
    outside = folder.profile("runtime: {kind: external, port: 8080}\n", "outside")
    inside = folder.profile("runtime: {kind: container, image: x, shm_size: 1GiB}\n", "inside")
    process = folder.profile("model: m\nruntime: {env: {A: 2, B: 3}}\n", "process")
    assert (outside.args, outside.runtime.port, outside.runtime.env, outside.restart) == (
        (),
        8080,
        (),
        Restart(),
    )
    assert (inside.runtime.wrap, inside.runtime.port, inside.runtime.env) == ((), 8080, (("A", "1"),))
    assert inside.runtime.container is not None
    assert '"shm_size":"1GiB"' in inside.runtime.container
    assert (process.runtime.binary, process.runtime.env) == ("/b", (("A", "2"), ("B", "3")))


def test_models_are_looked_for_in_the_directories_then_beside_the_file(folder: Folder) -> None:
    folder.write("llamaagent.yaml", "models: {directories: [one, two]}\n")
    folder.write("two/a.gguf", "")
    folder.write("profiles/b.gguf", "")
    profiles = folder.root / "profiles"
    for text, path in [
        ("a.gguf", folder.root / "two/a.gguf"),
        ("b.gguf", profiles / "b.gguf"),
        ("c.gguf", folder.root / "one/c.gguf"),
        ("./a.gguf", profiles / "a.gguf"),
        ("../two/a.gguf", folder.root / "two/a.gguf"),
        ("~/a.gguf", folder.root / "home/a.gguf"),
    ]:
        assert folder.profile(f"model: {text}\nargs: {{mmproj: {text}}}\n").model.path == str(path)
        assert folder.profile(f"model: x\nargs: {{mmproj: {text}}}\n").arg("mmproj") == str(path)


def test_several_documents_are_several_profiles(folder: Folder) -> None:
    folder.write("profiles/two.yaml", "name: a\nmodel: m\n---\n# the second\nname: b\nmodel: m\n")
    site = folder.load()
    assert [(profile.name, profile.line) for profile in site.profiles] == [("a", 1), ("b", 5)]


def test_hosts_decide_unless_portable(folder: Folder) -> None:
    folder.write("profiles/x.yaml", "name: a\nhosts: gpu*\nmodel: m\n---\nname: b\nmodel: m\n")
    assert [p.name for p in folder.load(host="gpu7").profiles] == ["a", "b"]
    site = folder.load(host="cpu1")
    assert ([p.name for p in site.profiles], site.other_hosts) == (["b"], ("a",))
    assert [p.name for p in folder.load(host="cpu1", portable=True).profiles] == ["a", "b"]


def test_one_name_on_two_hosts_is_no_clash(folder: Folder) -> None:
    folder.write("profiles/a.yaml", "name: a\nhosts: [h1]\nmodel: m\nlisten: 8101\n")
    folder.write("profiles/b.yaml", "name: a\nhosts: [h2]\nmodel: m\nlisten: 8101\n")
    assert folder.faults(host="h1") == []
    assert len(folder.load(host="h1").profiles) == 1


def test_clashes_name_both_places_and_take_neither(folder: Folder) -> None:
    folder.write("profiles/a.yaml", "model: m\nlisten: 8101\n")
    folder.write("profiles/b.yaml", "model: m\nlisten: 8101\n")
    folder.write("profiles/c.yaml", "model: m\nname: a\n")
    folder.write("profiles/d.yaml", "model: m\n")
    assert folder.faults() == [
        f"b.yaml:2:9: error: port 8101 is fixed twice, also for 'a' at {folder.root}/profiles/a.yaml:2".replace(
            f"{folder.root}/profiles/", ""
        ),
        "c.yaml:2:7: error: name 'a' is used twice, also at a.yaml:1",
    ]
    site = folder.load()
    assert [profile.name for profile in site.profiles] == ["d"]
    assert site.names_declared == ("a", "b", "d")
    assert len(site.broken_files) == 3
