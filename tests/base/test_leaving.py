"""A process that leaves has said what it had to say."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SAY = "from llamaagent.base.leaving import leave; print('said', end=''); leave(7)"


def test_what_was_written_is_out_and_the_status_is_told() -> None:
    done = subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "said", "")


@pytest.mark.parametrize("closing", [">&-", "2>&-", ">&- 2>&-", ">/dev/full"])
def test_a_stream_that_nobody_reads_changes_nothing(closing: str) -> None:
    command = f'"{sys.executable}" -c "{SAY}" {closing}'
    env = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    done = subprocess.run(["/bin/sh", "-c", command], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (7, "")
