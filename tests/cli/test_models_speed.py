"""A scan of a thousand models that are as they were: none is opened, and it costs a few looks at each."""

import os
import resource
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scratch_home import Agent, scratch_environment

COUNT = 1000
LOOKS = 6.0  # CPU of a scan beyond that of `models list`, in loops of os.stat over the same files
MOST_PAIRS = 40  # the smallest of ever more runs can only come nearer to the truth
# Python tells an audit hook of every file that it opens, however it does that.
OPENED = """
import sys
opened = []
sys.addaudithook(lambda event, words: opened.append(words[0]) if event == "open" else None)
from llamaagent.cli.main import entry
code = entry(sys.argv[1:])
print("\\n".join(str(name) for name in opened if str(name).endswith(".gguf")))
raise SystemExit(code)
"""


@pytest.fixture
def thousand(home: Path, agent: Agent) -> Path:
    """Models with the shortest header there is, scanned once."""
    folder = home / "models"
    folder.mkdir()
    for number in range(COUNT):
        (folder / f"{number:04}.gguf").write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 0))
    assert f"{COUNT} read" in agent("models", "scan", folder).stderr
    return folder


def opened(home: Path, *words: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", OPENED, "models", "scan", *words],
        env=scratch_environment(home),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.split()


def test_none_is_opened(home: Path, thousand: Path) -> None:
    assert opened(home, str(thousand)) == []
    os.utime(thousand / "0007.gguf", (1, 1))
    assert opened(home, str(thousand)) == [str(thousand / "0007.gguf")]
    assert len(opened(home, str(thousand), "--again")) == COUNT  # the hook would have seen it


@pytest.mark.alone
def test_it_costs_a_few_looks_at_each(home: Path, thousand: Path) -> None:
    paths = [str(thousand / name) for name in os.listdir(thousand)]

    def looked() -> float:
        begun = time.process_time()
        for path in paths:
            os.stat(path)
        return time.process_time() - begun

    def spent(*words: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "llamaagent", *words],
            env=scratch_environment(home),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=120,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    scans, lists, looks, ratio = [], [], [], 0.0
    for number in range(MOST_PAIRS):
        scans.append(spent("models", "scan", str(thousand)))
        lists.append(spent("models", "list"))
        looks.append(min(looked() for _ in range(5)))
        ratio = (min(scans) - min(lists)) / min(looks)
        if number >= 6 and ratio <= LOOKS:
            break
    print(f"\n{ratio:.1f} loops of os.stat after {len(scans)} runs")
    assert ratio <= LOOKS
