"""The health of cards as it is remembered from pass to pass."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.domain.xid import NEEDS_RESET, RELOAD, Standing, Xid, judge, same_slot
from llamaagent.sql import statements
from llamaagent.store.samples import SampleStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.domain.xid import CardNews
    from llamaagent.store.types import Connection

_SQL = statements("cards")
CURSOR_KEY = "kernel_log"  # "BOOT SEQUENCE" of the last record that was read
SOURCE_KEY = "xid_source"
EVENTS_KEY = "xid_events"  # "BOOT TIME" of the last beat of a loop whose watcher lives
_MOST_LINES = 20  # of the agent's own log, for the reports of one pass


class Known(NamedTuple):
    """An NVIDIA card that was seen once."""

    id: int
    uuid: str
    pci: str | None
    parent: str | None
    standing: Standing


class FailedCard(NamedTuple):
    """A card that gives nothing. profiles: a JSON array of what still runs there."""

    uuid: str
    number: int | None
    name: str | None
    reason: str | None
    since_ts: int | None
    profiles: str


class CardStore:
    """Cards, reports and verdicts."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._samples = SampleStore(db)

    def known(self) -> tuple[Known, ...]:
        """Every NVIDIA card that was ever seen."""
        return tuple(
            Known(number, uuid, pci, parent, Standing(failed, boot, action))
            for number, uuid, pci, parent, failed, boot, action in self._db.execute(_SQL["list_standings"])
        )

    def failed(self) -> tuple[FailedCard, ...]:
        """The cards that give nothing."""
        return tuple(FailedCard(*row) for row in self._db.execute(_SQL["list_failed"]))

    def cursor(self, boot_id: str) -> int | None:
        """How far the kernel's log of this boot has been read."""
        boot, _, sequence = (self._samples.metadata(CURSOR_KEY) or "").rpartition(" ")
        return int(sequence) if boot == boot_id else None

    def events_ts(self, boot_id: str) -> int | None:
        """When a loop that waits for the driver's events was last seen to live, in this boot."""
        boot, _, ts = (self._samples.metadata(EVENTS_KEY) or "").rpartition(" ")
        return int(ts) if boot == boot_id else None

    def keep(self, news: CardNews, boot_id: str, ts: int) -> None:
        """Store what became known with a reading; after its cards. The caller holds the transaction."""
        for key, value in ((CURSOR_KEY, news.cursor), (SOURCE_KEY, news.source)):
            if value is not None and self._samples.metadata(key) != value:
                self._samples.set_metadata(key, value, ts)
        self._report(news.reports, boot_id, ts)
        for uuid, failed in news.unseen:
            self._db.execute(_SQL["fail_card"], {"uuid": uuid, "failed": failed, "ts": ts})

    def keep_events(self, events: Iterable[Xid], boot_id: str, ts: int) -> None:
        """Store what the driver's events said, and that somebody listens. The caller holds the transaction."""
        self._samples.set_metadata(EVENTS_KEY, f"{boot_id} {ts}", ts)
        events = tuple(events)
        if not events:
            return
        self._report(events, boot_id, ts)
        for card in self.known():
            mine = [event for event in events if event.uuid in {card.uuid, card.parent}]
            failed = judge(card.standing, mine, None, boot_id) if mine else None
            if failed is not None:
                self._db.execute(_SQL["fail_card"], {"uuid": card.uuid, "failed": failed, "ts": ts})

    def _report(self, reports: Iterable[Xid], boot_id: str, ts: int) -> None:
        said = [report for report in reports if report.xid != RELOAD]
        if not said:
            return
        cards = [card for card in self.known() if card.parent is None]
        for number, report in enumerate(said):
            card = next((card for card in cards if is_of(report, card)), None)
            before = self._db.total_changes()
            self._db.execute(
                _SQL["insert_xid"],
                {**report._asdict(), "gpu_id": card.id if card else None, "boot_id": boot_id}
                | ({"pci": card.pci} if card is not None and not report.pci else {}),
            )
            if self._db.total_changes() > before and number < _MOST_LINES:
                level = "error" if report.xid in NEEDS_RESET else "warning"
                what = card.uuid if card is not None else report.pci
                words = f": {report.message}" if report.message else ""
                self._samples.log(level, "gpu", f"Xid {report.xid} of card {what}{words}", ts, "gpu")
        if len(said) > _MOST_LINES:
            self._samples.log("warning", "gpu", f"and {len(said) - _MOST_LINES} more reports", ts, "gpu")
        self._db.execute(_SQL["prune_xids"])


def is_of(report: Xid, card: Known) -> bool:
    """Whether a report is about this card."""
    return (
        report.uuid in {card.uuid, card.parent}
        if report.uuid is not None
        else same_slot(report.pci, card.pci)
    )
