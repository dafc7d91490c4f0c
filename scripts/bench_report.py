"""What the report costs beside Munin's: ratios of CPU time, all taken in one run, in pairs.

`python scripts/bench_report.py [--pairs N] [--passes]`; --passes also starts ten servers for the five minutes of a
whole machine. Munin and rrdtool are Debian's packages, unpacked in .cache. Exit status 1 when a gate is not met.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zoneinfo
from pathlib import Path

import bench
from munin_yardstick import Munin, unpack

from llamaagent.base.clock import ManualClock, SystemClock
from llamaagent.domain.settings import Settings
from llamaagent.report.child import child_argv
from llamaagent.report.choices import Choices
from llamaagent.report.dress import read_chart_definitions
from llamaagent.report.png import Renderer
from llamaagent.report.reading import Reader
from llamaagent.retain.simulate import Plan, simulate
from llamaagent.store.connect import open_database

NOW = 1_795_257_000
ZONE = zoneinfo.ZoneInfo("Europe/Berlin")
_WITH_CHARTS = ("gpus", "system", "requests")
_SMALL = Plan(1, 1, 1)  # the machine, all requests, a card and a profile: some twenty charts


class Bench:
    """A folder with databases and sites, and the ratios found."""

    def __init__(self, folder: Path, munin: Munin, pairs: int) -> None:
        self.folder, self.munin, self.pairs = folder, munin, pairs
        self.missed = False
        self._env = bench.make_environment(folder)

    def database(self, name: str, plan: Plan, interval_s: int = 30) -> str:
        """A made-up history."""
        path = str(self.folder / f"{name}.db")
        db = open_database(path)
        simulate(db, plan, Settings(interval_s=interval_s), ManualClock(NOW), lambda _day: None)
        db.close()
        return path

    def build(
        self,
        database: str,
        site: str,
        *,
        pictures: str = "none",
        fresh: bool = False,
        now: int = NOW,
        sections: tuple[str, ...] | None = None,
    ) -> float:
        """CPU seconds of the child that builds a site, as the agent starts it. fresh: from nothing."""
        directory = str(self.folder / site)
        if fresh:
            shutil.rmtree(directory, ignore_errors=True)
        argv = child_argv(
            database, directory, public=False, zone="Europe/Berlin", now=now, title="bench",
            cache_directory=str(self.folder / "cache"), choices=Choices(pictures=pictures, keep_s=0, sections=sections),
        )  # fmt: skip
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, env=self._env, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def count(self, site: str, ending: str) -> int:
        """Files of a site with this ending."""
        return sum(path.name.endswith(ending) for path in (self.folder / site).rglob("*"))

    def tell(self, what: str, ratio: float, gate: float, unit: str = "x") -> None:
        """Print one line and remember a gate that was missed."""
        met = ratio <= gate
        self.missed = self.missed or not met
        print(f"{what:<58} {ratio:>8.2f}{unit} {gate:>7.2f}{unit}  {'' if met else 'MISSED'}", flush=True)


def _pages(one: Bench) -> None:
    database = one.database("day", _SMALL)
    now = NOW - 3600  # the history is less than a day long: there is no page of a week
    one.build(database, "site", pictures="all", fresh=True, now=now)
    one.build(database, "few", pictures="all", fresh=True, now=now, sections=())
    charts, few = one.count("site", "@2x.png"), one.count("few", ".png")
    graph, page, whole, cold, idle, quiet = [], [], [], [], [], []
    for _ in range(one.pairs):
        graph.append(one.munin.graph(due=True))
        page.append(one.build(database, "svg", fresh=True, now=now, sections=_WITH_CHARTS))
        idle.append(one.munin.graph(due=False))
        whole.append(one.build(database, "whole", fresh=True, now=now))
        quiet.append(one.build(database, "whole", now=now))
        cold.append(one.build(database, "png", pictures="all", fresh=True, now=now, sections=()))
    graphs = one.munin.graphs
    print(f"{charts} SVG charts, {few} PNGs; munin-graph: {statistics.median(graph):.3f} s for {graphs}\n")
    print(f"{'what':<58} {'ratio':>9} {'gate':>8}")

    def beside_graph(what: str, ours: list[float], drawn: int, gate: float) -> None:
        ratios = [mine / drawn / (theirs / graphs) for mine, theirs in zip(ours, graph, strict=True)]
        one.tell(what, statistics.median(ratios), gate)

    beside_graph("pages with SVG charts / as many of munin-graph", page, charts, 0.30)
    beside_graph("the whole site / the same", whole, charts, 0.35)
    beside_graph("PNGs, cold / the same", cold, few, 2.5)
    pair = [ours / theirs for ours, theirs in zip(quiet, idle, strict=True)]
    one.tell("nothing new / munin-graph with nothing due", statistics.median(pair), 0.2)
    per_graph = (statistics.median(graph) - statistics.median(idle)) / graphs
    one.tell("one more PNG, warm, two sizes at once / one of munin's", _warm(one, database) / per_graph, 1.0)
    zipped = sum(len(gzip.compress(path.read_bytes())) for path in (one.folder / "whole").rglob("*.html"))
    one.tell("all pages, gzipped, for 20 charts", zipped * 20 / charts / 1024, 60, " KiB")
    stamps = {path: path.stat().st_mtime_ns for path in (one.folder / "whole").rglob("*")}
    one.build(database, "whole", now=now)
    rewritten = sum(path.stat().st_mtime_ns != at for path, at in stamps.items())
    one.tell("files rewritten with nothing new", rewritten, 0, "")


def _warm(one: Bench, database: str) -> float:
    """CPU seconds of one more PNG in a process that draws already; each chart is two of them."""
    db = open_database(database, write=False)
    report = Reader(db, read_chart_definitions(None), NOW, ZONE).read("x")
    db.close()
    charts = [chart for _, chart in (*report.system_charts, *report.gpus[0].charts) if not chart.empty]
    renderer = Renderer(ZONE, str(one.folder / "cache"))
    renderer.draw_both(charts[0])
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(one.pairs):
        for chart in charts:
            renderer.draw_both(chart)
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent / one.pairs / len(charts) / 2


def _history(one: Bench) -> None:
    month = one.database("month", Plan(30, 2, 1), 300)
    year = one.database("year", Plan(365, 2, 1), 300)
    full, changed, short, long = [], [], [], []
    one.build(month, "month"), one.build(year, "year")
    for turn in range(one.pairs):
        later = NOW + 300 * (turn + 1)  # as the agent builds: every five minutes
        short.append(one.build(month, "month", now=later))
        long.append(one.build(year, "year", now=later))
        full.append(one.build(month, "full", pictures="due", fresh=True))
        _answer(month, turn)
        changed.append(one.build(month, "full", pictures="due"))
    pair = [new / all_ for new, all_ in zip(changed, full, strict=True)]
    one.tell("one changed profile / a full build", statistics.median(pair), 0.25)
    pair = [many / few for many, few in zip(long, short, strict=True)]
    one.tell("365 days of history / 30 days", statistics.median(pair), 1.2)


def _answer(database: str, turn: int) -> None:
    """One more request of one profile."""
    db = open_database(database)
    with db:
        row = (NOW - 5 - turn, "sim-00", 10, 20, 30, 100.0, 900.0, 1000.0, 22.2)
        db.execute(
            "INSERT INTO generations (ts, profile, prompt_tokens, generated_tokens, total_tokens, prompt_time_ms, "
            "generation_time_ms, total_time_ms, tokens_per_second) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
    db.close()


def _five_minutes(one: Bench) -> None:
    """Five passes over ten running servers and the report that is then due, beside Munin with its own plugins."""
    folder = one.folder / "agent"
    folder.mkdir()
    environment, agent = bench.make_environment(folder), bench.find_agent()
    munin = one.munin
    try:
        bench.make_site(folder, "embedded")
        bench.run([*agent, "run", "--once", "--wait"], folder, environment)
        bench.run([*agent, "report", "build", "-q"], folder, environment)
        passing, building, theirs = [], [], []
        for _ in range(one.pairs):
            passes = sum(bench.measure([*agent, "run", "--once"], folder, environment)[0] for _ in range(5))
            database = str(folder / "data" / "llamaagent" / "llamaagent.db")
            report = one.build(database, "agent-site", pictures="due", now=SystemClock().now())
            passing.append(passes)
            building.append(report)
            spent = [
                munin.update(),
                munin.run("munin-limits"),
                munin.run("munin-html"),
                munin.graph(due=True),
            ]
            theirs.append(sum(spent))
        looping = 5 * _pass_of_loop(agent, folder, environment)
        print(
            f"five passes {statistics.median(passing):.3f} s under cron, {looping:.3f} s in the loop, "
            f"the report {statistics.median(building):.3f} s; "
            f"munin-update with plugins, limits, html and graph {statistics.median(theirs):.3f} s"
        )
        for how, spent, gate in (("of the loop", [looping] * one.pairs, 0.15), ("under cron", passing, 0.35)):
            pair = [(mine + build) / his for mine, build, his in zip(spent, building, theirs, strict=True)]
            what = f"five passes {how} and a report / munin's five minutes"
            one.tell(what, statistics.median(pair[1:] or pair), gate)
    finally:
        bench.run([*agent, "stop", "--all", "-q"], folder, environment)


def _pass_of_loop(agent: list[str], folder: Path, environment: dict[str, str]) -> float:
    """CPU seconds of one pass of `llamaagent run`, the mean of thirty."""
    with (folder / "llamaagent.yaml").open("a", encoding="utf-8") as file:
        file.write("interval: 1s\n")
    tick = os.sysconf("SC_CLK_TCK")
    process = subprocess.Popen([*agent, "run", "-q"], cwd=folder, env=environment)
    database = open_database(str(folder / "data" / "llamaagent" / "llamaagent.db"), write=False)

    def samples() -> int:
        return int(next(iter(database.execute("SELECT count(*) FROM system_samples")))[0])

    def spent_s() -> float:
        fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / tick

    def wait(number: int) -> None:
        until = time.monotonic() + 120
        while samples() < number:
            if time.monotonic() > until or process.poll() is not None:
                raise SystemExit("the loop does not pass")
            time.sleep(0.05)

    try:
        wait(samples() + 3)
        first, before = samples(), spent_s()
        wait(first + 30)
        return (spent_s() - before) / (samples() - first)
    finally:
        process.terminate()
        process.wait()
        database.close()


def main() -> int:
    """Set up, measure, print, clean up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--passes", action="store_true")
    options = parser.parse_args()
    root = unpack(Path(__file__).resolve().parents[1] / ".cache")
    if root is None:
        print("bench-report: munin cannot be fetched here (it takes apt-get and dpkg)", file=sys.stderr)
        return 69
    with tempfile.TemporaryDirectory(prefix="llamaagent-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        munin = Munin(root, folder)
        stack.callback(munin.close)
        one = Bench(folder, munin, options.pairs)
        _pages(one)
        _history(one)
        if options.passes:
            _five_minutes(one)
    print("\nevery gate is met" if not one.missed else "\na gate is MISSED")
    return 1 if one.missed else 0


if __name__ == "__main__":
    sys.exit(main())
