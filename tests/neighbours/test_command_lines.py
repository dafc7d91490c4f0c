"""Command lines and shell scripts: what a script itself settles is taken, nothing is run."""

from pathlib import Path

import pytest
from neighbour_files import lost, profiles, taken


def test_a_plain_line_is_named_after_its_model() -> None:
    found = profiles("llama-server -m '/m/Qwen3 8B.gguf' -c 8192 --temp 0.70 --host 0.0.0.0 --port 8123\n")
    assert found == {
        "qwen3-8b": {
            "model": "/m/Qwen3 8B.gguf",
            "listen": {"host": "0.0.0.0", "port": 8123},
            "args": {"ctx-size": 8192, "temp": 0.7},
        }
    }


def test_a_script_with_its_own_variables_and_redirections() -> None:
    text = """#!/usr/bin/env bash
set -euo pipefail
cd /srv
export CUDA_VISIBLE_DEVICES=1
DIR="/the models"
MODEL=$DIR/x.gguf
if [ -n "$DEBUG" ]; then echo "llama"; fi
exec nohup numactl -N 0 /opt/llama-server \\
  -m "${MODEL}" \\
  # a remark between
  -c 4096 >>/var/log/x.log 2>&1 &
"""
    assert profiles(text) == {
        "x": {
            "model": "/the models/x.gguf",
            "runtime": {"wrap": ["numactl", "-N", "0"], "binary": "/opt/llama-server"},
            "resources": {"gpus": ["1"]},
            "args": {"ctx-size": 4096},
        }
    }


def test_several_commands_are_several_profiles() -> None:
    text = "llama-server -m /a.gguf & llama-server -m /a.gguf --port 81; docker run --name web -p 1:2 img x && true\n"
    assert list(profiles(text)) == ["a", "a-2", "web"]


def test_paths_begin_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    document = profiles("./llama-server -m a.gguf --lora b.gguf", "command", tmp_path)["a"]
    assert document["model"] == f"{tmp_path}/a.gguf"
    assert document["args"] == {"lora": f"{tmp_path}/b.gguf"}
    assert document["runtime"]["binary"] == f"{tmp_path}/llama-server"


def test_a_script_that_goes_elsewhere_first() -> None:
    text = "D=/srv\ncd $D/x && ./llama-server -m /a.gguf --lora l.gguf\n"
    document = profiles(text)["a"]
    assert document["runtime"]["binary"] == "/srv/x/llama-server"
    assert document["args"] == {"lora": "/srv/x/l.gguf"}
    assert "taken as lying beside" not in str(lost(text))
    assert "taken as lying beside" in str(lost("llama-server -m /a.gguf --lora l.gguf"))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("llama-server -c 5", "no model is named"),
        ("llama-server -m /a --ctx-siz 5", "did you mean 'ctx-size'?"),
        ("llama-server -m /a --port 99999", "is no port"),
        ("llama-server -m /a --mlock", "load-mode"),
        ("llama-server -m $(ls *.gguf) -c 5", "output of a command"),
        ("llama-server -m /a '", "cannot be split"),
        ("docker build -t x . # docker run", "only `docker run`"),
        ("docker run --brand-new x img", "--brand-new is not known here"),
        ("docker run -p 1:2", "no image is named"),
    ],
)
def test_what_cannot_be_taken_over_is_listed(line: str, told: str) -> None:
    assert told in "; ".join(lost(line, "command").values())


@pytest.mark.parametrize(
    ("option", "key", "value"),
    [
        ("--gpus all", "gpus", "all"),
        ("--gpus 2", "gpus", 2),
        ("--gpus device=0,1", "gpus", ["0", "1"]),
        ("--gpus '\"device=GPU-12345,1\"'", "gpus", ["GPU-12345", "1"]),
        ("--gpus all,capabilities=utility", "gpus", "all"),
        ("--runtime=nvidia", "gpus", "all"),
        ("--runtime nvidia -e NVIDIA_VISIBLE_DEVICES=0", "gpus", ["0"]),
        ("--device nvidia.com/gpu=0", "gpus", ["0"]),
        ("-m 8g", "memory", "8GiB"),
        ("--cpus=1.5", "cpus", 1.5),
    ],
)
def test_what_docker_run_gives_a_container(option: str, key: str, value: object) -> None:
    assert profiles(f"docker run -dit {option} img")["f"]["resources"][key] == value


def test_the_rest_of_docker_run() -> None:
    text = (
        "sudo docker container run\n"
        "docker run --mount type=bind,source=/s,target=/t,readonly --entrypoint '/x -y' -u 1 -w /w --read-only -l a=b "
        "--cap-drop=ALL --security-opt no-new-privileges --pull always --restart unless-stopped --stop-timeout 9 "
        "--env-file e --net host img --port 81\n"
    )
    found = profiles(text)["f"]
    assert found["runtime"] == {
        "kind": "container",
        "image": "img",
        "command": ["--port", "81"],
        "volumes": ["/s:/t:ro"],
        "port": 81,
        "entrypoint": ["/x", "-y"],
        "user": "1",
        "cwd": "/w",
        "read_only": True,
        "cap_drop": ["ALL"],
        "no_new_privileges": True,
        "pull": "always",
        "network": "host",
    }
    assert (found["stop"], found["labels"], found["listen"]) == ({"grace": "9s"}, {"a": "b"}, {"port": 81})
    said = "; ".join(lost(text).values())
    assert "two supervisors" in said
    assert "--env-file is not read" in said
    assert "sudo is neither" in said


def test_no_secret_is_copied_anywhere() -> None:
    text = """
KEY=canary-1
MY_TOKEN=canary-2 llama-server -m /a.gguf --api-key $KEY --hf-token canary-3 --unknown canary-4 --chat-template canary-2
docker run -e HF_TOKEN=canary-5 -e OUT img --token canary-6 --api-key=canary-7
"""
    found = taken(text, "command")
    assert "canary" not in repr(found)
    a, container = (one.document["secrets"] for one in found.profiles)
    assert a == {
        "MY_TOKEN": {"env": "MY_TOKEN"},
        "api-key": {"env": "KEY"},
        "hf-token": {"env": "A_HF_TOKEN"},
    }
    assert container == {
        "hf-token": {"env": "HF_TOKEN"},
        "OUT": {"env": "OUT"},
        "F_TOKEN": {"env": "F_TOKEN"},
        "api-key": {"env": "F_API_KEY"},
    }
