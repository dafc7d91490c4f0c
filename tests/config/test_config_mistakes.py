"""One exact sentence for each mistake, all of them in one run, and none hides a good profile."""

import pytest
from site_folder import Folder

MISTAKES = [
    ("model: m\nstat: running", "2:1: error: unknown key 'stat', did you mean 'state'?"),
    ("model: m\nargs: {tempp: 1}", "2:8: error: unknown key 'tempp', did you mean 'temp'?"),
    (
        "model: m\nctx-size: 1",
        "2:1: error: unknown key 'ctx-size': options of llama-server stand under 'args'",
    ),
    ("model: m\nstop: {zzz: 1}", "2:8: error: unknown key 'zzz' in 'stop'; known are drain, grace"),
    ("model: m\nstate: on", "2:8: error: 'state' must be running or stopped, not 'on'"),
    ("model: m\nstate: true", "2:8: error: 'state' must be running or stopped, not true"),
    (
        "model: m\nstate: runningg",
        "2:8: error: 'state' must be running or stopped, not 'runningg', did you mean 'running'?",
    ),
    ("model: m\nstop: {drain: 30}", "2:15: error: 'drain': '30' has no unit: write 30s, 30m, 30h or 30d"),
    ("model: m\nstop: {drain: never}", "2:15: error: 'drain' cannot be never"),
    (
        "model: m\nstop: {drain: [1]}",
        "2:15: error: 'drain' must be a duration such as 30s or 5m, not a list",
    ),
    ("model: m\nhealth: {timeout: 0}", "2:19: error: 'timeout' must be at least 1s"),
    (
        "model: m\nresources: {memory: 16}",
        "2:21: error: 'memory': '16' has no unit: write 16MiB or 16GiB",
    ),
    ("model: m\nresources: {cpus: 0}", "2:19: error: 'cpus' must be a number of at least 0.01, not 0"),
    (
        "model: m\nresources: {gpus: some}",
        "2:19: error: 'gpus' must be auto, all, none, a count, or a list of different uuids or indexes, not 'some'",
    ),
    (
        "model: m\nresources: {exclusive: yes}",
        "2:24: error: 'exclusive' must be true or false, not 'yes'",
    ),
    ("model: m\nlisten: 99999", "2:9: error: 'port' must be auto or a port from 1 to 65535, not 99999"),
    (
        "model: m\nlisten: {port: '80'}",
        "2:16: error: 'port' must be auto or a port from 1 to 65535, not '80'",
    ),
    ("model: m\npriority: 1.5", "2:11: error: 'priority' must be a whole number, not 1.5"),
    ("model: m\npriority: 1e999", "2:11: error: 'priority' must be a whole number, not 1e999"),
    (
        "model: m\nresources: {cpus: 1e999}",
        "2:19: error: 'cpus' must be a number of at least 0.01, not 1e999",
    ),
    ("model: m\nstop: 5s", "2:7: error: 'stop' must be a mapping, not '5s'"),
    (
        "model: m\nname: Qwen",
        "2:7: error: 'name' must be small letters, digits, '.', '_' and '-', a letter or digit first, not 'Qwen'",
    ),
    (
        "model: m\nschedule: Mo-Fr 8-18",
        "2:11: error: 'windows' must be like 'Mon-Fri 08:00-18:00' or '22:00-06:00', not 'Mo-Fr 8-18'",
    ),
    (
        "model: m\nschedule: 08:00-25:00",
        "2:11: error: 'windows' must be times from 00:00 to 24:00 that differ, not '08:00-25:00'",
    ),
    ("model: m\nschedule: {timezone: UTC}", "2:11: error: 'windows' is missing: when is it to run?"),
    (
        "model: m\nschedule: {timezone: Europe/Berln, windows: '8:00-9:00'}",
        "2:22: error: 'timezone': no time zone 'Europe/Berln' is known here, did you mean 'Europe/Berlin'?",
    ),
    (
        "model: m\nlabels: {on: true}",
        "2:14: error: 'labels.on' must be text (put it in quotes), not true",
    ),
    ("model: m\nhealth: {probe: command}", "2:17: error: 'command' is missing: the probe is to run one"),
    (
        "model: m\nargs: {tools: all}",
        "2:15: error: 'tools' lets clients act on this machine; it needs 'allow_dangerous: true'",
    ),
    ("model: m\nargs: {c: 1, ctx_size: 2}", "2:14: error: 'c' and 'ctx_size' are the same option"),
    ("model: m\nargs: [1]", "2:7: error: 'args' must be a mapping of llama-server's options, not a list"),
    (
        "model: m\nargs: {sleep-idle-seconds: 5}\nidle: {sleep_after: 9s}",
        "2:28: error: 'sleep-idle-seconds' and 'idle: {sleep_after: 9s}' say different things",
    ),
    (
        "state: running",
        "1:1: error: 'model' is missing: write model: FILE.gguf, or model: {hf: USER/REPO:QUANT}",
    ),
    (
        "args: {models-max: 2}",
        "1:1: error: 'model' is missing: write model: FILE.gguf, or model: {hf: USER/REPO:QUANT}",
    ),
    (
        "model: {hf: a, url: b}",
        "1:8: error: 'model' must have one of path, url, hf, docker, not url and hf",
    ),
    ("runtime: {kind: container}", "1:10: error: 'image' is missing: a container needs one"),
    (
        "runtime: {kind: container, image: a, ports: [80, '127.0.0.1:1:x']}",
        (
            "1:50: error: '127.0.0.1:1:x' is no port to publish; write [ADDRESS:][HOST_PORT:]PORT[/tcp|udp], "
            "such as 127.0.0.1:6006:6006"
        ),
    ),
    (
        "runtime: {kind: container, image: a, ports: [70000]}",
        (
            "1:46: error: '70000' is no port to publish; write [ADDRESS:][HOST_PORT:]PORT[/tcp|udp], "
            "such as 127.0.0.1:6006:6006"
        ),
    ),
    (
        "runtime: {kind: container, image: a, volumes: [/data]}",
        "1:48: error: '/data' is no volume; write FOLDER:/PATH/INSIDE[:ro], or NAME:/PATH/INSIDE",
    ),
    (
        "runtime: {kind: container, image: a, volumes: ['data/x:/data']}",
        "1:48: error: 'data/x' is neither a folder nor a volume's name; write ./data/x",
    ),
    (
        "runtime: {kind: container, image: a}\nsecrets: {hf-token: {env: A}}",
        (
            "2:21: error: llama-server reads hf-token from its environment only, "
            "which all users of the engine can see; "
            "fetch the model first (llamaagent models pull) and name its file"
        ),
    ),
    (
        "runtime: {kind: external}",
        "1:10: error: 'port' or 'pid_from' is missing: how is the external server found?",
    ),
    (
        "runtime: {kind: external, port: 1}\nargs: {c: 1}",
        "2:1: error: 'args' means nothing for runtime kind 'external': it is only watched",
    ),
    (
        "model: m\nruntime: {image: x}",
        "2:11: error: 'image' belongs to runtime kind 'container', this is 'process'",
    ),
    (
        "model: m\nruntime: {kind: vm}",
        "2:17: error: 'kind' must be process, container or external, not 'vm'",
    ),
    (
        "model: m\nruntime: {env: {HF_TOKEN: abc}}",
        "2:17: error: 'HF_TOKEN' looks like a secret; use 'secrets: {HF_TOKEN: {env: HF_TOKEN}}', not a literal",
    ),
    (
        "model: m\nruntime: {env: {LLAMA_ARG_PORT: 1}}",
        "2:17: error: 'LLAMA_ARG_PORT' is set by the agent; options of llama-server stand under 'args'",
    ),
    (
        "model: m\nsecrets: {api-key: hunter2}",
        "2:20: error: secret 'api-key' must be a reference, {env: NAME} or {file: PATH}, never the value",
    ),
    (
        "model: m\nsecrets: {api-key: {env: 'a b'}}",
        "2:26: error: secret 'api-key': 'env' must be the name of an environment variable",
    ),
    ("model: m\nextends: _none.yaml", "2:10: error: cannot read _none.yaml: no such file or directory"),
    ("model: m\nextends: p.yaml", "2:10: error: 'extends' goes in a circle: p.yaml -> p.yaml"),
    ("- model: m", "1:1: error: a profile must be a mapping, not a list"),
    ("", "1:1: error: the file declares nothing; remove it, or write a profile into it"),
    ("# soon\n", "1:1: error: the file declares nothing; remove it, or write a profile into it"),
]


@pytest.mark.case("peers 5.24")
@pytest.mark.parametrize(("text", "fault"), MISTAKES)
def test_each_mistake_has_its_sentence(folder: Folder, text: str, fault: str) -> None:
    folder.write("profiles/p.yaml", text)
    assert folder.faults() == [f"p.yaml:{fault}"]
    site = folder.load()
    assert (site.profiles, site.names_declared) == ((), ("p",))
    assert site.broken_files == (str(folder.root / "profiles/p.yaml"),)


def test_endless_numbers_are_faults_like_others(folder: Folder) -> None:
    digits = "9" * 5000
    for key, text in (("stop", f"{{drain: {digits}s}}"), ("resources", f"{{memory: {digits}GiB}}")):
        folder.write("profiles/p.yaml", f"model: m\n{key}: {text}\n")
        (fault,) = folder.faults()
        assert fault.endswith("is too large")
    folder.write("profiles/p.yaml", "model: m\n")
    for word in ("inf", "nan", "1e999"):
        (fault,) = folder.faults(LLAMAAGENT_BACKUP_KEEP=word)
        assert "'keep' must be a whole number from 0 to 1000" in fault


def test_a_secret_is_never_repeated_in_a_message(folder: Folder) -> None:
    folder.write(
        "profiles/p.yaml",
        "model: m\nsecrets: {api-key: hunter2, K: [hunter2]}\nruntime: {env: {A_KEY: hunter2}}\n",
    )
    assert len(folder.faults()) == 3
    assert "hunter2" not in "\n".join(folder.faults())


def test_all_faults_of_all_files_come_in_one_run_and_hide_no_good_profile(folder: Folder) -> None:
    folder.write("llamaagent.yaml", "intervals: 30s\n")
    folder.write("profiles/_b.yaml", "argz: {}\n")
    folder.write(
        "profiles/a.yaml",
        "model: m\nstat: 1\n---\nname: b\nmodel: [\n---\nname: c\nmodel: m\nstop: {drain: 1}\n",
    )
    folder.write("profiles/good.yaml", "model: m\n")
    assert folder.faults() == [
        "llamaagent.yaml:1:1: error: unknown key 'intervals', did you mean 'interval'?",
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
    folder.write(
        "profiles/p.yaml", "name: p\nextends: _b.yaml\nmodel: m\n---\nname: q\nextends: _b.yaml\nmodel: m\n"
    )
    assert folder.faults() == ["_b.yaml:1:15: error: 'drain': '5' has no unit: write 5s, 5m, 5h or 5d"]
    assert folder.load().profiles == ()


@pytest.mark.parametrize(
    "text",
    [
        "model: a.gguf\nmodel: b.gguf\n",
        "model: a.gguf\nlabels: {1: x, 1: y}\n",
        "model: a.gguf\nargs: {c: 1}\nargs: {c: 2}\n",
    ],
)
def test_a_fault_in_the_yaml_itself_is_no_profile(folder: Folder, text: str) -> None:
    folder.write(
        "profiles/p.yaml", f"{text}---\nname: q\nmodel: m.gguf\n".replace("model", "name: p\nmodel", 1)
    )
    assert len(folder.faults()) == 1
    site = folder.load()
    assert [profile.name for profile in site.profiles] == ["q"]
    assert "p" in site.names_declared


def test_circles_of_bases_end(folder: Folder) -> None:
    folder.write("profiles/_a.yaml", "extends: _b.yaml\n")
    folder.write("profiles/_b.yaml", "extends: _a.yaml\n")
    folder.write("profiles/p.yaml", "extends: _a.yaml\nmodel: m\n")
    assert folder.faults() == [
        "_b.yaml:1:10: error: 'extends' goes in a circle: p.yaml -> _a.yaml -> _b.yaml -> _a.yaml"
    ]
