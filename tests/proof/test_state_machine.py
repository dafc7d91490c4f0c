"""Whatever happens in whatever order, over real children.

Profiles come, change and go, operators speak, servers and agents are killed with -9, the machine is started again,
the clock is set, the disk fails, two agents start at once. After each step the same promises are checked.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import apsw
import pytest
from card import read_card
from disk import told_disk
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from passer import Passer
from scratch_site import PORTS_PER_SITE, Site, eventually, kill, living
from shifted import ShiftedClock

from llamaagent.domain.actor import Actor
from llamaagent.domain.wish import Override
from llamaagent.launch.adopt import find_launched
from llamaagent.store import open_database
from llamaagent.store.wishes import WishStore

if TYPE_CHECKING:
    from llamaagent.reconcile.context import Context

HERE = os.path.dirname(os.path.abspath(__file__))
DRIVER = (sys.executable, os.path.join(HERE, "killed_pass.py"))
NAMES = ("alpha", "beta", "gamma")
STEPS = ("before-intent", "after-intent", "after-spawn", "after-pid")
LIVE = frozenset({"loading", "running", "unhealthy", "stopping"})
FAKE: list[str] = []  # path of the fake server, set by the test


class Supervised(RuleBasedStateMachine):
    """One site and everything that can befall it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory(prefix="llamaagent-proof-")
        root = Path(self.folder.name)
        (root / "fake.gguf").write_bytes(b"GGUF" + bytes(60))
        first = 42000 + os.getpid() % 400 * PORTS_PER_SITE
        self.site = Site(root, (first, first + PORTS_PER_SITE - 1), FAKE[0], str(root / "fake.gguf"))
        self.site.env["PYTHONPATH"] += f":{HERE}"
        self.clock = ShiftedClock()
        self.passer = Passer(self.site, self.adjust)
        # Someone else's server, of the same program, which nobody of us may ever touch.
        self.stranger = subprocess.Popen(
            [FAKE[0], "--port", str(first + PORTS_PER_SITE - 1)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.site.profile("zeta", state="stopped")  # a folder is never empty by accident

    def adjust(self, ctx: Context) -> Context:
        return ctx._replace(clock=self.clock, read_gpus=partial(read_card, self.site.id))

    def teardown(self) -> None:
        try:
            assert living(self.stranger.pid), "a stranger was signalled"
            self.quiet()
        finally:
            self.site.stop_all()
            self.stranger.kill()
            self.stranger.wait()
            self.passer.forget_children()
            self.folder.cleanup()

    # -- what can happen --------------------------------------------------------------------------------

    @initialize(names=some.lists(some.sampled_from(NAMES), unique=True))
    def begin(self, names: list[str]) -> None:
        for name in names:
            self.declare(name, "running", 1)
        self.passer()

    @rule(
        name=some.sampled_from(NAMES),
        state=some.sampled_from(["running", "stopped"]),
        threads=some.integers(1, 3),
    )
    def declare(self, name: str, state: str, threads: int) -> None:
        self.site.profile(
            name,
            state=state,
            args={"threads": threads, "parallel": 2},
            resources={"gpu_memory": "100MiB"},
            stop={"drain": "0s", "grace": "1s"},
        )

    @rule(name=some.sampled_from(NAMES))
    def remove(self, name: str) -> None:
        (self.site.root / "profiles" / f"{name}.yaml").unlink(missing_ok=True)

    @rule()
    def break_a_file(self) -> None:
        (self.site.root / "profiles" / "beta.yaml").write_text("model: [\n", encoding="utf-8")

    @rule(name=some.sampled_from(NAMES), action=some.sampled_from(["start", "stop", "restart"]))
    def say(self, name: str, action: str) -> None:
        db = open_database(self.site.database)
        word = Override(name, action, self.clock.now(), None, None, "ann", None)
        WishStore(db).say(word, Actor(os.getuid(), "ann"), None, self.clock.now())
        db.close()

    @rule(name=some.sampled_from(NAMES))
    def reset(self, name: str) -> None:
        self.site.edit("DELETE FROM overrides WHERE profile = ?", name)

    @rule(name=some.sampled_from(NAMES), what=some.sampled_from(["server", "wrapper"]))
    def kill_one(self, name: str, what: str) -> None:
        for launch in find_launched(self.site.id):
            target = launch.server if what == "server" else launch.wrapper
            if launch.profile == name and target is not None:
                kill(target.pid)

    @rule(step=some.sampled_from(STEPS))
    def kill_the_agent(self, step: str) -> None:
        self.driver(step).wait(timeout=30)

    @rule()
    def two_agents(self) -> None:
        for child in (self.driver(), self.driver()):
            assert child.wait(timeout=30) == 0

    @rule()
    def reboot(self) -> None:
        self.site.stop_all()
        self.passer.forget_children()
        self.site.edit("UPDATE instances SET boot_id = 'the boot before' WHERE boot_id IS NOT NULL")

    @rule(name=some.sampled_from(NAMES))
    def reuse_a_pid(self, name: str) -> None:
        """The pid of a server that is gone now belongs to the stranger."""
        if not self.site.live().get(name):
            pid = self.stranger.pid
            self.site.edit("UPDATE instances SET pid = ? WHERE profile = ? AND pid IS NOT NULL", pid, name)

    @rule(seconds=some.sampled_from([-7200, -60, 60, 7200, 40_000_000]))
    def set_the_clock(self, seconds: int) -> None:
        if self.clock.wall_s + seconds > -100_000:
            self.clock.jump(seconds)

    @rule(seconds=some.sampled_from([1, 15, 120, 900]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(number=some.integers(1, 40), full=some.booleans())
    def the_disk_fails(self, number: int, full: bool) -> None:
        with told_disk() as disk:
            disk.fails_at, disk.error = number, apsw.FullError if full else apsw.IOError
            self.passer.failing()

    @rule()
    def one_pass(self) -> None:
        self.passer()
        self.check_after_a_pass()

    # -- what is promised -------------------------------------------------------------------------------

    @invariant()
    def one_server_each(self) -> None:
        assert all(len(pids) == 1 for pids in self.site.live().values()), self.site.live()

    @invariant()
    def strangers_are_left_alone(self) -> None:
        assert living(self.stranger.pid)

    def check_after_a_pass(self) -> None:
        rows = self.site.rows("SELECT * FROM instances WHERE launch_id IS NOT NULL")
        live = {str(row["launch_id"]) for row in rows if row["status"] in LIVE}
        found = {launch.launch_id for launch in find_launched(self.site.id) if launch.server is not None}
        assert found <= live, "a live server without a row"
        held = self.site.rows("SELECT instance_id FROM reservations WHERE released_ts IS NULL")
        assert {row["instance_id"] for row in held} == {row["id"] for row in rows if row["status"] in LIVE}

    @precondition(lambda self: os.path.exists(self.site.database))
    @rule()
    def quiet(self) -> None:
        """Left alone, it comes to rest, and then a pass does nothing."""

        def rests() -> bool:
            self.clock.advance(400)
            result = self.passer()
            self.check_after_a_pass()
            waiting = any(row["status"] in {"loading", "stopping"} for row in self.site.newest().values())
            return not result.actions and not waiting

        eventually(rests, "at rest", 60)
        before = self.site.count("decisions")
        assert self.passer().actions == ()
        assert self.site.count("decisions") == before

    def driver(self, *step: str) -> subprocess.Popen[bytes]:
        times = (str(self.clock.ahead_s), str(self.clock.wall_s))
        child = subprocess.Popen(
            [*DRIVER, *times, *step], cwd=self.site.root, env=self.site.env, stdin=subprocess.DEVNULL
        )
        self.site.children.append(child)
        return child


@pytest.mark.case("sqlite 5.19")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_whatever_happens_the_promises_hold(fake_server: str, put_back: None) -> None:
    FAKE[:] = [fake_server]
    machine = Supervised.TestCase()
    machine.settings = settings(
        max_examples=int(os.environ.get("PROOF_EXAMPLES", "20")),
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),  # to make a failure small would take minutes
    )
    machine.runTest()
