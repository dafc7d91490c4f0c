"""The command line that a profile becomes."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from llamaagent.base.errors import ConfigError
from llamaagent.domain.profile import Idle, Listen, ModelRef, Profile, Runtime, SecretRef
from llamaagent.launch.command import embedded_environment, program, quoted, resolve_binary, server_argv

if TYPE_CHECKING:
    import pathlib

PROFILE = Profile("p", "/p.yaml", 1, ModelRef(path="/m.gguf"), argv=("--ctx-size", "8192", "--temp", "0.7"))


def executable(path: pathlib.Path) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_host_port_and_metrics_are_always_given() -> None:
    assert server_argv(PROFILE, binary="/bin/s", port=8101) == (
        *("/bin/s", "--model", "/m.gguf", "--host", "127.0.0.1", "--port", "8101", "--metrics"),
        *("--ctx-size", "8192", "--temp", "0.7"),
    )


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (ModelRef(hf="u/r:Q4"), ("--hf-repo", "u/r:Q4")),
        (ModelRef(docker="ai/m"), ("--docker-repo", "ai/m")),
        (ModelRef(), ("--host", "127.0.0.1")),
    ],
)
def test_each_kind_of_model_has_its_option(model: ModelRef, words: tuple[str, ...]) -> None:
    assert server_argv(PROFILE._replace(model=model), binary="/s", port=1)[1:3] == words


def test_what_is_downloaded_is_kept_where_llama_cpp_keeps_it() -> None:
    """Two addresses never share a file; a bare --model-url would start a router without any model."""
    one, other = ModelRef(url="http://x/y.gguf?z"), ModelRef(url="http://w/y.gguf")
    assert one.url_file != other.url_file
    for env, folder in (
        ((("LLAMA_CACHE", "/c/"),), "/c"),
        ((("XDG_CACHE_HOME", "/x"),), "/x/llama.cpp"),
        ((("HOME", "/h"),), "/h/.cache/llama.cpp"),
    ):
        words = server_argv(PROFILE._replace(model=one, runtime=Runtime(env=env)), binary="/s", port=1)
        assert words[1:5] == ("--model", f"{folder}/{one.url_file}", "--model-url", "http://x/y.gguf?z")
        assert words[2].endswith("-y.gguf")


def test_a_wrap_comes_first_and_extra_words_last() -> None:
    profile = PROFILE._replace(runtime=Runtime(wrap=("numactl", "-i", "all")), listen=Listen("::1"))
    words = server_argv(profile, binary="/s", port=1, extra=("--fit", "off"))
    assert words[:4] == ("numactl", "-i", "all", "/s")
    assert words[words.index("--host") + 1] == "::1"
    assert words[-2:] == ("--fit", "off")


def test_the_servers_own_sleep_is_passed_once_and_only_where_it_is_known() -> None:
    profile = PROFILE._replace(idle=Idle(sleep_after_s=600))
    assert server_argv(profile, binary="/s", port=1)[-2:] == ("--sleep-idle-seconds", "600")
    assert "--sleep-idle-seconds" not in server_argv(profile, binary="/s", port=1, options={"--model"})
    set_by_hand = profile._replace(argv=("--sleep-idle-seconds", "5"))
    assert server_argv(set_by_hand, binary="/s", port=1).count("--sleep-idle-seconds") == 1


def test_no_secret_is_in_it() -> None:
    profile = PROFILE._replace(secrets=(("api-key", SecretRef("env", "K")),))
    assert server_argv(profile, binary="/s", port=1) == server_argv(PROFILE, binary="/s", port=1)


def test_a_shell_reads_the_line_back() -> None:
    words = ("/a b/s", "--x", "it's", "$HOME", "", "a\nb")
    assert shlex.split(quoted(words)) == list(words)
    printed = subprocess.run(["sh", "-c", f"printf '%s|' {quoted(words)}"], check=True, capture_output=True)
    assert printed.stdout.decode() == "".join(f"{word}|" for word in words)


def test_a_name_is_found_on_path_and_remembered(tmp_path: pathlib.Path) -> None:
    first, second = executable(tmp_path / "a/srv-x"), executable(tmp_path / "b/srv-x")
    path = f"{tmp_path}/none::relative:{tmp_path}/a:{tmp_path}/b"
    assert resolve_binary("srv-x", path) == first
    assert resolve_binary("srv-x", path, remembered=second) == second
    assert resolve_binary("srv-x", "", remembered=second) == second, "cron finds what the shell found"
    os.unlink(second)
    assert resolve_binary("srv-x", path, remembered=second) == first


def test_a_program_that_is_not_there_is_said(tmp_path: pathlib.Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("x")
    for name in ("srv-nowhere", str(plain), str(tmp_path), "a/b"):
        with pytest.raises(ConfigError, match="binary") as caught:
            resolve_binary(name, str(tmp_path))
        assert name in str(caught.value)
    assert resolve_binary(executable(tmp_path / "run")) == str(tmp_path / "run")


@pytest.mark.embedded
def test_embedded_is_this_python_with_this_package(tmp_path: pathlib.Path) -> None:
    assert resolve_binary("embedded") == "embedded"
    words = program("embedded")
    assert words[0] == sys.executable
    shown = subprocess.run(
        [*words, "--help"], env=dict(embedded_environment()), cwd=tmp_path, check=True, capture_output=True
    )
    assert b"--ctx-size\n" in shown.stdout
