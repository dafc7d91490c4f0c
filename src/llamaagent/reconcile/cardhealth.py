"""Which cards have failed: what is remembered, what the kernel's log says since, and what the driver asks for now.

Only looks; what became known travels with the reading and is stored with its samples, so that a pass that is killed in
between looks again.
"""

from __future__ import annotations

from llamaagent.collect.gpu import has_nvidia
from llamaagent.collect.kmsg import read_xids
from llamaagent.domain.xid import RELOAD, CardNews, judge, same_slot
from llamaagent.launch.identity import boot_id
from llamaagent.store.cards import CardStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.base.clock import Clock
    from llamaagent.base.paths import HostPaths
    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.sample import GpuSample
    from llamaagent.store.types import Connection

_LISTENS_S = 300  # a loop that was not heard for so long listens no more


def with_health(reading: GpuReading, db: Connection, host: HostPaths, clock: Clock) -> GpuReading:
    """The reading with each card's `failed`, and with its news. Writes nothing."""
    if not has_nvidia(host):
        return reading
    store, boot, now = CardStore(db), boot_id(host), clock.now()
    cursor = store.cursor(boot)
    log = read_xids(f"{host.dev}/kmsg", -1 if cursor is None else cursor, now, clock.monotonic())
    reports = () if log is None else log.reports
    known = {card.uuid: card for card in store.known()}
    actions = {card.uuid: card.recovery_action for card in reading.cards}

    def verdict(uuid: str, pci: str | None, parent: str | None) -> str | None:
        before = known[uuid].standing if uuid in known else None
        mine = [one for one in reports if one.xid == RELOAD or same_slot(one.pci, pci)]
        return judge(
            before, mine, actions.get(parent or uuid), boot, history=log is not None and cursor is None
        )

    cards = tuple(_judged(card, verdict(card.uuid, card.pci_bus_id, card.parent)) for card in reading.cards)
    unseen = tuple(
        (card.uuid, failed)
        for card in known.values()
        if card.uuid not in actions
        and (failed := verdict(card.uuid, card.pci, card.parent)) is not None
        and failed != card.standing.failed
    )
    last = None if log is None or log.last is None else f"{boot} {max(log.last, cursor or 0)}"
    source = "kernel-log" if log is not None else _without_log(store, boot, now)
    return reading._replace(cards=cards, news=CardNews(reports, unseen, last, source))


def _judged(card: GpuSample, failed: str | None) -> GpuSample:
    return card if card.vendor != "nvidia" else card._replace(failed=failed)


def _without_log(store: CardStore, boot: str, now: int) -> str:
    heard = store.events_ts(boot)
    return "events" if heard is not None and abs(now - heard) <= _LISTENS_S else "not-available"
