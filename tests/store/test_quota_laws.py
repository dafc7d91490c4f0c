"""Whatever happens in whatever order: what `project_quotas` says is what lives, and at the end nothing is left."""

from __future__ import annotations

import json
import tempfile

from hypothesis import HealthCheck, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from llamaagent.domain.admission import Placement
from llamaagent.domain.lease import LeaseAsk
from llamaagent.domain.plan import Action
from llamaagent.domain.sample import GpuSample
from llamaagent.reconcile.quotas import usage
from llamaagent.store.connect import open_database
from llamaagent.store.instances import InstanceStore
from llamaagent.store.intent import Claim, Intent
from llamaagent.store.leases import LeaseStore
from llamaagent.store.quotas import QuotaStore
from llamaagent.store.samples import SampleStore

CARDS = ("GPU-a", "GPU-b", "GPU-c")
PROJECTS = ("one", "two")
some_cards = some.lists(some.sampled_from(CARDS), unique=True, max_size=3).map(tuple)
_TEXTS = ("launch_hash", "profile_hash", "boot_id", "log_path", "exit_path", "binary")


def intent(number: int, project: str, cards: tuple[str, ...], cpus: int | None, mib: int | None) -> Intent:
    plain = dict.fromkeys(Intent._fields) | dict.fromkeys(_TEXTS, "-") | {"launch_id": str(number)}
    plain |= {"kind": "process", "project": project, "gpus": json.dumps(list(cards)), "argv": "[]"}
    plain |= {"environment": "{}", "scheme": "http", "inputs": "{}"}
    return Intent(**{**plain, "cpu_limit_milli": cpus, "memory_limit_mib": mib})  # type: ignore[arg-type]


class Quotas(RuleBasedStateMachine):
    """The stores on a real file, beside a model of what lives."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.db = open_database(f"{self.folder.name}/a.db")
        self.instances, self.leases = InstanceStore(self.db), LeaseStore(self.db)
        self.live: dict[str, tuple[str, tuple[str, ...], int, int]] = {}
        self.lent: dict[int, tuple[str, tuple[str, ...]]] = {}
        self.number = 0
        with self.db:
            SampleStore(self.db).know_gpus(
                [GpuSample(uuid, n, "Card", memory_total_mib=1000) for n, uuid in enumerate(CARDS)], "boot", 1
            )

    def teardown(self) -> None:
        if hasattr(self, "db"):
            for name in list(self.live):
                self.end(name)
            for lease in list(self.lent):
                self.release(lease)
            self.says_what_lives()
            rows = self.db.execute(
                "SELECT count(*) FROM project_quotas WHERE current_containers + current_gpus > 0"
            )
            assert rows.get == 0
            self.db.close()
            self.folder.cleanup()

    @rule(
        project=some.sampled_from(PROJECTS),
        cards=some_cards,
        cpus=some.none() | some.integers(0, 4000),
        mib=some.none() | some.integers(0, 4096),
    )
    def start(self, project: str, cards: tuple[str, ...], cpus: int | None, mib: int | None) -> None:
        self.number += 1
        name = f"profile{self.number}"
        action = Action("start", name, None, "declared")
        with self.db:
            row, _ = self.instances.hold(None, name, "process", ("-", "-"), action, 1, project=project)
            claims = [Claim(uuid, 10) for uuid in cards]
            self.instances.intend(row, intent(self.number, project, cards, cpus, mib), claims, action, 1)
        self.live[name] = (project, cards, cpus or 0, mib or 0)

    @rule(project=some.sampled_from(PROJECTS))
    def hold(self, project: str) -> None:
        """What is held does not live."""
        self.number += 1
        action = Action("hold", f"held{self.number}", None, "quota")
        self.instances.hold(None, action.profile, "process", ("-", "-"), action, 1, project=project)

    @precondition(lambda self: self.live)
    @rule(data=some.data(), status=some.sampled_from(["running", "unhealthy"]))
    def change(self, data: some.DataObject, status: str) -> None:
        row = self._row(data.draw(some.sampled_from(sorted(self.live))))
        self.instances.change(row, status, 0, Action("unhealthy", "-", row, "health"), 2)

    @precondition(lambda self: self.live)
    @rule(data=some.data(), how=some.sampled_from(["stopped", "error"]))
    def ends(self, data: some.DataObject, how: str) -> None:
        self.end(data.draw(some.sampled_from(sorted(self.live))), how)

    @rule(project=some.sampled_from(PROJECTS), cards=some_cards, mib=some.none() | some.integers(1, 500))
    def lend(self, project: str, cards: tuple[str, ...], mib: int | None) -> None:
        if cards:
            ask = LeaseAsk(len(cards), mib, exclusive=False, project=project, reason=None, expires_ts=None)
            with self.db:
                user = self.db.execute(
                    "INSERT INTO users (username) VALUES ('ann') ON CONFLICT DO UPDATE SET uid = 1 RETURNING id"
                ).get
                lease = self.leases.add(ask, Placement(cards, mib or 0), "ann", user, 1)
            self.lent[lease] = (project, cards)

    @precondition(lambda self: self.lent)
    @rule(data=some.data(), expired=some.booleans())
    def lease_ends(self, data: some.DataObject, expired: bool) -> None:
        lease = data.draw(some.sampled_from(sorted(self.lent)))
        if expired:  # nobody has looked since
            self.db.execute("UPDATE reservations SET expires_ts = 2 WHERE lease_id = ?", (lease,))
            del self.lent[lease]
        else:
            self.release(lease)

    def end(self, name: str, how: str = "stopped") -> None:
        row = self.instances.one(self._row(name))
        assert row is not None
        self.instances.ended(row, Action("end", name, row.id, "state", status=how), 0, None, 3, 3)
        del self.live[name]

    def release(self, lease: int) -> None:
        assert self.leases.release(lease, 3) == len(self.lent.pop(lease)[1])

    def _row(self, name: str) -> int:
        return next(row.id for row in self.instances.newest() if row.profile == name)

    @invariant()
    def says_what_lives(self) -> None:
        columns = "current_containers, current_cpu_cores, current_memory_gb, current_gpus"
        view = {
            row[0]: row[1:] for row in self.db.execute(f"SELECT project_path, {columns} FROM project_quotas")
        }
        for project in PROJECTS:
            mine = [one for one in self.live.values() if one[0] == project]
            cards = {uuid for one in mine for uuid in one[1]}
            cards |= {uuid for owner, lent in self.lent.values() if owner == project for uuid in lent}
            cpus, mib = sum(one[2] for one in mine), sum(one[3] for one in mine)
            assert view.get(project, (0, 0, 0, 0)) == (len(mine), cpus / 1000, mib / 1024, len(cards))
            uses, _ = usage(QuotaStore(self.db), project, {}, 10)
            counted = [
                sum(use.amount for use in uses[name]) for name in ("instances", "cpus", "memory", "gpus")
            ]
            assert counted == [len(mine), cpus, mib, len(cards)]  # admission reckons with the same


TestQuotas = Quotas.TestCase
TestQuotas.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
