"""Half an hour of a busy machine, compressed: twenty profiles, a pass every thirty seconds, and things go wrong.

Printed as figures (`make test ARGS="-s tests/proof/test_soak.py"`): faults injected, how many healed, after how many
passes, rows lost.
"""

from __future__ import annotations

import random
import statistics
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import apsw
import pytest
from card import read_card
from disk import told_disk
from scratch_site import eventually, kill
from shifted import ShiftedClock

from llamaagent.launch.adopt import find_launched

if TYPE_CHECKING:
    from passer import Passer

PROFILES = 20
PASSES = 60
SPACING_S = 30
SEED = 20261125


class Soak:
    """The machine, its faults and what became of them."""

    def __init__(self, passer: Passer) -> None:
        self.passer = passer
        self.site = passer.site
        self.clock = ShiftedClock()
        passer.adjust = lambda ctx: ctx._replace(clock=self.clock, read_gpus=partial(read_card, self.site.id))
        self.rng = random.Random(SEED)
        self.names = [f"p{number:02}" for number in range(PROFILES)]
        self.faults: Counter[str] = Counter()
        self.down: dict[str, int] = {}  # profile -> passes since its server was killed
        self.healed: list[int] = []
        self.promised: set[tuple[object, ...]] = set()

    def begin(self) -> None:
        for name in self.names:
            sick = str(self.site.root / f"{name}.sick")
            self.site.profile(
                name,
                resources={"gpu_memory": "100MiB"},
                runtime={"env": {"FAKE_MODE": f"unhealthy-file:{sick}"}},
                restart={"backoff": "10s"},
                health={"failures": 2},
            )

        def all_run() -> bool:
            self.passer()
            return len(self.running()) == PROFILES

        eventually(all_run, "all run", 60)

    def running(self) -> set[str]:
        return {name for name, row in self.site.newest().items() if row["status"] == "running"}

    def hurt(self) -> None:
        """Zero to two faults before a pass."""
        for _ in range(self.rng.randrange(3)):
            kind = self.rng.choice(["kill -9 server", "kill -9 wrapper", "sick", "clock", "lost pass"])
            name = self.rng.choice(self.names)
            if kind.startswith("kill"):
                for launch in find_launched(self.site.id):
                    target = launch.server if kind.endswith("server") else launch.wrapper
                    if launch.profile == name and target is not None:
                        kill(target.pid)
                        if target == launch.server:
                            self.down.setdefault(name, 0)
            elif kind == "sick":
                (self.site.root / f"{name}.sick").touch()
            elif kind == "clock":
                self.clock.jump(self.rng.choice([-3600, 3600]))
            else:
                self.clock.advance(3 * SPACING_S)
            self.faults[kind] += 1
        for file in self.site.root.glob("*.sick"):
            if self.rng.random() < 0.4:
                file.unlink()

    def one_pass(self) -> None:
        self.clock.advance(SPACING_S)
        if self.rng.random() < 0.15:
            self.faults["disk"] += 1
            with told_disk() as disk:
                disk.fails_at, disk.error = self.rng.randrange(1, 60), apsw.FullError
                self.passer.failing()
        else:
            self.passer()
            self.promised |= self.stored()
        live = self.site.live()
        assert all(len(pids) == 1 for pids in live.values())
        running = self.running()
        for name in list(self.down):
            self.down[name] += 1
            if name in running and name in live:
                self.healed.append(self.down.pop(name))

    def stored(self) -> set[tuple[object, ...]]:
        rows = self.site.rows("SELECT id, ts FROM decisions")
        samples = self.site.rows("SELECT ts, instance_id FROM instance_samples")
        return {("decision", *row.values()) for row in rows} | {("sample", *row.values()) for row in samples}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_half_an_hour_of_trouble(passer: Passer) -> None:
    passer.site.ports = (passer.site.ports[0], passer.site.ports[0] + 2 * PROFILES)
    passer.site.settings()
    soak = Soak(passer)
    soak.begin()
    for _ in range(PASSES):
        soak.hurt()
        soak.one_pass()
    for file in passer.site.root.glob("*.sick"):
        file.unlink()

    def well() -> bool:
        soak.one_pass()
        return len(soak.running()) == PROFILES and not soak.down

    eventually(well, "all run again", 60)
    lost = soak.promised - soak.stored()
    injected = sum(soak.faults.values())
    print(
        f"\nsoak: {PROFILES} profiles, {PASSES} passes of {SPACING_S} s, {injected} faults {dict(soak.faults)}; "
        f"{len(soak.healed)} servers lost and back, median {statistics.median(soak.healed):.0f} and at most "
        f"{max(soak.healed)} passes; rows kept {len(soak.promised)}, lost {len(lost)}"
    )
    assert not lost
    assert injected > PASSES // 2
    assert len(soak.healed) >= 10
