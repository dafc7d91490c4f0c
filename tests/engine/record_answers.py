"""Write down what real engines answer: `python tests/engine/record_answers.py`, as root; golden files of the readers.

A container that runs, one that ended, one that was killed, one that was asked for with cards, and the events of all.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from engine.scratch_engine import IMAGE, ScratchEngine
from engine.scratch_podman import ScratchPodman

FOLDER = Path(__file__).parents[1] / "fixtures" / "engines"
LABELS = {"io.llamaagent.site": "recorded", "owner": "ann"}
HOST = {
    "network_mode": "none",
    "mem_limit": 64 << 20,
    "memswap_limit": 64 << 20,
    "nano_cpus": 500_000_000,
    "restart_policy": {"Name": "no"},
    "security_opt": ["no-new-privileges"],
    "device_requests": [{"Driver": "", "DeviceIDs": ["GPU-aaaa"], "Capabilities": [["gpu"]]}],
    "port_bindings": {"8080/tcp": ("127.0.0.1", "8105")},
}


def record(made: ScratchEngine, name: str) -> None:
    """One file of an engine."""
    made.start()
    made.make_image()
    engine = made.engine()
    since = int(time.time()) - 1
    answers = {}
    for what, script in (("running", "sleep 60"), ("ended", "exit 3"), ("killed", "sleep 60")):
        words = {"image": IMAGE, "command": ["sh", "-c", script], "labels": LABELS, "ports": [(8080, "tcp")]}
        container = engine.create(f"recorded-{what}", words, HOST)
        answers[f"created-{what}"] = engine.api.inspect_container(container)
        engine.start(container)
        if what == "ended":
            engine.api.wait(container, timeout=20)
        if what == "killed":
            engine.kill(container, "SIGKILL")
            engine.api.wait(container, timeout=20)
        answers[what] = engine.api.inspect_container(container)
        engine.remove(container, force=True)
    events = list(engine.api.events(since=since, until=int(time.time()) + 1, decode=True))
    told = {"version": engine.api.version(), "containers": answers, "events": events}
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(told, indent=1, sort_keys=True).replace(str(made.folder), "/scratch")
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Both engines."""
    for kind, name in ((ScratchEngine, "docker-20.10"), (ScratchPodman, "podman-4.3")):
        folder = Path(tempfile.mkdtemp(prefix="la-record-", dir="/tmp"))
        made = kind(folder)
        try:
            record(made, name)
        finally:
            made.end()
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
