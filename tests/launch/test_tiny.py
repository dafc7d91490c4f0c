"""The tiny model is a real one: the real server loads it and answers."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from llamaagent.base.errors import CannotCreateError
from llamaagent.launch.identity import alive
from llamaagent.launch.listeners import listener_state
from llamaagent.launch.tiny import write_tiny_model

if TYPE_CHECKING:
    import pathlib

    from conftest import Ground


def digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@pytest.mark.embedded
def test_one_seed_is_one_model_and_it_is_small(tmp_path: pathlib.Path) -> None:
    one, same, other = (
        write_tiny_model(str(tmp_path / f"{n}.gguf"), seed) for n, seed in enumerate((1, 1, 2))
    )
    assert digest(one) == digest(same) != digest(other)
    assert os.path.getsize(one) < 500_000
    assert sorted(os.listdir(tmp_path)) == ["0.gguf", "1.gguf", "2.gguf"]


@pytest.mark.embedded
def test_a_model_that_cannot_be_written_leaves_nothing(tmp_path: pathlib.Path) -> None:
    with pytest.raises(CannotCreateError, match="cannot write model"):
        write_tiny_model(str(tmp_path / "none/x.gguf"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(CannotCreateError, match="cannot write model"):
        write_tiny_model(str(tmp_path / "folder"))
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.binary
def test_the_real_server_answers_with_it(
    ground: Ground, tiny_model: str, llama_server_binary: str, free_port: int
) -> None:
    launched = ground.launch(
        *(llama_server_binary, "--model", tiny_model, "--host", "127.0.0.1", "--port", str(free_port))
    )
    server = launched.joined()

    def ask(path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{free_port}{path}", data, timeout=20) as answer:
            return json.load(answer)

    def healthy() -> bool:
        try:
            return bool(ask("/health")["status"] == "ok")
        except OSError:
            return not alive(server)

    ground.until(healthy, 30)
    assert listener_state("127.0.0.1", free_port, (server.pid,)) == "ours"
    completion = ask("/completion", {"prompt": "the word", "n_predict": 9, "ignore_eos": True})
    assert completion["timings"]["predicted_n"] == 9
    assert completion["content"].isprintable()
    chat = ask("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5})
    assert chat["choices"][0]["message"]["content"]
    assert launched.signal(signal.SIGTERM)
    ground.until(launched.gone)
