"""Why a server ended, from its exit and the end of its log. The logs are those of real servers."""

from __future__ import annotations

import os

import pytest

from llamaagent.collect.log import LogState, classify_exit, read_requests

LOGS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "fixtures", "logs")


def recorded(name: str) -> bytes:
    with open(os.path.join(LOGS, name), "rb") as file:
        return file.read()


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("end-port-taken.log", "port-taken", "port: 18199"),
        ("end-missing-model.log", "missing-model", "'nope.gguf' (No such file or directory)"),
        ("end-bad-model.log", "bad-model", "invalid magic"),
        ("end-cut-model.log", "bad-model", "corrupted or incomplete"),
        ("end-bad-option.log", "bad-option", "--zork"),
        ("end-bad-value.log", "bad-option", '"-c"'),
        ("end-oom-host.log", "oom-host", "2197.31 MB"),
        ("end-no-network.log", "failed", "Could not establish connection"),
        ("end-no-docker-hub.log", "failed", "cannot make GET request"),
    ],
)
def test_a_real_failure_is_named(name: str, reason: str, words: str) -> None:
    word, detail = classify_exit(1, None, recorded(name))
    assert word == reason
    assert words in detail


@pytest.mark.parametrize("name", ["end-port-taken.log", "end-missing-model.log", "end-oom-host.log"])
def test_the_reader_reports_the_failure_too(name: str) -> None:
    _, _, events = read_requests(LogState(), recorded(name))
    assert classify_exit(1, None, recorded(name))[0] in {event.kind for event in events}
    assert events[-1].kind == "failed"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"alloc_buffer: allocating 9000.00 MiB on device 0: cudaMalloc failed: out of memory",
         "oom-gpu"),
        (b"0.01.000.000 E llama_model_load: error loading model: unable to allocate CUDA0 buffer", "oom-gpu"),
        (b"0.01.000.000 E llama_model_load: error loading model: unable to allocate CPU buffer", "oom-host"),
        (b"terminate called after throwing an instance of 'std::bad_alloc'", "oom-host"),
        (b"0.01.000.000 E llama_model_load: unknown model architecture: 'x'", "bad-model"),
        (b"0.01.000.000 E srv  llama_server: exiting due to HTTP server error", "failed"),
        (b"0.01.000.000 E gguf_init_from_file: failed to open 'x' (Permission denied)\nE failed to load model",
         "permission"),
        (b"0.01.000.000 I srv  x: error loading model is only talked about", "crash"),
    ],
)  # fmt: skip
def test_causes_known_from_the_source(line: bytes, reason: str) -> None:
    assert classify_exit(1, None, line + b"\n")[0] == reason


def test_a_signal_is_a_crash_whatever_was_logged_before() -> None:
    assert classify_exit(None, 9, recorded("end-port-taken.log")) == ("crash", "killed by signal 9 (SIGKILL)")
    assert classify_exit(139, None, b"") == ("crash", "killed by signal 11 (SIGSEGV)")
    assert classify_exit(None, 64, b"") == ("crash", "killed by signal 64")


def test_an_abort_for_lack_of_memory_is_named() -> None:
    assert classify_exit(134, None, b"CUDA error: out of memory\n")[0] == "oom-gpu"
    assert classify_exit(None, 6, b"GGML_ASSERT(x) failed\n")[0] == "crash"


def test_plain_endings() -> None:
    assert classify_exit(0, None, b"")[0] == "exited"
    assert classify_exit(127, None, b"sh: 1: llama-server: not found\n")[0] == "missing-binary"
    assert classify_exit(126, None, b"sh: 1: /opt/llama-server: Permission denied\n")[0] == "permission"
    assert classify_exit(126, None, b"sh: 1: /opt/llama-server: Exec format error\n")[0] == "failed"
    assert classify_exit(3, None, b"first\nlast words\n") == ("crash", "ended with code 3: last words")
    assert classify_exit(None, None, b"") == ("crash", "ended with an unknown code")


def test_a_library_that_is_missing_is_not_a_missing_model() -> None:
    tail = b"x: error while loading shared libraries: libx.so: cannot open: No such file or directory\n"
    assert classify_exit(127, None, tail)[0] == "failed"


def test_control_characters_do_not_reach_the_detail() -> None:
    detail = classify_exit(1, None, b"error: invalid argument: \x1b[2J\x07\xff\n")[1]
    assert detail.isprintable()
