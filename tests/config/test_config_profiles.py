"""Profiles from files: short and long forms, what is inherited, and one exact sentence for each mistake."""

import os
from pathlib import Path

import pytest
from conftest import Folder

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
    assert profile.secrets == (("api-key", SecretRef("env", "QWEN_KEY")), ("hf-token", SecretRef("file", "/run/secrets/hf")))
    assert profile.health == ("command", "/h", "check me", None, 3, 2, 60)
    assert profile.restart == Restart("on-failure", 1, 60, 3600, 3, 300)
    assert profile.stop == Stop(60, 5)
    assert profile.idle == (600, 86400)
    assert profile.update == ("when_idle", False)
    assert profile.schedule == Schedule(("Mon-Fri 08:00-18:00", "Sat,Sun 22:00-06:00"), "Europe/Berlin")
    assert profile.labels == (("owner", "ann"), ("tier", "1"))


def test_one_line_is_a_profile(folder: Folder) -> None:
    profile = folder.profile("model: qwen3-8b-q4_k_m.gguf\n", "qwen3-8b")
    assert profile.name == "qwen3-8b"
    assert profile.model == ModelRef(path="/models/qwen3-8b-q4_k_m.gguf")
    assert profile.line == 1
    assert profile.argv == ()
    assert profile.listen == Listen()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
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
    ],
)
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
    folder.write("llamaagent.yaml", "defaults: {args: {threads: 8, c: 1, temp: 0.1}, health: {failures: 9}, labels: {a: 1}}\n")
    folder.write("profiles/_far.yaml", "args: {ctx-size: 2, top-k: 2}\nlisten: 0.0.0.0:auto\nrestart: {backoff: 1s}\n")
    folder.write("profiles/_near.yaml", "extends: _far.yaml\nargs: {top_k: 3, no-warmup: true, lora: [/a, /b]}\n")
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
    folder.write("llamaagent.yaml", "binary: /b\nenv: {A: 1}\ndefaults: {args: {threads: 8}, runtime: {wrap: [nice]}, restart: never}\n")
    outside = folder.profile("runtime: {kind: external, port: 8080}\n", "outside")
    inside = folder.profile("runtime: {kind: container, image: x, shm_size: 1GiB}\n", "inside")
    process = folder.profile("model: m\nruntime: {env: {A: 2, B: 3}}\n", "process")
    assert (outside.args, outside.runtime.port, outside.runtime.env, outside.restart) == ((), 8080, (), Restart())
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


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("model: m\nstat: running", "2:1: error: unknown key 'stat', did you mean 'state'?"),
        ("model: m\nargs: {temprature: 1}", "2:8: error: unknown key 'temprature', did you mean 'temp'?"),
        ("model: m\nctx-size: 1", "2:1: error: unknown key 'ctx-size': options of llama-server stand under 'args'"),
        ("model: m\nstop: {zzz: 1}", "2:8: error: unknown key 'zzz' in 'stop'; known are drain, grace"),
        ("model: m\nstate: on", "2:8: error: 'state' must be running or stopped, not 'on'"),
        ("model: m\nstate: true", "2:8: error: 'state' must be running or stopped, not true"),
        ("model: m\nstate: runing", "2:8: error: 'state' must be running or stopped, not 'runing', did you mean 'running'?"),
        ("model: m\nstop: {drain: 30}", "2:15: error: 'drain': '30' has no unit: write 30s, 30m, 30h or 30d"),
        ("model: m\nstop: {drain: never}", "2:15: error: 'drain' cannot be never"),
        ("model: m\nstop: {drain: [1]}", "2:15: error: 'drain' must be a duration such as 30s or 5m, not a list"),
        ("model: m\nhealth: {timeout: 0}", "2:19: error: 'timeout' must be at least 1s"),
        ("model: m\nresources: {memory: 16}", "2:21: error: 'memory': '16' has no unit: write 16MiB or 16GiB"),
        ("model: m\nresources: {cpus: 0}", "2:19: error: 'cpus' must be a number of at least 0.01, not 0"),
        ("model: m\nresources: {gpus: some}", "2:19: error: 'gpus' must be auto, all, none, a count, or a list of different uuids or indexes, not 'some'"),
        ("model: m\nresources: {exclusive: yes}", "2:24: error: 'exclusive' must be true or false, not 'yes'"),
        ("model: m\nlisten: 99999", "2:9: error: 'port' must be auto or a port from 1 to 65535, not 99999"),
        ("model: m\nlisten: {port: '80'}", "2:16: error: 'port' must be auto or a port from 1 to 65535, not '80'"),
        ("model: m\npriority: 1.5", "2:11: error: 'priority' must be a whole number, not 1.5"),
        ("model: m\nstop: 5s", "2:7: error: 'stop' must be a mapping, not '5s'"),
        ("model: m\nname: Qwen", "2:7: error: 'name' must be small letters, digits, '.', '_' and '-', beginning with a letter or digit, not 'Qwen'"),
        ("model: m\nschedule: Mo-Fr 8-18", "2:11: error: 'windows' must be windows such as 'Mon-Fri 08:00-18:00', 'Sat,Sun 22:00-06:00' or '08:00-18:00', not 'Mo-Fr 8-18'"),
        ("model: m\nschedule: 08:00-25:00", "2:11: error: 'windows' must be windows between 00:00 and 24:00 that are not empty, not '08:00-25:00'"),
        ("model: m\nschedule: {timezone: UTC}", "2:11: error: 'windows' is missing: when is it to run?"),
        ("model: m\nschedule: {timezone: Europe/Berln, windows: '8:00-9:00'}", "2:22: error: 'timezone': no time zone 'Europe/Berln' is known here, did you mean 'Europe/Berlin'?"),
        ("model: m\nlabels: {on: true}", "2:14: error: 'labels.on' must be text (put it in quotes), not true"),
        ("model: m\nhealth: {probe: command}", "2:17: error: 'command' is missing: the probe is to run one"),
        ("model: m\nargs: {tools: all}", "2:15: error: 'tools' lets clients act on this machine; it needs 'allow_dangerous: true'"),
        ("model: m\nargs: {c: 1, ctx_size: 2}", "2:14: error: 'c' and 'ctx_size' are the same option"),
        ("model: m\nargs: [1]", "2:7: error: 'args' must be a mapping of llama-server's options, not a list"),
        ("model: m\nargs: {sleep-idle-seconds: 5}\nidle: {sleep_after: 9s}", "2:28: error: 'sleep-idle-seconds' and 'idle: {sleep_after: 9s}' say different things"),
        ("state: running", "1:1: error: 'model' is missing: write model: FILE.gguf, or model: {hf: USER/REPO:QUANT}"),
        ("model: {hf: a, url: b}", "1:8: error: 'model' must have one of path, url, hf, docker, not url and hf"),
        ("runtime: {kind: container}", "1:10: error: 'image' is missing: a container needs one"),
        ("runtime: {kind: external}", "1:10: error: 'port' or 'pid_from' is missing: how is the external server found?"),
        ("runtime: {kind: external, port: 1}\nargs: {c: 1}", "2:1: error: 'args' means nothing for runtime kind 'external': it is only watched"),
        ("model: m\nruntime: {image: x}", "2:11: error: 'image' belongs to runtime kind 'container', this is 'process'"),
        ("model: m\nruntime: {kind: vm}", "2:17: error: 'kind' must be process, container or external, not 'vm'"),
        ("model: m\nruntime: {env: {HF_TOKEN: abc}}", "2:17: error: 'HF_TOKEN' looks like a secret; use 'secrets: {HF_TOKEN: {env: HF_TOKEN}}', not a literal"),
        ("model: m\nruntime: {env: {LLAMA_ARG_PORT: 1}}", "2:17: error: 'LLAMA_ARG_PORT' is set by the agent; options of llama-server stand under 'args'"),
        ("model: m\nsecrets: {api-key: hunter2}", "2:20: error: secret 'api-key' must be a reference, {env: NAME} or {file: PATH}, never the value"),
        ("model: m\nsecrets: {api-key: {env: 'a b'}}", "2:26: error: secret 'api-key': 'env' must be the name of an environment variable"),
        ("model: m\nextends: _none.yaml", "2:10: error: cannot read _none.yaml: no such file or directory"),
        ("model: m\nextends: p.yaml", "2:10: error: 'extends' goes in a circle: p.yaml -> p.yaml"),
        ("- model: m", "1:1: error: a profile must be a mapping, not a list"),
        ("", "1:1: error: the file declares nothing; remove it, or write a profile into it"),
        ("# soon\n", "1:1: error: the file declares nothing; remove it, or write a profile into it"),
    ],
)
def test_each_mistake_has_its_sentence(folder: Folder, text: str, fault: str) -> None:
    folder.write("profiles/p.yaml", text)
    assert folder.faults() == [f"p.yaml:{fault}"]
    site = folder.load()
    assert (site.profiles, site.names_declared) == ((), () if "Qwen" in text else ("p",))
    assert site.broken_files == (str(folder.root / "profiles/p.yaml"),)


def test_a_secret_is_never_repeated_in_a_message(folder: Folder) -> None:
    folder.write("profiles/p.yaml", "model: m\nsecrets: {api-key: hunter2, K: [hunter2]}\nruntime: {env: {A_KEY: hunter2}}\n")
    assert len(folder.faults()) == 3
    assert "hunter2" not in "\n".join(folder.faults())


def test_all_faults_of_all_files_come_in_one_run_and_hide_no_good_profile(folder: Folder) -> None:
    folder.write("llamaagent.yaml", "intervall: 30s\n")
    folder.write("profiles/_b.yaml", "argz: {}\n")
    folder.write("profiles/a.yaml", "model: m\nstat: 1\n---\nname: b\nmodel: [\n---\nname: c\nmodel: m\nstop: {drain: 1}\n")
    folder.write("profiles/good.yaml", "model: m\n")
    assert folder.faults() == [
        "llamaagent.yaml:1:1: error: unknown key 'intervall', did you mean 'interval'?",
        "_b.yaml:1:1: error: unknown key 'argz', did you mean 'args'?",
        "a.yaml:1:1: error: each document of a file with several needs a 'name'",
        "a.yaml:2:1: error: unknown key 'stat', did you mean 'state'?",
        "a.yaml:6:1: error: not valid YAML: did not find expected node content (while parsing a flow node)",
        "a.yaml:9:15: error: 'drain': '1' has no unit: write 1s, 1m, 1h or 1d",
    ]
    site = folder.load()
    assert [profile.name for profile in site.profiles] == ["good"]
    assert site.names_declared == ("b", "c", "good")
    assert not site.settings_ok


def test_a_fault_in_a_base_breaks_its_profiles_and_is_said_once(folder: Folder) -> None:
    folder.write("profiles/_b.yaml", "stop: {drain: 5}\n")
    folder.write("profiles/p.yaml", "name: p\nextends: _b.yaml\nmodel: m\n---\nname: q\nextends: _b.yaml\nmodel: m\n")
    assert folder.faults() == ["_b.yaml:1:15: error: 'drain': '5' has no unit: write 5s, 5m, 5h or 5d"]
    assert folder.load().profiles == ()


def test_circles_of_bases_end(folder: Folder) -> None:
    folder.write("profiles/_a.yaml", "extends: _b.yaml\n")
    folder.write("profiles/_b.yaml", "extends: _a.yaml\n")
    folder.write("profiles/p.yaml", "extends: _a.yaml\nmodel: m\n")
    assert folder.faults() == ["_b.yaml:1:10: error: 'extends' goes in a circle: p.yaml -> _a.yaml -> _b.yaml -> _a.yaml"]


def test_a_half_written_file_keeps_its_name(folder: Folder) -> None:
    whole = "name: big-one\nmodel: m\nargs: {c: 1, temp: 0.7}\n"
    for end in (20, 33, 40):
        folder.write("profiles/p.yaml", whole[:end])
        assert folder.load().names_declared == ("big-one",)


def test_a_missing_emptied_or_unreadable_folder_is_told_apart(folder: Folder) -> None:
    assert folder.load().folders[0] == (str(folder.root / "profiles"), True, (), 0, None)
    folder.write("profiles/a.yaml", "model: m\n")
    folder.write("profiles/b.yaml", "model: [\n")
    folder.write("profiles/notes.txt", "")
    state = folder.load().folders[0]
    assert (state.readable, len(state.files), state.valid_count) == (True, 2, 1)
    folder.write("llamaagent.yaml", "profiles: [profiles, gone, profiles/a.yaml]\n")
    states = folder.load().folders
    assert [(state.readable, state.error) for state in states] == [(True, None), (False, "no such file or directory"), (True, None)]
    assert folder.faults()[0] == f"gone:1:1: error: cannot read {folder.root}/gone: no such file or directory".replace(f"{folder.root}/", "")
    assert [profile.name for profile in folder.load().profiles] == ["a"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_folder_says_so(folder: Folder) -> None:
    (folder.root / "profiles").chmod(0)
    try:
        assert folder.load().folders[0].error == "permission denied"
    finally:
        (folder.root / "profiles").chmod(0o700)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_is_refused(folder: Folder) -> None:
    path = folder.write("profiles/a.yaml", "model: m\n")
    os.chown(path, 12345, 12345)
    assert folder.faults() == ["a.yaml:1:1: error: cannot read a.yaml: it belongs to user 12345, neither to you nor to root"]


def test_what_is_no_plain_file_is_not_waited_for(folder: Folder) -> None:
    os.mkfifo(folder.root / "profiles/a.yaml")
    (folder.root / "profiles/b.yaml").mkdir()
    assert folder.faults() == [
        "a.yaml:1:1: error: cannot read a.yaml: not a plain file",
        "b.yaml:1:1: error: cannot read b.yaml: is a directory",
    ]


def test_an_impossible_file_name_needs_a_name(folder: Folder) -> None:
    folder.write("profiles/My Model.yaml", "model: m\n")
    assert folder.faults() == ["My Model.yaml:1:1: error: the file's name 'My Model' cannot name the profile; write 'name: my-model'"]
    folder.write("profiles/My Model.yaml", "model: m\nname: mine\n")
    assert folder.faults() == []


def test_folders_are_read_flat_sorted_and_without_bases(folder: Folder) -> None:
    for name in ("b.yml", "a.yaml", "_base.yaml", "sub/c.yaml", ".hidden.yaml", "d.yaml~"):
        folder.write(f"profiles/{name}", "model: m\n")
    files = folder.load().folders[0].files
    assert [Path(file).name for file in files] == ["a.yaml", "b.yml"]
