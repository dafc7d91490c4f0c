"""A short program is run to its end or its deadline, and costs no more memory than it may."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.base.run import run

if TYPE_CHECKING:
    import pathlib


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def test_both_outputs_and_the_code_come_back() -> None:
    result = run(["sh", "-c", "echo out; echo err >&2; exit 3"], deadline_s=10)
    assert result == (3, b"out\n", b"err\n", False, False)


def test_a_signal_is_a_negative_code() -> None:
    assert run(["sh", "-c", "kill -TERM $$"], deadline_s=10).code == -15


def test_input_of_any_size_is_handed_over() -> None:
    data = os.urandom(1_000_000)
    result = run(["cat"], deadline_s=20, max_output_bytes=2_000_000, stdin=data)
    assert (result.out, result.truncated) == (data, False)
    assert run(["cat"], deadline_s=10).out == b"", "no input is an empty one"


def test_a_program_that_does_not_read_is_no_error() -> None:
    assert run(["true"], deadline_s=10, stdin=b"x" * 1_000_000).code == 0


def test_what_exceeds_the_cap_is_dropped_and_said() -> None:
    result = run(
        ["sh", "-c", "head -c 3000000 /dev/zero; echo end >&2"], deadline_s=20, max_output_bytes=1000
    )
    assert (result.code, len(result.out), result.err, result.truncated) == (0, 1000, b"end\n", True)


def test_the_deadline_ends_the_whole_group(tmp_path: pathlib.Path) -> None:
    pids = tmp_path / "pids"
    begin = time.monotonic()
    result = run(
        ["sh", "-c", f"sleep 60 & echo $! > {pids}; echo $$ >> {pids}; echo out; wait"], deadline_s=0.5
    )
    assert time.monotonic() - begin < 10
    assert (result.code, result.out, result.timed_out) == (-9, b"out\n", True)
    end = time.monotonic() + 5
    for pid in map(int, pids.read_text().split()):
        while not gone(pid):
            assert time.monotonic() < end


def test_a_program_that_closes_its_outputs_and_goes_on_meets_the_deadline() -> None:
    result = run(["sh", "-c", "exec >&- 2>&-; sleep 60"], deadline_s=0.3)
    assert (result.code, result.timed_out) == (-9, True)


@pytest.mark.parametrize("noise", ["sleep 3", "yes"])
def test_a_grandchild_that_holds_the_pipes_is_not_waited_for(tmp_path: pathlib.Path, noise: str) -> None:
    begin = time.monotonic()
    result = run(["sh", "-c", f"{noise} & echo $!  >&2; exit 0"], deadline_s=1.5, max_output_bytes=1000)
    assert time.monotonic() - begin < 2.5
    assert (result.code, result.timed_out) == (0, False)
    os.kill(int(result.err), 9)


def test_the_environment_and_the_folder_are_the_given_ones(tmp_path: pathlib.Path) -> None:
    result = run(["/usr/bin/env"], deadline_s=10, env={"A": "1"}, cwd=str(tmp_path))
    assert result.text.split() == ["A=1"]
    assert run(["pwd"], deadline_s=10, cwd=str(tmp_path)).text == f"{tmp_path}\n"


@pytest.mark.parametrize("program", ["/nowhere/program", "/etc/hostname"])
def test_what_cannot_be_started_is_named(program: str) -> None:
    with pytest.raises(ServiceUnavailableError, match=f"cannot run {program}: "):
        run([program], deadline_s=10)
