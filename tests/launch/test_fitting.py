"""llama-fit-params: where it is looked for, what it is given, and how whatever it does is told."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.launch import fitting
from llamaagent.launch.fitting import accepted, find_tool, fit_args, fit_environment, run_fit

if TYPE_CHECKING:
    from pathlib import Path

HELP = """----- common params -----
-m,    --model FNAME                    model path
-c,    --ctx-size N                     size of the prompt context
-ngl,  --gpu-layers N                   layers
-ts,   --tensor-split N0,N1             fractions
-ot,   --override-tensor A=B            places
-kvo,  --kv-offload, -nkvo, --no-kv-offload
                                        cache on the card
-np,   --parallel N                     sequences
-lv,   --verbosity N                    talk
--log-colors WHEN                       colours
----- sampling params -----
--temp N                                temperature
"""
NAMES = frozenset(
    ["--model", "--ctx-size", "--gpu-layers", "--tensor-split", "--override-tensor", "--kv-offload"]
)
NAMES |= frozenset(["--no-kv-offload", "--parallel", "--verbosity", "--log-colors", "--temp"])


def tool(folder: Path, fit: str, measure: str = "exit 1") -> str:
    """A program that notes how it was called and does one thing or the other."""
    path = folder / "llama-fit-params"
    path.write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/calls\nenv > {folder}/env\n'
        f"case \"$*\" in --help) cat <<'END'\n{HELP}END\n;;\n*-fitp*) {measure};;\n*) {fit};;\nesac\n"
    )
    path.chmod(0o755)
    return str(path)


def calls(folder: Path) -> list[list[str]]:
    return [shlex.split(line) for line in (folder / "calls").read_text().splitlines()]


TWO_CARDS = "printf 'CUDA0 3000 400 200 \\nCUDA1 1000 100 50 \\nHost 300 0 20 \\n'"


def test_it_is_looked_for_beside_the_server_and_then_on_the_path(tmp_path: Path) -> None:
    beside, elsewhere = tmp_path / "a", tmp_path / "b"
    for folder in (beside, elsewhere):
        folder.mkdir()
        tool(folder, "true")
    server = beside / "llama-server"
    server.touch(0o755)
    link = tmp_path / "llama-server"
    link.symlink_to(server)

    path = f"relative:{elsewhere}"
    assert find_tool(str(server), path) == str(beside / "llama-fit-params")
    assert find_tool(str(link), path) == str(beside / "llama-fit-params")  # a link into a build folder
    assert find_tool("embedded", path) == str(elsewhere / "llama-fit-params")
    (beside / "llama-fit-params").chmod(0o644)
    assert find_tool(str(server), path) == str(elsewhere / "llama-fit-params")
    if not os.path.exists("/usr/bin/llama-fit-params") and not os.path.exists(
        "/usr/local/bin/llama-fit-params"
    ):
        assert find_tool("embedded", "") is None  # fmt: skip


def test_its_environment_is_a_servers_without_marks_and_options() -> None:
    given = (("LLAMAAGENT_LAUNCH_ID", "x"), ("LLAMAAGENT_SITE", "y"), ("LLAMAAGENT_PROFILE", "z"))
    given = (*given, ("LLAMA_ARG_CTX_SIZE", "1"), ("HOME", "/h"), ("XDG_CONFIG_HOME", "/empty"))
    assert fit_environment(given) == {"HOME": "/h", "XDG_CONFIG_HOME": "/empty", "GGML_NO_BACKTRACE": "1"}


def test_its_own_help_says_what_it_takes(tmp_path: Path) -> None:
    names = accepted(tool(tmp_path, "true"), {})
    assert names is not None
    assert names >= NAMES
    (tmp_path / "llama-fit-params").write_text("#!/bin/sh\nexit 3\n")
    assert accepted(str(tmp_path / "llama-fit-params"), {}) is None
    assert accepted(str(tmp_path / "nothing"), {}) is None


@pytest.mark.parametrize(
    ("args", "kept"),
    [
        ({"ctx-size": 8, "port": 3, "api-prefix": "/x", "cache-ram": 0}, {"ctx-size": 8}),
        ({"temp": 0.5, "verbosity": 4, "log-colors": "on", "log-jsonl": True}, {"temp": 0.5}),
        ({"kv-offload": False}, {"kv-offload": False}),
        ({"parallel": 2}, {"parallel": 2}),
        ({"parallel": -1}, {}),
        ({"parallel": 2, "kv-unified": True}, {}),
    ],
)
def test_only_what_it_takes_is_passed_on(args: dict[str, Any], kept: dict[str, Any]) -> None:
    assert dict(fit_args(args.items(), NAMES)) == kept


def test_it_fits_and_then_measures_what_it_fitted(tmp_path: Path) -> None:
    fitted = "echo '-c 4096 -ngl 24 -ts 3,1 -ot \"blk\\.7=CPU,blk\\.8=CPU\"'"
    program = tool(tmp_path, fitted, TWO_CARDS)
    found = run_fit(program, "/m.gguf", [("gpu-layers", "auto"), ("temp", 0.5)], {})
    assert (found.context, found.gpu_layers, found.tensor_split, found.error) == (4096, 24, "3,1", None)
    assert (found.gpu_mib, found.cpu_mib) == (3000 + 400 + 200 + 1000 + 100 + 50, 320)
    first, second = calls(tmp_path)
    assert first == ["-m", "/m.gguf", "--gpu-layers", "auto", "--temp", "0.5", "-lv", "4"]
    wanted = "-m /m.gguf --temp 0.5 -c 4096 -ngl 24 -ts 3,1 -ot blk.7=CPU,blk.8=CPU -fitp on"
    assert [word.replace("\\", "") for word in second] == wanted.split()
    assert "Host 300 0 20" in found.raw
    assert fitted[6:20] in found.raw


def test_what_was_placed_by_hand_stays_where_the_tool_says_nothing(tmp_path: Path) -> None:
    program = tool(tmp_path, "echo '-c 4096 -ngl -1'", TWO_CARDS)
    args: list[tuple[str, Any]] = [("override-tensor", "exps=CPU"), ("tensor-split", "1,1"), ("ctx-size", 1)]
    found = run_fit(program, "/m.gguf", args, {})
    assert " -c 4096 -ngl -1 --override-tensor exps=CPU --tensor-split 1,1 -fitp on" in " ".join(
        calls(tmp_path)[1]
    )
    assert found.error is None  # fmt: skip


def test_lines_that_are_no_answer_are_passed_over(tmp_path: Path) -> None:
    noise = 'printf \'{"type":"log"}\\nusing -c 7 -ngl 8\\n-c 512 -ngl -2\\n\''
    found = run_fit(tool(tmp_path, noise, "echo '{}'; " + TWO_CARDS), "/m.gguf", [], {})
    assert (found.context, found.gpu_layers, len(found.rows)) == (512, -2, 3)


def test_what_does_not_fit_is_measured_as_it_was_asked_for(tmp_path: Path) -> None:
    no = (
        "echo 'W common_fit_params: failed to fit params to free device memory: too large, abort' >&2; exit 1"
    )
    found = run_fit(tool(tmp_path, no, TWO_CARDS), "/m.gguf", [("ctx-size", 9)], {})
    assert found.error == "does not fit into what is free: too large, abort"
    assert (found.gpu_mib, found.context) == (4750, None)
    assert calls(tmp_path)[1] == ["-m", "/m.gguf", "--ctx-size", "9", "-fitp", "on"]


@pytest.mark.parametrize(
    ("fit", "measure", "error"),
    [
        (
            "exit 1",
            "echo \"what():  failed\" >&2; echo 'x error loading model: no such tensor' >&2; kill -ABRT $$",
            "no such tensor",
        ),
        ("exit 1", "kill -ABRT $$", "llama-fit-params ended with signal 6"),
        ("echo 'error: invalid argument: --x' >&2; exit 1", "exit 1", "llama-fit-params ended with status 1"),
        ("echo nonsense", "echo nonsense", "llama-fit-params ended with status 0"),
        ("echo '-c 1 -ngl 1'", "echo 'CUDA0 1 2 3 '", "llama-fit-params printed no table"),
        ("echo '-c 1 -ngl 1'", "printf '0.00.001 E bad \\033[2Jthing\\n' >&2; exit 1", "bad  [2Jthing"),
    ],
)
def test_every_failure_is_a_line(tmp_path: Path, fit: str, measure: str, error: str) -> None:
    found = run_fit(tool(tmp_path, fit, measure), "/m.gguf", [], {})
    assert (found.rows, found.error) == ((), error)


def test_endless_output_is_cut(tmp_path: Path) -> None:
    found = run_fit(tool(tmp_path, "yes | head -c 3000000; exit 1", "exit 1"), "/m.gguf", [], {})
    assert found.error is not None
    assert len(found.raw) <= fitting._RAW_CHARACTERS + 1


def test_one_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ServiceUnavailableError, match=r"did not end within 0\.3 s"):
        run_fit(tool(tmp_path, "sleep 60", "exit 1"), "/m.gguf", [], {}, deadline_s=0.3)


@pytest.mark.binary
def test_the_real_one_lies_beside_the_server_and_lists_two_groups(llama_server_binary: str) -> None:
    from llamaagent.config.catalogue import load_catalogue

    path = find_tool(llama_server_binary, None)
    assert path is not None
    names = accepted(path, {})
    assert names is not None
    for option in load_catalogue().options.values():
        if option.group in fitting.GROUPS and not option.gone:
            assert f"--{option.name}" in names, option.name
        elif option.group in {"server", "speculative"} and option.name != "parallel":
            assert f"--{option.name}" not in names, option.name
