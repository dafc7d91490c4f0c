"""A file that may only be read, and a program that is killed while it writes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import llamaagent

SRC = Path(__file__).resolve().parents[2] / "src"
BOUND = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)

READ = """
import llamaagent
with llamaagent.open_store({file!r}) as store:
    print(store.kind, store.config.get("app.a"), store.config.set("app.a", 2), store.config.get("app.a"))
    store.logs.add("error", "x")
    print(store.logs.count(), store.problem is not None)
"""


@pytest.mark.root
def test_a_file_of_somebody_else_is_read(tmp_path: Path) -> None:
    """Root without its power over modes is anybody: here the file belongs to another account."""
    file = tmp_path / "own" / "x.db"
    with llamaagent.open_store(file) as store:
        store.config.set("app.a", 1)
        for path in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
            path.chmod(0o644)
            os.chown(path, 65534, 65534)
        file.parent.chmod(0o755)
        os.chown(file.parent, 65534, 65534)
        done = subprocess.run(
            [*BOUND, sys.executable, "-c", READ.format(file=str(file))],
            env={"PYTHONPATH": str(SRC), "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert done.stdout == "read-only 1 False 1\n0 True\n", done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr  # the one warning


WRITE = """
import llamaagent
store = llamaagent.open_store({file!r})
number = 0
while True:
    number += 1
    if store.config.set("app.number", number) and store.metadata.get("app.none") is None:
        print(number, flush=True)
"""


def test_what_was_acknowledged_outlives_kill_9(tmp_path: Path) -> None:
    file = str(tmp_path / "own" / "x.db")
    child = subprocess.Popen(
        [sys.executable, "-c", WRITE.format(file=file)],
        env={"PYTHONPATH": str(SRC), "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) >= 50:
            break
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().splitlines()
    child.wait(60)
    child.stdout.close()
    last = max([50, *(int(line) for line in rest if line.isdigit())])

    with llamaagent.open_store(file) as store:
        assert store.config.get("app.number") in {last, last + 1}
        assert store.config.set("app.number", 0)
