"""Whether the loop's memory stays flat: thousands of its passes in one process, their clock moved by hand.

Three real servers run (the embedded one, or another with --binary FILE) and nothing is to be done. Memory is measured
after half of the passes, when SQLite's page cache (2 MB) has filled, and again at the end. Exit status 1 when it has
grown.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

INSTANCES = 3
RSS_GATE_KIB = 1024
HEAP_GATE_KIB = 128


def main() -> int:
    """Set up, pass, measure, clean up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passes", type=int, default=10_000)
    parser.add_argument("--binary", default="embedded")
    parser.add_argument("--ports", default="8500-8509")
    parser.add_argument("--heap", action="store_true", help="count Python's own blocks instead (slower)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="llamaagent-loop-"))
    _environment(folder)
    agent = [sys.executable, "-m", "llamaagent"]
    try:
        _site(folder, options.binary, options.ports)
        os.chdir(folder)
        subprocess.run([*agent, "run", "--once", "--wait"], check=True)
        return _passes(options.passes, heap=options.heap)
    finally:
        subprocess.run([*agent, "stop", "--all", "-q"], check=False, stdout=subprocess.DEVNULL)
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)


def _environment(folder: Path) -> None:
    for name in [name for name in os.environ if name.startswith("LLAMAAGENT_")]:
        del os.environ[name]
    os.environ |= {
        f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("DATA", "STATE", "CACHE", "CONFIG")
    }
    source = str(Path(__file__).resolve().parents[1] / "src")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
    sys.path.insert(0, source)


def _site(folder: Path, binary: str, ports: str) -> None:
    from llamaagent.launch.tiny import write_tiny_model

    write_tiny_model(str(folder / "tiny.gguf"))
    text = f"profiles: profiles/\nbinary: {binary}\nports: {ports}\nmodels: {{directories: [.]}}\n"
    (folder / "llamaagent.yaml").write_text(f"{text}reports: {{every: never}}\n", encoding="utf-8")
    (folder / "profiles").mkdir()
    for number in range(INSTANCES):
        profile = "model: tiny.gguf\nargs: {ctx-size: 256, parallel: 1}\n"
        (folder / "profiles" / f"bench-{number}.yaml").write_text(profile, encoding="utf-8")


def _passes(number: int, *, heap: bool) -> int:
    from llamaagent.base.clock import ManualClock
    from llamaagent.cli.loop import Agent
    from llamaagent.cli.site import claim, database, load
    from llamaagent.cli.spec import Values

    values = Values({})
    clock = ManualClock(int(time.time()))
    opened = load(values)._replace(clock=clock)
    agent = Agent(values, opened)
    warm = number // 2
    with database(opened, write=True) as db:
        claim(db, opened)
        begin, before = time.perf_counter(), 0
        for done in range(number):
            if done == warm:
                if heap:
                    tracemalloc.start()
                before, begin = _memory_kib(heap=heap), time.perf_counter()
            if not agent.one_round(db):
                raise SystemExit("the database was lost")
            clock.sleep(opened.site.settings.interval_s)
        grown = _memory_kib(heap=heap) - before
        each_ms = 1000 * (time.perf_counter() - begin) / (number - warm)
    gate = HEAP_GATE_KIB if heap else RSS_GATE_KIB
    what = "Python's blocks" if heap else "RSS"
    print(f"{number} passes, {INSTANCES} instances, {each_ms:.1f} ms each")
    print(f"in the second half {what} grew by {grown} KiB (gate {gate} KiB)")
    return 1 if grown > gate else 0


def _memory_kib(*, heap: bool) -> int:
    gc.collect()
    if heap:
        return tracemalloc.get_traced_memory()[0] >> 10
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() >> 10


if __name__ == "__main__":
    sys.exit(main())
