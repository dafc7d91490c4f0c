"""llama-swap's config.yaml: every documented key is carried over or listed, and each of its traps."""

import re

import pytest
from neighbour_files import lost, profiles, taken

from llamaagent.base.errors import BadInputError

SERVER = "llama-server --port ${PORT} -m /m/a.gguf"


def one(lines: str, top: str = "") -> str:
    """A config with one model `a`; lines: further keys of it."""
    inner = "".join(f"    {line}\n" for line in lines.splitlines())
    cmd = "" if "cmd:" in lines else f"    cmd: {SERVER}\n"
    return f"{top}\nmodels:\n  a:\n{cmd}{inner}"


KEYS = [  # every key of config-schema.json: what to write, and where its effect or its loss shows
    ("top", "healthCheckTimeout: 300", "health"),
    ("top", "globalTTL: 60", "idle"),
    ("top", "unloadTimeout: 30", "stop"),
    ("top", "startPort: 7000", "listen"),
    ("top", "macros: {unused: 1}", "silent"),
    ("top", "apiKeys: [abcdefgh]", "secrets"),
    ("top", "logLevel: debug", "lost"),
    ("top", "logTimeFormat: kitchen", "lost"),
    ("top", "logToStdout: both", "lost"),
    ("top", "store: {path: x.db}", "lost"),
    ("top", "metricsMaxInMemory: 10", "lost"),
    ("top", "captureBuffer: 5", "lost"),
    ("top", "performance: {disabled: true, every: 5s}", "lost"),
    ("top", "sendLoadingState: true", "lost"),
    ("top", "includeAliasesInList: true", "lost"),
    ("top", "ui: {title: x}", "lost"),
    ("top", "upstream: {ignorePaths: [/x]}", "lost"),
    ("top", "hooks: {on_startup: {preload: [a]}}", "state"),
    ("top", "hooks: {on_startup: {other: [a]}}", "lost"),
    ("top", "routing: {router: {use: matrix}}", "lost"),
    ("top", "routing: {router: {settings: {groups: {g: {members: [a]}}}}}", "lost"),
    ("top", "routing: {router: {settings: {matrix: {vars: {x: a}}}}}", "lost"),
    ("top", "routing: {scheduler: {use: fifo}}", "lost"),
    ("top", "routing: {scheduler: {settings: {fifo: {priority: {a: 5}}}}}", "priority"),
    ("top", "groups: {g: {swap: true, members: [a]}}", "lost"),
    ("top", "groups: {g: {swap: false, exclusive: true, members: [a]}}", "lost"),
    ("top", "groups: {g: {swap: false, exclusive: false, persistent: true, members: [a]}}", "evict"),
    ("top", "matrix: {vars: {x: a}, evict_costs: {a: 2}, sets: {s: x}}", "lost"),
    ("top", "peers: {p: {proxy: 'http://x', models: [b], apiKey: k}}", "lost"),
    ("top", "profiles: {n: {pins: {a: null}}}", "lost"),
    ("top", "selectors: {s: {strategy: warm, targets: [a]}}", "lost"),
    ("top", "brandNew: 1", "lost"),
    ("model", "cmdStop: kill ${PID}", "lost"),
    ("model", "proxy: http://127.0.0.1:${PORT}", "silent"),
    ("model", "proxy: http://other:1/", "lost"),
    ("model", "checkEndpoint: /ready", "health"),
    ("model", "checkEndpoint: none", "health"),
    ("model", "ttl: 60", "idle"),
    ("model", "unloadTimeout: 7", "stop"),
    ("model", "env: [A=b]", "runtime"),
    ("model", "aliases: [b]", "args"),
    ("model", "name: N", "labels"),
    ("model", "description: D", "labels"),
    ("model", "metadata: {x: 1}", "labels"),
    ("model", "unlisted: true", "lost"),
    ("model", "useModelName: x", "lost"),
    ("model", "concurrencyLimit: 2", "lost"),
    ("model", "capabilities: {in: [text]}", "lost"),
    ("model", "compat: {ignoreWebsockets: true}", "lost"),
    ("model", "sendLoadingState: true", "lost"),
    ("model", "timeouts: {connect: 5}", "lost"),
    ("model", "filters: {stripParams: 'top_k'}", "lost"),
    ("model", "filters: {strip_params: 'top_k'}", "lost"),
    ("model", "filters: {setParams: {x: 1}}", "lost"),
    ("model", "filters: {setParamsByID: {b: {x: 1}}}", "lost"),
    ("model", "macros: {unused: 1}", "silent"),
    ("model", "brandNew: 1", "lost"),
]


@pytest.mark.parametrize(("place", "line", "shows"), KEYS, ids=[line for _, line, _ in KEYS])
def test_every_key_is_carried_over_or_listed(place: str, line: str, shows: str) -> None:
    text = one("", line) if place == "top" else one(line)
    plain, document = profiles(one(""))["a"], profiles(text)["a"]
    more = set(lost(text)) - set(lost(one("")))

    if shows == "lost":
        word = re.split("[:{]", line)[0]
        assert [key for key in more if word in key], more
    elif shows == "silent":
        assert document == plain
        assert not more
    else:
        assert document[shows] != plain.get(shows)


def test_ports_are_counted_over_the_models_that_use_one_sorted_by_id() -> None:
    text = """
startPort: 9000
macros: {srv: "llama-server --port ${PORT}"}
models:
  zeta: {cmd: "${srv} -m /z"}
  Beta: {cmd: "llama-server --port ${PORT} -m /b"}
  fixed: {cmd: "llama-server --port 8111 -m /f"}
  alpha: {cmd: "${srv} -m /a"}
"""
    ports = {name: document["listen"]["port"] for name, document in profiles(text).items()}
    assert ports == {"beta": 9000, "alpha": 9001, "zeta": 9002, "fixed": 8111}


def test_one_port_for_two_models_is_left_to_the_agent_the_second_time() -> None:
    text = "models:\n  a: {cmd: llama-server --port 8111 -m /a}\n  b: {cmd: llama-server --port 8111 -m /b}\n"
    assert profiles(text)["a"]["listen"] == {"port": 8111}
    assert "listen" not in profiles(text)["b"]
    assert "8111 is the port of a" in lost(text)["models.b.port"]


def test_macros_use_earlier_ones_and_a_models_own_wins() -> None:
    text = """
macros:
  - dir: /models
  - flags: "-c ${ctx0}"
  - ctx: 1
"""
    with pytest.raises(BadInputError, match=r"f:4:12: error: macro 'flags' uses \$\{ctx0\}"):
        taken(text + "models: {}\n", "llama-swap")
    text = """
macros: [{dir: /models}, {ctx: 1}, {srv: "llama-server -m ${dir}/${MODEL_ID}.gguf -c ${ctx}"}]
models:
  a: {cmd: "${srv}"}
  b: {macros: {srv: "llama-server -m ${dir}/own.gguf -c ${ctx}", ctx: 2}, cmd: "${srv} --seed ${ctx}"}
"""
    found = profiles(text)
    assert (found["a"]["model"], found["a"]["args"]["ctx-size"]) == ("/models/a.gguf", 1)
    assert (found["b"]["model"], found["b"]["args"]["ctx-size"], found["b"]["args"]["seed"]) == (
        "/models/own.gguf",
        1,
        2,
    )


@pytest.mark.parametrize("macros", ["{PORT: 1}", "{PID: 1}", "{'a b': 1}", "{a: [1]}", f"{{{'x' * 64}: 1}}"])
def test_macros_that_llama_swap_refuses_are_refused(macros: str) -> None:
    with pytest.raises(BadInputError, match=r"f:1:\d+: error: .*macro"):
        taken(f"macros: {macros}\n{one('')}", "llama-swap")


def test_an_unknown_macro_costs_its_own_model_only() -> None:
    text = "models:\n  a: {cmd: 'llama-server -m ${nope}'}\n  b: {cmd: llama-server -m /b}\n"
    assert list(profiles(text)) == ["b"]
    assert "${nope}" in lost(text)["models.a"]


def test_a_command_is_split_without_a_shell() -> None:
    text = r"""
models:
  a:
    cmd: |
      # the first line is a remark
      llama-server \
        # one in the middle
        -m "/m/a b.gguf" \
        --alias 'x # y' \
        --temp 0.70
"""
    document = profiles(text)["a"]
    assert document["model"] == "/m/a b.gguf"
    assert document["args"] == {"alias": "x # y", "temp": 0.7}


def test_a_command_that_cannot_be_split_costs_its_model() -> None:
    assert "cannot be split" in lost('models: {a: {cmd: "llama-server -m \'x"}}')["models.a.cmd"]


def test_the_environment_stays_a_reference() -> None:
    text = one(
        "cmd: llama-server -m ${env.DIR}/x.gguf --api-key ${env.THE_KEY}\nenv: ['A=${env.OUT}', 'B=x']"
    )
    document = profiles(text)["a"]
    assert document["model"] == "${env.DIR}/x.gguf"
    assert document["secrets"] == {"A": {"env": "OUT"}, "api-key": {"env": "THE_KEY"}}
    assert document["runtime"]["env"] == {"B": "x"}
    assert "expands no variables" in lost(text)["models.a.model"]


@pytest.mark.parametrize(
    ("ttl", "shared", "expected"),
    [
        ("", "", None),
        ("", "0", None),
        ("", "60", "1m"),
        ("ttl: -1", "60", "1m"),
        ("ttl: 0", "60", None),
        ("ttl: 5", "60", "5s"),
    ],
)
def test_ttl(ttl: str, shared: str, expected: str | None) -> None:
    document = profiles(one(ttl, f"globalTTL: {shared}" if shared else ""))["a"]
    assert document.get("idle", {}).get("stop_after") == expected


@pytest.mark.parametrize(
    ("own", "shared", "expected"), [("", "", None), ("", "0", None), ("0", "9", "9s"), ("4", "9", "4s")]
)
def test_the_grace_before_a_kill(own: str, shared: str, expected: str | None) -> None:
    text = one(f"unloadTimeout: {own}" if own else "", f"unloadTimeout: {shared}" if shared else "")
    assert profiles(text)["a"].get("stop", {}).get("grace") == expected


def test_the_start_deadline_has_a_floor() -> None:
    assert profiles(one("", "healthCheckTimeout: 3"))["a"]["health"] == {"start_timeout": "15s"}


def test_only_what_is_preloaded_runs_and_that_loading_ends_is_said() -> None:
    text = (
        "hooks: {on_startup: {preload: [other]}}\n" + one("aliases: [other]") + f"  b: {{cmd: '{SERVER}'}}\n"
    )
    found = profiles(text)
    assert (found["a"]["state"], found["b"]["state"]) == ("running", "stopped")
    assert "loading on request ends here" in lost(text)["models"]
    assert "models" not in lost("hooks: {on_startup: {preload: [a]}}\n" + one(""))


def test_a_preload_of_nobody_is_told() -> None:
    text = "hooks: {on_startup: {preload: [typo, a]}}\n" + one("")
    assert lost(text)["hooks.on_startup.preload"] == "no model is called typo"


def test_cards_of_the_environment_become_cards() -> None:
    assert profiles(one("env: ['CUDA_VISIBLE_DEVICES=0,1']"))["a"]["resources"] == {"gpus": ["0", "1"]}
    assert profiles(one("env: [CUDA_VISIBLE_DEVICES=]"))["a"]["resources"] == {"gpus": "none"}
    assert (
        "no list of cards" in lost(one("env: ['CUDA_VISIBLE_DEVICES=0,0']"))["models.a.CUDA_VISIBLE_DEVICES"]
    )


def test_variables_of_llama_server_become_options_and_the_command_wins() -> None:
    text = one(
        "env: [LLAMA_ARG_CTX_SIZE=9, LLAMA_ARG_THREADS=3, LLAMA_ARG_NO_CONT_BATCHING=1]\ncmd: llama-server -m /a -c 5"
    )
    assert profiles(text)["a"]["args"] == {"ctx-size": 5, "threads": 3, "cont-batching": False}


def test_what_clients_called_it_stays_its_name() -> None:
    text = f"models: {{'Org/Mo:q4': {{cmd: '{SERVER}', aliases: [mo]}}}}"
    assert profiles(text)["org-mo-q4"]["args"]["alias"] == "Org/Mo:q4,mo"
    assert "it is 'org-mo-q4'" in lost(text)["models.Org/Mo:q4"]
    own = profiles(one("cmd: llama-server -m /a --alias z\naliases: [b]"))["a"]
    assert own["args"]["alias"] == "z"


def test_two_ids_that_come_to_one_name_stay_apart() -> None:
    text = f"models: {{'A b': {{cmd: '{SERVER}'}}, 'A/b': {{cmd: '{SERVER}'}}}}"
    assert list(profiles(text)) == ["a-b", "a-b-2"]


def test_a_container_is_a_container_profile() -> None:
    command = (
        "docker run --rm -it --name ${MODEL_ID} --gpus '\"device=0,1\"' -p 127.0.0.1:${PORT}:8080 -v /m:/m:ro "
        "--shm-size=2g -e A=b --ipc host ghcr.io/ggml-org/llama.cpp:server-cuda -m /m/a.gguf"
    )
    text = one(f"cmd: {command}\ncmdStop: docker stop ${{MODEL_ID}}")
    document = profiles(text)["a"]
    assert document["runtime"] == {
        "kind": "container",
        "image": "ghcr.io/ggml-org/llama.cpp:server-cuda",
        "command": ["-m", "/m/a.gguf"],
        "env": {"A": "b"},
        "volumes": ["/m:/m:ro"],
        "shm_size": "2GiB",
        "port": 8080,
    }
    assert document["listen"] == {"host": "127.0.0.1", "port": 5800}
    assert document["resources"] == {"gpus": ["0", "1"]}
    assert "--ipc host has no equal" in lost(text)["models.a.cmd"]


def test_other_programs_are_listed() -> None:
    shell = 'bash -c "sleep 1; llama-server -m /x"'
    text = f"models:\n  a: {{cmd: 'vllm serve x'}}\n  b: {{cmd: '{shell}'}}\n  c: {{cmd: sh -c 'exec llama-server'}}\n"
    assert profiles(text) == {}
    assert "bash is neither" in lost(text)["models.b.cmd"]
    assert "no model is named" in lost(text)["models.c.cmd"]
    assert lost(text)["models.a.cmd"] == "vllm is neither llama-server nor docker nor podman"


def test_a_wrapper_stays_one_and_a_program_by_path_stays_that() -> None:
    document = profiles(one("cmd: numactl --cpunodebind=0 bin/llama-server -m /a"))["a"]
    assert document["runtime"] == {
        "wrap": ["numactl", "--cpunodebind=0"],
        "binary": "/nowhere/bin/llama-server",
    }


def test_a_shell_around_one_plain_command_is_taken_away() -> None:
    document = profiles(one("cmd: bash -c 'A=1 exec llama-server -m /a -c 5'"))["a"]
    assert (document["model"], document["args"]) == ("/a", {"ctx-size": 5})
    assert document["runtime"] == {"env": {"A": "1"}}


def test_a_relative_path_is_said_to_be_a_guess() -> None:
    assert (
        "--lora b.gguf: taken as lying beside this file"
        in lost(one("cmd: llama-server -m /a --lora b.gguf"))["models.a.cmd"]
    )


def test_no_secret_is_copied_anywhere() -> None:
    text = one(
        "cmd: llama-server -m /a --api-key canary-1 --hf-token canary-2\n"
        "env: [MY_PASSWORD=canary-3, 'NOTE=it is canary-3']\nmetadata: {x: canary-1}",
        "apiKeys: [canary-4, canary-5]",
    )
    found = taken(text)
    assert "canary" not in repr(found)
    document = found.profiles[0].document
    assert document["secrets"] == {
        "MY_PASSWORD": {"env": "MY_PASSWORD"},
        "api-key": {"env": "A_API_KEY"},
        "hf-token": {"env": "A_HF_TOKEN"},
    }
    said = lost(text)
    assert "LLAMA_SWAP_API_KEY=..." in said["apiKeys"]
    assert "A_API_KEY=..." in said["models.a.cmd"]
    assert "secret elsewhere" in said["models.a.labels.x"]


def test_two_values_of_one_variable_get_two_references() -> None:
    lines = [f"  {name}: {{cmd: '{SERVER}', env: [T_TOKEN={name}-secret]}}" for name in "ab"]
    text = "\n".join(["models:", *lines])
    found = profiles(text)
    assert found["a"]["secrets"]["T_TOKEN"] == {"env": "T_TOKEN"}
    assert found["b"]["secrets"]["T_TOKEN"] == {"env": "B_T_TOKEN"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("models: [1]", "f:1:9: error: models must be a mapping"),
        ("models: {a: {cmd: llama-server -m /a, ttl: x}}", "a whole number"),
        ("models: {a: {ttl: 5}}\n# cmd", "has no cmd"),
        ("models: {a: {cmd: llama-server -m /a, ttl: -2}}", "ttl must be"),
        ("startPort: 0\nmodels: {a: {cmd: x}}", "startPort 0"),
    ],
)
def test_what_llama_swap_refuses_is_refused_with_its_place(text: str, told: str) -> None:
    with pytest.raises(BadInputError, match=re.escape(told)):
        taken(text, "llama-swap")
