"""The embedded server has llama-server's manners: arguments, log, HTTP, exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from llamaagent.base.clock import SystemClock
from llamaagent.base.run import Result, run
from llamaagent.launch.command import embedded_environment, program
from llamaagent.launch.exits import read_exit
from llamaagent.launch.identity import alive
from llamaagent.launch.listeners import listener_state

if TYPE_CHECKING:
    import pathlib

    from conftest import Ground, Launched

pytestmark = pytest.mark.embedded
EVAL = re.compile(
    r"^\d+\.\d\d\.\d{3}\.\d{3} I slot print_timing: id +\d+ \| task \d+ \| +eval time =", re.MULTILINE
)


def ask(port: int, path: str, body: object = None, key: str | None = None) -> Any:
    """GET, or POST a JSON body; text for /metrics, else the parsed answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data)
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=20) as answer:
        text = answer.read().decode()
    return text if path == "/metrics" else json.loads(text)


def healthy(port: int) -> bool:
    try:
        return bool(ask(port, "/health")["status"] == "ok")
    except OSError:
        return False


def listens_to_signals(pid: int) -> bool:
    """Whether SIGTERM is caught: some milliseconds after the server is healthy."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        caught = next(line for line in file if line.startswith("SigCgt:")).split()[1]
    return bool(int(caught, 16) & 1 << (signal.SIGTERM - 1))


def serve(
    ground: Ground, model: str, port: int, *words: str, env: tuple[tuple[str, str], ...] = ()
) -> Launched:
    argv = (
        *program("embedded"),
        "--model",
        model,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--metrics",
        *words,
    )
    launched = ground.launch(*argv, env=(*embedded_environment(), *env))
    server = launched.joined()
    ground.until(lambda: healthy(port) or not alive(server), 30)
    assert alive(server), launched.log()
    ground.until(lambda: listens_to_signals(server.pid))
    return launched


def refused(*words: str, model: str = "/nowhere.gguf") -> Result:
    env = dict(embedded_environment())
    return run([*program("embedded"), "--model", model, *words], deadline_s=30, env=env)


def test_from_start_to_end(ground: Ground, tiny_model: str, free_port: int) -> None:
    launched = serve(ground, tiny_model, free_port, "--ctx-size", "1024", "--temp", "0.5")
    assert launched.server is not None
    assert listener_state("127.0.0.1", free_port, (launched.server.pid,)) == "ours"
    answer = ask(free_port, "/completion", {"prompt": "the word", "n_predict": 12, "ignore_eos": True})
    assert answer["timings"]["predicted_n"] == 12
    assert answer["generation_settings"]["temperature"] == 0.5
    chat = ask(
        free_port, "/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
    )
    assert chat["choices"][0]["message"]["role"] == "assistant"
    assert "llamacpp:tokens_predicted_total" in ask(free_port, "/metrics")
    props = ask(free_port, "/props")
    assert (props["total_slots"], props["model_path"]) == (4, tiny_model)
    assert len(ask(free_port, "/slots")) == 4
    ground.until(lambda: len(EVAL.findall(launched.log())) == 2)
    assert launched.signal(signal.SIGTERM)
    ground.until(launched.gone)
    record = read_exit(launched.request.exit_path)
    assert record is not None
    assert (record.exit_code, record.exit_signal) == (0, None)


def test_a_signal_at_any_time_of_the_start_ends_it(ground: Ground, tiny_model: str, free_port: int) -> None:
    for delay in (0.0, 0.05, 0.1, 0.2):
        launched = ground.launch(
            *(*program("embedded"), "--model", tiny_model, "--port", str(free_port)),
            env=embedded_environment(),
        )
        launched.joined()
        SystemClock().sleep(delay)
        launched.signal(signal.SIGTERM)
        ground.until(launched.gone)
        record = read_exit(launched.request.exit_path)
        assert record is not None
        assert record.status in {0, 143}


def test_a_signal_with_a_request_in_flight_ends_it(ground: Ground, tiny_model: str, free_port: int) -> None:
    launched = serve(ground, tiny_model, free_port)
    with socket.create_connection(("127.0.0.1", free_port), timeout=20) as client:
        body = json.dumps({"prompt": "the", "n_predict": 4000, "stream": True, "ignore_eos": True})
        client.sendall(
            f"POST /completion HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        launched.signal(signal.SIGTERM)
        ground.until(launched.gone)
    record = read_exit(launched.request.exit_path)
    assert record is not None
    assert record.exit_code == 0


@pytest.mark.parametrize("how", ["variable", "file"])
def test_a_key_comes_by_the_environment(
    ground: Ground, tiny_model: str, free_port: int, tmp_path: pathlib.Path, how: str
) -> None:
    key_file = tmp_path / "keys"
    key_file.write_text("# comment\nopen-sesame\n")
    env = ("LLAMA_API_KEY", "open-sesame") if how == "variable" else ("LLAMA_ARG_API_KEY_FILE", str(key_file))
    launched = serve(ground, tiny_model, free_port, env=(env,))
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(free_port, "/props")
    caught.value.close()
    assert caught.value.code == 401
    assert ask(free_port, "/props", key="open-sesame")["total_slots"] == 4
    with open(f"/proc/{launched.joined().pid}/cmdline", "rb") as file:
        assert b"open-sesame" not in file.read()


def test_embeddings_are_answered(ground: Ground, tiny_model: str, free_port: int) -> None:
    serve(ground, tiny_model, free_port, "--embeddings", "--pooling", "mean", "--parallel", "2")
    answer = ask(free_port, "/v1/embeddings", {"input": "the word"})
    assert len(answer["data"][0]["embedding"]) == 64
    assert ask(free_port, "/props")["total_slots"] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--no-such-option",), "invalid argument: --no-such-option"),
        (("--device", "CUDA0"), "invalid argument: --device (not offered by the embedded server)"),
        (("stray",), "invalid argument: stray"),
        (("--ctx-size",), "expected value for argument: --ctx-size"),
        (("--ctx-size", "many"), "'--ctx-size': 'many'"),
        (("--flash-attn", "maybe"), "'--flash-attn': 'maybe'"),
        (("--gpu-layers", "some"), "'--gpu-layers': 'some'"),
        (("--api-key-file", "/nowhere/keys"), "'--api-key-file'"),
        (("--spec-type", "guess"), "unknown speculative type"),
    ],
)
def test_a_bad_argument_is_an_error_and_1(words: tuple[str, ...], message: str) -> None:
    result = refused(*words)
    assert (result.code, result.out) == (1, b"")
    assert message in result.err.decode()
    assert result.err.startswith(b"error: ")


def test_a_model_that_does_not_load_is_1() -> None:
    result = refused("--port", "0")
    assert result.code == 1
    assert "failed to load model, '/nowhere.gguf'" in result.err.decode()


def test_a_port_that_is_taken_is_1(tiny_model: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = refused("--port", str(server.getsockname()[1]), model=tiny_model)
    assert result.code == 1
    assert "couldn't bind HTTP server socket" in result.err.decode()


def test_a_model_that_is_no_local_file_is_refused() -> None:
    env = dict(embedded_environment())
    result = run([*program("embedded"), "--port", "0"], deadline_s=30, env=env)
    assert (result.code, result.err.partition(b":")[0]) == (1, b"error")
    assert b"local files only" in result.err


def test_every_option_of_the_tables_reaches_a_parameter() -> None:
    import xllamacpp

    from llamaagent.launch.embedded import known_options, parse
    from llamaagent.launch.embedded_options import CHOICES, FLAGS, VALUES

    for option in FLAGS:
        parse([option, "--model", "m"], xllamacpp, {})
    for option, choice in CHOICES.items():
        for word in choice.members:
            parse([option, word, "--model", "m"], xllamacpp, {})
    samples = {
        "int": "2",
        "float": "0.5",
        "text": "none",
        "words": "a,b",
        "reals": "0.5,0.5",
        "file": os.devnull,
    }
    odd = {"--spec-draft-device": "none", "--samplers": "top_k", "--override-tensor": "x=CPU"}
    odd |= {"--spec-draft-override-tensor": "x=CPU"}
    for option, value in VALUES.items():
        parse([option, odd.get(option, samples[value.kind]), "--model", "m"], xllamacpp, {})
    special = {
        "--api-key-file": os.devnull,
        "--fit": "off",
        "--fit-target": "512",
        "--reasoning": "off",
        "--spec-draft-sampling": "greedy",
        "--lora-scaled": "a:0.5",
        "--lora": "a,b",
        "--chat-template-kwargs": '{"a": true}',
        "--grammar": 'root ::= "a"',
        "--grammar-file": os.devnull,
        "--spec-type": "ngram-mod",
        "--tensor-split": "3,1",
        "--seed": "-1",
    }
    flags = {*FLAGS, "--rerank", "--reranking", "--help", "--version"}
    for option in known_options() - flags - set(VALUES) - set(CHOICES):
        parse([option, special.get(option, "1"), "--model", "m"], xllamacpp, {})


def test_values_arrive_where_they_belong() -> None:
    import xllamacpp

    from llamaagent.launch.embedded import parse

    words = "--ctx_size 4096 --temp 0.25 --gpu-layers all --fit off --fit-target 512 --no-warmup --seed -1"
    words += " --host 127.0.0.1,::1 --alias b,a --flash-attn on --timeout 9 --tensor-split 3,1 --model m"
    params = parse(words.split(), xllamacpp, {"LLAMA_API_KEY": "a,b"})
    assert (params.n_ctx, params.sampling.temp, params.n_gpu_layers) == (4096, 0.25, -2)
    assert (params.fit_params, set(params.fit_params_target)) == (False, {512 * 1024 * 1024})
    assert (params.warmup, params.sampling.seed) == (False, 0xFFFFFFFF)
    assert (params.hostnames, params.model_alias) == (["127.0.0.1", "::1"], {"a", "b"})
    assert (params.timeout_read, params.timeout_write, params.tensor_split[:3]) == (9, 9, [3.0, 1.0, 0.0])
    assert params.flash_attn_type == xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    assert params.sampling.user_sampling_config == 64
    assert (params.n_parallel, params.kv_unified, params.api_keys) == (4, True, ["a", "b"])


def test_its_options_are_llama_servers() -> None:
    from llamaagent.launch.embedded import known_options

    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with open(f"{here}/fixtures/llama_server_flags.json", encoding="utf-8") as file:
        real = {name for option in json.load(file) for name in option["names"] + option["negations"]}
    assert known_options() - real == set()


def test_it_imports_nothing_of_the_agent_that_is_not_needed() -> None:
    program_text = "import sys, llamaagent.launch.embedded; print(*sorted(sys.modules))"
    result = run([sys.executable, "-c", program_text], deadline_s=30, env=dict(embedded_environment()))
    assert not {"xllamacpp", "apsw", "yaml", "click"} & set(result.text.split())
