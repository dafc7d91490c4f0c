"""systemd units: their quoting, their continued lines, what they set beside the command."""

import pytest
from neighbour_files import lost, profiles, taken

from llamaagent.neighbours.unitwords import UnitSyntaxError, split_words


def unit(start: str, lines: str = "") -> str:
    return f"[Unit]\nDescription=D\n[Service]\n{lines}\nExecStart={start}\n[Install]\nWantedBy=multi-user.target\n"


def test_a_whole_unit() -> None:
    text = unit(
        "/opt/llama-server \\\n  # why\n  -m x.gguf \\\n\t--port 8090",
        'WorkingDirectory=/srv/llama\nEnvironment=A=1 "B=2 3"\nEnvironment=CUDA_VISIBLE_DEVICES=0\nTimeoutStopSec=40s\n'
        "MemoryMax=16G\nType=simple",
    )
    assert profiles(text)["f"] == {
        "state": "stopped",
        "model": "x.gguf",
        "runtime": {"binary": "/opt/llama-server", "env": {"A": "1", "B": "2 3"}, "cwd": "/srv/llama"},
        "resources": {"gpus": ["0"], "memory": "16GiB"},
        "listen": {"port": 8090},
        "stop": {"grace": "40s"},
        "labels": {"description": "D"},
    }


@pytest.mark.parametrize("prefix", ["-", ":", "+", "!", "!!", "-+", "|"])
def test_signs_before_the_command(prefix: str) -> None:
    text = unit(f"{prefix}/opt/llama-server -m /a")
    assert profiles(text)["f"]["model"] == "/a"
    assert ("other rights" in lost(text).get("ExecStart", "")) is bool(set(prefix) & set("+!|"))


def test_the_name_behind_an_at_sign_is_no_option() -> None:
    assert profiles(unit("@/opt/llama-server llama -m /a"))["f"]["model"] == "/a"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (r'a "b c" d', ["a", "b c", "d"]),
        (r"'it\'s' x", ["it's", "x"]),
        (r"\x41\u0042\103\t\s", ["ABC\t "]),
        (r'"\"q\""', ['"q"']),
        ("50%% $$ $$X", ["50%", "$", "$X"]),
        ("$L ${L} ${N} $N", ["-c", "5", "-c 5", "${N}", "$N"]),
        (r"C:\q", ["C:\\q"]),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert split_words(text, {"L": "-c 5"}) == words


def test_an_open_quote_is_told() -> None:
    with pytest.raises(UnitSyntaxError):
        split_words('"a', {})
    assert "a quote is not closed" in lost(unit('/opt/llama-server -m "x'))["ExecStart"]
    assert "a quote is not closed" in lost(unit("/opt/llama-server", 'Environment="x'))["ExecStart"]


def test_variables_of_the_unit_are_put_in_and_others_stay() -> None:
    text = unit("/opt/llama-server -m ${DIR}/x.gguf $MORE --alias ${WHO}", 'Environment=DIR=/m "MORE=-c 5"')
    document = profiles(text)["f"]
    assert document["model"] == "/m/x.gguf"
    assert document["args"] == {"ctx-size": 5, "alias": "${WHO}"}
    assert "expands no variables" in lost(text)["ExecStart.args.alias"]


def test_an_empty_assignment_takes_back() -> None:
    text = unit(
        "/opt/llama-server -m /a\nExecStart=\nExecStart=/opt/llama-server -m /b",
        "Environment=A=1\nEnvironment=\n",
    )
    assert profiles(text)["f"]["model"] == "/b"
    assert "runtime" not in profiles(text)["f"] or "env" not in profiles(text)["f"]["runtime"]


@pytest.mark.parametrize(
    ("word", "policy"), [("always", None), ("on-failure", "on-failure"), ("no", "never")]
)
def test_two_supervisors_are_told(word: str, policy: str | None) -> None:
    text = unit("/opt/llama-server -m /a", f"Restart={word}")
    assert profiles(text)["f"].get("restart", {}).get("policy") == policy
    assert "two supervisors" in lost(text)["Service.Restart"]
    assert "two supervisors" in lost(unit("/opt/llama-server -m /a"))["ExecStart"]


@pytest.mark.parametrize(
    "key",
    ["User", "Group", "EnvironmentFile", "ExecStartPre", "ExecStartPost", "ExecStop", "ExecReload", "StandardOutput",
     "CPUQuota", "RestartSec", "LimitNOFILE", "DeviceAllow"],
)  # fmt: skip
def test_the_rest_is_listed(key: str) -> None:
    assert f"Service.{key}" in lost(unit("/opt/llama-server -m /a", f"{key}=x"))


def test_specifiers_are_told() -> None:
    assert "specifier" in lost(unit("/opt/llama-server -m %h/x.gguf"))["ExecStart"]


def test_a_container_in_a_unit() -> None:
    document = profiles(unit("/usr/bin/podman run --rm --device nvidia.com/gpu=all -p 1:2 img -m /a"))["f"]
    assert document["runtime"]["engine"] == "podman"
    assert document["resources"] == {"gpus": "all"}


def test_another_program_is_listed() -> None:
    assert profiles(unit("/usr/bin/vllm serve")) == {}
    assert "neither llama-server" in lost(unit("/usr/bin/vllm serve"))["ExecStart"]
    assert "starts nothing" in lost("[Service]\nType=simple\n", "unit")["ExecStart"]


def test_a_last_line_that_goes_on_is_not_lost() -> None:
    assert profiles("[Service]\nExecStart=/opt/llama-server -m /a \\")["f"]["model"] == "/a"


def test_no_secret_is_copied_anywhere() -> None:
    text = unit(
        "/opt/llama-server -m /a --api-key ${KEY} --alias canary-1",
        "Environment=KEY=canary-1 HF_TOKEN=canary-2",
    )
    found = taken(text)
    assert "canary" not in repr(found)
    assert found.profiles[0].document["secrets"] == {
        "KEY": {"env": "KEY"},
        "hf-token": {"env": "HF_TOKEN"},
        "api-key": {"env": "KEY"},
    }
