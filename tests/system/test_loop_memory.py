"""The loop's memory stays as it is, pass for pass; `make bench` does ten thousand."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from scratch_site import ROOT

pytestmark = pytest.mark.alone


def test_three_hundred_passes_leave_no_memory_behind(fake_server: str, port_block: tuple[int, int]) -> None:
    script = os.path.join(ROOT, "scripts", "bench_loop.py")
    ports = f"{port_block[0]}-{port_block[1]}"
    words = ["--passes", "400", "--heap", "--binary", fake_server, "--ports", ports]
    done = subprocess.run(
        [sys.executable, script, *words], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "400 passes, 3 instances" in done.stdout
