"""What a pass without news may import and may do."""

from __future__ import annotations

import os
import subprocess
import sys

LOG = os.path.join(os.path.dirname(os.path.dirname(__file__)), "fixtures", "logs", "llama-server-b11434.log")

IDLE = """
import sys, time
from llamaagent.base.paths import HostPaths
from llamaagent.collect import gpu, http, instance, log, metrics, process, system
paths = HostPaths()
now = system.collect_system(paths, "/", None, same_boot=True)
system.collect_system(paths, "/", now, same_boot=True)
process.collect_process(paths, process.list_descendants(paths, 1))
http.probe_all([http.Target(1, "127.0.0.1", 9)], 1.0, time.monotonic)
gpu.collect_gpus(paths, 1.0, dev="/nonexistent")
chunk = log.read_log(LOG, None, 0, log.LogState())
assert len(chunk.requests) == 8
assert not log.has_news(LOG, chunk.inode, chunk.offset)
log.read_log(LOG, chunk.inode, chunk.offset, log.LogState.from_json(None))
heavy = set("psutil pynvml ctypes subprocess socket ssl json logging pathlib dataclasses http urllib apsw "
            "asyncio encodings.idna datetime inspect threading signal".split())
print(sorted(heavy & set(sys.modules)))
"""


def test_an_idle_round_imports_nothing_heavy() -> None:
    """Patterns are compiled nowhere in `collect`, so not with news either."""
    code = f"LOG = {LOG!r}\n{IDLE}"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.stdout.strip() == "[]"


def test_no_collector_uses_patterns() -> None:
    import llamaagent.collect

    folder = os.path.dirname(llamaagent.collect.__file__)
    for name in os.listdir(folder):
        if name.endswith(".py"):
            with open(os.path.join(folder, name)) as file:
                assert "import re\n" not in file.read(), name
