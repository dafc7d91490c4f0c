"""What it costs to sample ten running containers, beside what the engine's own one-shot statistics take.

Run by `make bench-containers` as root, with the packages docker.io and busybox-static of Debian. The engine is one of
its own in a scratch folder and is gone afterwards. Ends with 1 when ten samples take 0.3 s or more.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
COUNT, ROUNDS, LIMIT_S = 10, 20, 0.3


def main() -> int:
    """Start ten, sample them, print."""
    from engine.scratch_engine import IMAGE, ScratchEngine, missing
    from llamaagent.base.paths import HostPaths
    from llamaagent.collect.cgroup import collect_container

    reason = missing()
    if reason is not None:
        sys.stderr.write(f"{reason}\n")
        return 1
    folder = Path(tempfile.mkdtemp(prefix="la-bench-", dir="/tmp"))
    docker = ScratchEngine(folder)
    try:
        docker.start()
        docker.make_image()
        engine, pids, ids = docker.engine(), [], []
        for number in range(COUNT):
            what = {"image": IMAGE, "command": ["sleep", "600"]}
            made = engine.create(f"bench-{number}", what, {"network_mode": "none"})
            engine.start(made)
            ids.append(made)
            pids.append(docker.inspect(made).pid or 0)
        ours = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            found = [collect_container(HostPaths(), pid) for pid in pids]
            ours.append(time.perf_counter() - begun)
            if None in found:
                raise RuntimeError(found)
        begun = time.perf_counter()
        for one in ids:
            engine.api.stats(one, stream=False)
        theirs = time.perf_counter() - begun
    finally:
        docker.end()
        shutil.rmtree(folder)
    best, worst = min(ours), max(ours)
    print(
        f"{COUNT} containers sampled: {1000 * best:.1f} ms at best, {1000 * worst:.1f} ms at worst of {ROUNDS}"
    )
    print(f"the engine's one-shot statistics of the same: {theirs:.1f} s, {theirs / best:.0f} times as long")
    return 0 if best < LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
