"""What launches were measured to take, what they claim of the machine, and what has not come back yet."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from apsw import Connection

    from llamaagent.domain.sample import GpuSample
    from llamaagent.store.supervision import MemoryKey

_SQL = statements("memory")


class HostClaim(NamedTuple):
    """What a live launch claims of the machine, and how much memory it had at the last sample."""

    instance_id: int
    profile: str
    cpu_milli: int | None
    memory_mib: int | None
    rss_kib: int | None


class GivenBack(NamedTuple):
    """Memory of a card that a launch had until a moment ago."""

    uuid: str
    holder: str
    memory_mib: int


class MemoryStore:
    """`memory_observations` and its neighbours of one open database."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def measured(self, key: MemoryKey) -> int | None:
        """MiB of the machine's memory that launches like this one took at most."""
        return max((row[2] for row in self._observations(key) if row[0] == "host"), default=None)

    def measured_on(self, key: MemoryKey, cards: Iterable[GpuSample]) -> dict[str, int | None]:
        """Card -> MiB that launches like this one took at most, over their cards, on this one or others of its kind."""
        seen = [row for row in self._observations(key) if row[0] != "host"]
        return {
            card.uuid: max(
                (
                    peak
                    for on, name, peak in seen
                    if card.uuid in on.split(",") or (name is not None and name == card.name)
                ),
                default=None,
            )
            for card in cards
        }

    def _observations(self, key: MemoryKey) -> list[tuple[str, str | None, int]]:
        given = {name: value for name, value in key._asdict().items() if name != "gpu"}
        return list(self._db.execute(_SQL["select_measured"], given))

    def observe(self, instances: Iterable[int], ts: int) -> None:
        """Keep the peaks of these launches. The caller holds the transaction."""
        for instance_id in instances:
            given = {"id": instance_id, "ts": ts}
            self._db.execute(_SQL["observe_cards"], given)
            self._db.execute(_SQL["observe_host"], given)
            self._db.execute(_SQL["count_observed"], {"id": instance_id})

    def known_cards(self) -> dict[str, str | None]:
        """Every card that was ever seen on this host, and the boot in which it was seen last."""
        return dict(self._db.execute(_SQL["select_known_cards"]))

    def given_back(self, since: int, now: int) -> tuple[GivenBack, ...]:
        """What launches that ended since then had reserved."""
        given = {"since": since, "now": now}
        return tuple(GivenBack(*row) for row in self._db.execute(_SQL["select_given_back"], given))

    def claims(self) -> tuple[HostClaim, ...]:
        """What live launches claim of the machine."""
        return tuple(HostClaim(*row) for row in self._db.execute(_SQL["select_claims"]))

    def off_card(self, grace_s: int, now: int) -> dict[int, bool]:
        """Launches with a card on which nothing of them is seen -> whether the one before ended for just that."""
        found = self._db.execute(_SQL["select_off_card"], {"grace_s": grace_s, "now": now})
        return {row[0]: bool(row[1]) for row in found}
