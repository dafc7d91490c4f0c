"""A pass with nothing to do and `ps` are what cron and scripts call all day: what they load, and what they leave."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from system.scratch_site import PORTS_PER_SITE, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNNING = ("alpha", "beta", "gamma")
_HEAVY = (
    "_hashlib argparse asyncio click configparser csv ctypes dataclasses datetime decimal difflib docker email "
    "fnmatch getpass gguf hashlib hmac http importlib.metadata importlib.resources inspect jinja2 logging "
    "matplotlib multiprocessing numpy pathlib PIL platform psutil pwd pynvml queue random secrets shlex shutil signal "
    "socket sqlite3 ssl string subprocess tempfile textwrap threading traceback typing typing_extensions urllib uuid "
    "warnings xllamacpp yaml zipfile"
)
FORBIDDEN = frozenset(_HEAVY.split())
# Listed one by one: a module that is not needed for a pass without news is not to slip in.
_BOTH = """
base base.clock base.errors base.paths base.record base.units
cli cli.commands cli.commands.quick cli.commands.words cli.main cli.output cli.site cli.spec
config config.argv config.document config.files config.load config.remember config.site
domain domain.faults domain.instance domain.plan domain.profile domain.settings domain.shown domain.wish
launch launch.adopt launch.command launch.environ launch.identity
reconcile reconcile.declared reconcile.git
sql store store.connect store.errors store.instances store.journal store.upgrade store.wishes
"""
LIBRARY = frozenset(_BOTH.split())
_PASS = """
cli.run cli.publishing
collect collect.answer collect.cpu collect.disk collect.drmcards collect.files collect.gpu collect.http collect.instance
collect.load collect.memory collect.metrics collect.network collect.process collect.system
domain.probe domain.sample domain.sight
launch.exits launch.listeners launch.process launch.sockdiag
reconcile.context reconcile.decide reconcile.health reconcile.joining reconcile.observe reconcile.passes
reconcile.probing reconcile.problems reconcile.record reconcile.retiring reconcile.stall reconcile.subjects
reconcile.usage reconcile.wayin
store.locks store.samples store.watched
"""
PASS = LIBRARY | frozenset(_PASS.split())
PS = LIBRARY | frozenset({"cli.ps", "cli.rows", "store.read"})

LOADED = """
import sys
from llamaagent.cli.main import entry
code = entry(sys.argv[1:])
print("\\n".join(sys.modules), file=sys.stderr)
raise SystemExit(code)
"""
# Steps of SQLite's virtual machine tell how many rows were looked at, whatever the machine.
STEPS = """
import sys
import apsw
from llamaagent.cli.main import entry
told = [0, 0]
def note(event):
    told[0] += 1
    told[1] += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]
apsw.connection_hooks.append(lambda db: db.trace_v2(apsw.SQLITE_TRACE_PROFILE, note))
entry(sys.argv[1:])
print(*told, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory, fake_server: str) -> Iterator[Site]:
    """A settled site whose files are older than the two seconds for which nothing is remembered."""
    root = tmp_path_factory.mktemp("idle")
    (root / "fake.gguf").write_bytes(b"GGUF" + bytes(60))
    base = 9000 + os.getpid() % 40 * PORTS_PER_SITE
    made = Site(root, (base, base + PORTS_PER_SITE - 1), fake_server, str(root / "fake.gguf"))
    made.profile("rest", state="stopped")
    for name in RUNNING:
        made.profile(name)
    past = time.time() - 3600
    for path in (root / "llamaagent.yaml", *(root / "profiles").iterdir(), root / "profiles"):
        os.utime(path, (past, past))
    try:
        made.settle("running", *RUNNING)
        made.once()
        made.once()
        yield made
    finally:
        made.stop_all()


def child(site: Site, program: str, *words: str) -> tuple[str, str]:
    """(stdout, stderr) of a command run below a few lines of our own."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *words],
        cwd=site.root,
        env=site.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done
    return done.stdout, done.stderr


def counts(site: Site) -> dict[str, int]:
    tables = site.rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return {str(row["name"]): site.count(str(row["name"])) for row in tables}


def between_buckets(site: Site) -> None:
    """Wait over the end of five minutes, when a pass has roll-ups to make."""
    while time.time() % 300 > 240:
        time.sleep(0.5)
    if time.time() % 300 < 30:
        site.once()


@pytest.mark.parametrize(
    ("words", "allowed"),
    [(("run", "--once"), PASS), (("ps", "--json"), PS), (("ps",), PS)],
    ids=["run --once", "ps --json", "ps"],
)
def test_nothing_is_loaded_that_is_not_listed(
    idle: Site, words: tuple[str, ...], allowed: frozenset[str]
) -> None:
    between_buckets(idle)
    _, err = child(idle, LOADED, *words)
    modules = err.split()
    assert len(modules) > 40, err
    assert {name for name in modules if name in FORBIDDEN or name.partition(".")[0] in FORBIDDEN} == set()
    ours = {name.removeprefix("llamaagent.") for name in modules if name.startswith("llamaagent.")}
    assert ours - allowed == set()


def test_an_idle_pass_says_nothing(idle: Site) -> None:
    done = idle.run("run", "--once")
    assert done == (0, "", "")


def test_an_idle_pass_adds_its_samples_and_no_other_row(idle: Site) -> None:
    between_buckets(idle)
    before = counts(idle)
    pids = {name: row["pid"] for name, row in idle.newest().items()}
    time.sleep(1.0)  # samples are kept by the second
    idle.once()
    after = counts(idle)
    added = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert added.pop("gpu_samples", 0) <= 16
    assert added == {"system_samples": 1, "instance_samples": len(RUNNING)}
    assert {name: row["pid"] for name, row in idle.newest().items()} == pids


def test_an_idle_pass_leaves_the_site_folder_alone(idle: Site) -> None:
    def seen() -> dict[str, tuple[int, int, int]]:
        found = {}
        for folder, _, names in os.walk(idle.root):
            if not folder.startswith(str(idle.root / "xdg")):
                for path in (folder, *(os.path.join(folder, name) for name in names)):
                    stat = os.stat(path)
                    found[path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        return found

    before = seen()
    idle.once()
    assert seen() == before


def test_an_idle_pass_does_not_remember_the_parsed_files_anew(idle: Site) -> None:
    kept = [path for path in (idle.root / "xdg" / "cache").rglob("*") if path.is_file()]
    assert kept
    before = {path: path.stat().st_mtime_ns for path in kept}
    idle.once()
    assert {path: path.stat().st_mtime_ns for path in kept} == before


@pytest.mark.parametrize("words", [("run", "--once", "-q"), ("ps", "--json", "-q")], ids=str)
def test_two_hundred_old_launches_cost_hardly_a_step(idle: Site, words: tuple[str, ...]) -> None:
    between_buckets(idle)

    def cost() -> tuple[int, int]:
        statements, steps = child(idle, STEPS, *words)[1].split()
        return int(statements), int(steps)

    before = cost()
    columns = (
        "profile, kind, project, status, reason, since_ts, created_ts, launched_ts, ended_ts, restarts, port"
    )
    idle.edit(
        f"INSERT INTO instances ({columns}, id) "
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) "
        "SELECT 'alpha', 'process', 'default', 'error', 'crash', 1000, 1000, 1000, 1001, 0, 8100, -i FROM n"
    )
    try:
        after = cost()
    finally:
        idle.edit("DELETE FROM instances WHERE id < 0")
    assert after[0] == before[0]
    assert after[1] < 1.1 * before[1]
