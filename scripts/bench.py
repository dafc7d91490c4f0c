"""What an idle pass and `ps --json` cost, as multiples of a bare Python start measured in the same run.

Ten real servers run (the embedded one, or llama-server with --binary FILE), nothing is to be done and no report
is due. Runs are taken in pairs (bare, ours, bare, ours, ...) and the medians of the pairs' ratios are printed,
so that a busy machine slows both alike. Exit status 1 when a gate is not met.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

INSTANCES = 10
CPU_GATE = 6.0
RSS_GATE = 2.5


def main() -> int:
    """Set up, measure, print, clean up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=25)
    parser.add_argument("--binary", default="embedded")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="llamaagent-bench-"))
    environment = make_environment(folder)
    agent = find_agent()
    try:
        make_site(folder, options.binary)
        run([*agent, "run", "--once", "--wait"], folder, environment)
        time.sleep(2.5)  # a file younger than two seconds is always read again
        for _ in range(3):
            run([*agent, "run", "--once"], folder, environment)
        return _report(agent, folder, environment, options.pairs)
    finally:
        run([*agent, "stop", "--all", "-q"], folder, environment)
        shutil.rmtree(folder, ignore_errors=True)


def find_agent() -> list[str]:
    """The installed script, as cron calls it; else the module."""
    script = Path(sys.executable).with_name("llamaagent")
    return [sys.executable, str(script)] if script.is_file() else [sys.executable, "-m", "llamaagent"]


def make_environment(folder: Path) -> dict[str, str]:
    """A home of its own, with compiled modules kept as an installation has them."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if k != "PYTHONDONTWRITEBYTECODE" and not k.startswith("LLAMAAGENT_")
    }
    kept |= {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("DATA", "STATE", "CACHE", "CONFIG")}
    source = str(Path(__file__).resolve().parents[1] / "src")
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, (source, kept.get("PYTHONPATH"))))}


def make_site(folder: Path, binary: str) -> None:
    """Settings and ten profiles."""
    from llamaagent.launch.tiny import write_tiny_model

    write_tiny_model(str(folder / "tiny.gguf"))
    text = f"profiles: profiles/\nbinary: {binary}\nports: 8400-8499\n"
    text += "models: {directories: [.]}\nreports: {every: never}\n"
    (folder / "llamaagent.yaml").write_text(text, encoding="utf-8")
    (folder / "profiles").mkdir()
    for number in range(INSTANCES):
        profile = "model: tiny.gguf\nargs: {ctx-size: 256, parallel: 1}\n"
        (folder / "profiles" / f"bench-{number}.yaml").write_text(profile, encoding="utf-8")


def run(argv: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Run a program that must not fail."""
    subprocess.run(argv, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)


# A process inherits the peak RSS of the one it was forked from, so the measuring is done by as small a Python as
# there is: without site, and with nothing imported but what the interpreter has loaded anyway.
_GAUGE = """
import posix, sys
null = [(posix.POSIX_SPAWN_OPEN, 1, "/dev/null", 1, 0)]
pid = posix.posix_spawn(sys.argv[1], sys.argv[1:], posix.environ, file_actions=null)
_, status, usage = posix.wait4(pid, 0)
print(status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""


def measure(argv: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, int]:
    """(user and system seconds, peak RSS in KiB) of one run."""
    gauge = [sys.executable, "-I", "-S", "-c", _GAUGE, *argv]
    result = subprocess.run(gauge, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    status, cpu_s, rss_kib = result.stdout.split()
    if int(status):
        raise SystemExit(f"{' '.join(argv)} ended with wait status {status}")
    return float(cpu_s), int(rss_kib)


def _report(agent: list[str], folder: Path, environment: dict[str, str], pairs: int) -> int:
    bare = [sys.executable, "-c", "pass"]
    print(f"{INSTANCES} running instances, {pairs} pairs, yardstick: {Path(sys.executable).name} -c pass\n")
    print(f"{'command':<16} {'CPU':>7} {'gate':>6} {'peak RSS':>9} {'gate':>6}")
    missed = False
    for name, words in (("run --once", ["run", "--once"]), ("ps --json", ["ps", "--json"])):
        cpu: list[float] = []
        rss: list[float] = []
        for _ in range(pairs):
            yardstick = measure(bare, folder, environment)
            ours = measure([*agent, *words], folder, environment)
            cpu.append(ours[0] / yardstick[0])
            rss.append(ours[1] / yardstick[1])
        cost, memory = statistics.median(cpu), statistics.median(rss)
        missed = missed or cost > CPU_GATE or memory > RSS_GATE
        print(f"{name:<16} {cost:>6.2f}x {CPU_GATE:>5.1f}x {memory:>8.2f}x {RSS_GATE:>5.1f}x")
    print("\nevery gate is met" if not missed else "\na gate is MISSED")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
