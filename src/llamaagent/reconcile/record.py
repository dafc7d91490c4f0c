"""The samples of a pass and what the logs gave, in one transaction."""

from __future__ import annotations

from contextlib import nullcontext

from llamaagent.base.record import NamedTuple
from llamaagent.collect.files import has_news, is_ours, nothing_waits, too_large
from llamaagent.collect.instance import build_instance_sample
from llamaagent.collect.system import collect_system
from llamaagent.domain import instance as st
from llamaagent.domain import sight as seen
from llamaagent.domain.sample import InstanceSample, SystemSample
from llamaagent.reconcile.usage import copy_engine_logs, gpu_use, usage_of
from llamaagent.store.samples import Holder, PassFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager

    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.xid import CardNews
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.logs import Reading
    from llamaagent.reconcile.observe import View
    from llamaagent.store.instances import LogPosition
    from llamaagent.store.samples import LastInstance, LastSystem

_BOOTTIME = "last_sample_boottime_s"
_LEFT_OUT = "last_pass_ts"  # of a pass that left no sample
_STEP_S = 5  # less is rounding and the slow pull of NTP
_HEALTH_WORDS = {seen.OK: "healthy", seen.LOADING: "loading", seen.NOT_ASKED: "unknown"}


class Recorded(NamedTuple):
    """What one pass added."""

    instances: int
    requests: int


def record(
    ctx: Context,
    rows: Iterable[Instance],
    view: View,
    gpus: GpuReading,
    requests_before: int = 0,
    *,
    spare: bool = False,
) -> Recorded:
    """Measure and store. requests_before: finished requests that this pass stored already, of servers that ended.

    spare: the disk is so short that only what cannot be had later is stored: no samples, but requests and health.
    """
    now = ctx.clock.now()
    if spare:
        return _record_the_least(
            ctx, [row for row in rows if row.status in st.LIVE], view, gpus, now, requests_before
        )
    live = [row for row in rows if row.status in st.LIVE]
    last = ctx.samples.last_system()
    ours = _owners(ctx, gpus)
    samples = _instances(ctx, live, view, gpus, ours, now)
    system = _system(ctx, last, view.boot_id)
    readings = _read_logs(ctx, live)
    step = _clock_step_s(ctx, last, view.boot_id, now)
    with ctx.db, _in_time(ctx, now):
        asked = _store_requests(ctx, readings)
        facts = _facts(live, last, view.boot_id, sum(asked.values()) + requests_before, now)
        ctx.samples.add_system(system, facts._replace(clock_step_s=step), now)
        ctx.samples.set_metadata(_BOOTTIME, str(int(ctx.clock.boottime())), now)
        store_gpus(ctx, gpus, view.boot_id, now, ours)
        for sample in samples:
            ctx.samples.add_instance(sample, now)
        _keep_peaks(ctx, now)
        _store_health(ctx, live, view, asked, now)
    _keep_small(ctx, now)
    return Recorded(len(samples), sum(asked.values()) + requests_before)


def _in_time(ctx: Context, now: int) -> AbstractContextManager[None]:
    """What has to be done about the roll-ups when the clock was set back behind them; mostly nothing."""
    if ctx.samples.is_behind(now):
        from llamaagent.store.rollups import LateSample

        return LateSample(ctx.db, now)
    return nullcontext()


def _record_the_least(
    ctx: Context, live: list[Instance], view: View, gpus: GpuReading, now: int, requests_before: int
) -> Recorded:
    readings = _read_logs(ctx, live)
    with ctx.db:
        if gpus.news is not None:
            ctx.samples.know_gpus(gpus.cards, view.boot_id, now)
            _store_news(ctx, gpus.news, view.boot_id, now)
        asked = _store_requests(ctx, readings)
        ctx.samples.set_metadata(_LEFT_OUT, str(now), now)
        _store_health(ctx, live, view, asked, now)
    _keep_small(ctx, now)
    return Recorded(0, sum(asked.values()) + requests_before)


def store_gpus(
    ctx: Context, gpus: GpuReading, boot: str, now: int, known: Mapping[int, int] | None = None
) -> None:
    """The cards with their samples and holders. known: pids of ours. The caller holds the transaction."""
    if gpus.cards or (gpus.available and not gpus.error):  # a driver that hangs has not lost its cards
        complete = gpus.error is None
        ctx.samples.add_gpus(gpus.cards, holders_of(ctx, gpus, known), boot, now, complete=complete)
    if gpus.news is not None:
        _store_news(ctx, gpus.news, boot, now)


def _store_news(ctx: Context, news: CardNews, boot: str, now: int) -> None:
    from llamaagent.store.cards import CardStore

    CardStore(ctx.db).keep(news, boot, now)


def _store_requests(ctx: Context, readings: Iterable[Reading]) -> dict[int, int]:
    """Store what the logs gave; how many new requests of users by instance. The caller holds the transaction."""
    asked: dict[int, int] = {}
    for reading in readings:
        asked[reading.position.id] = asked.get(reading.position.id, 0) + reading.store(ctx)
    for instance, rows in ctx.samples.settle_claims().items():
        asked[instance] = asked.get(instance, 0) + rows
    return asked


def _store_health(ctx: Context, live: list[Instance], view: View, asked: Mapping[int, int], now: int) -> None:
    for row in live:
        sight = view.sights.get(row.id)
        if sight is not None and sight.server_alive and sight.health != seen.UNSURE:
            word = _HEALTH_WORDS.get(sight.health, "loading" if row.status == st.LOADING else "unhealthy")
            told = row.status == st.UNHEALTHY and row.reason in {"stuck", "on-cpu"}
            word = "unhealthy" if told else word
            detail = row.detail if told else sight.detail
            _note_use(ctx, row, view, asked.get(row.id, 0), now)
            ctx.journal.health(row.id, word, sight.http_status, sight.health_ms, now, detail)


def _note_use(ctx: Context, row: Instance, view: View, requests: int, now: int) -> None:
    """Remember when a server was last used. The caller holds the transaction."""
    counters = view.counters.get(row.id)
    if row.status not in {st.RUNNING, st.UNHEALTHY} or (counters is None and not requests):
        return
    tokens, working = (counters.tokens, counters.in_progress) if counters is not None else (None, None)
    ctx.samples.note_use(row.id, tokens, bool(working or requests), now, int(ctx.clock.boottime()))


def _read_logs(ctx: Context, live: Iterable[Instance]) -> tuple[Reading, ...]:
    """Read on where a log has grown; a pass without news does not even load the reader."""
    copy_engine_logs(ctx, live)
    waiting = [at for at in ctx.instances.log_positions() if _grown(at)]
    if not waiting:
        return ()
    from llamaagent.reconcile.logs import read_waiting

    return read_waiting(ctx, waiting)


def _keep_small(ctx: Context, now: int) -> None:
    """Give back the disk space of what is stored now, where a log takes more than it may."""
    cap = ctx.settings.log_max_size_bytes
    logs = ctx.places.logs  # the log of a server that somebody else started is nothing of ours to cut
    large = [at for at in ctx.instances.log_positions() if is_ours(logs, at.path) and too_large(at.path, cap)]
    if large:
        from llamaagent.reconcile.rotation import keep_small

        keep_small(ctx, large, now)


def _grown(at: LogPosition) -> bool:
    return has_news(at.path, at.inode, at.offset_bytes) or not nothing_waits(at.state)


def _system(ctx: Context, last: LastSystem | None, boot: str) -> SystemSample:
    directories = ctx.settings.model_directories
    previous = None
    if last is not None:
        counters = {k: v for k, v in last._asdict().items() if k not in {"ts", "boot_id"}}
        previous = SystemSample(**counters)
    return collect_system(
        ctx.host,
        directories[0] if directories else ctx.places.data,
        previous,
        same_boot=last is not None and last.boot_id == boot,
    )


def _facts(live: list[Instance], last: LastSystem | None, boot: str, requests: int, now: int) -> PassFacts:
    active = [row for row in live if row.status in {st.RUNNING, st.UNHEALTHY}]
    uptime = max((now - (row.ready_ts or now) for row in active), default=0)
    same = last is not None and last.boot_id == boot and now > last.ts
    return PassFacts(now - last.ts if same and last else None, boot, len(active), max(0, uptime), requests)


def _clock_step_s(ctx: Context, last: LastSystem | None, boot: str, now: int) -> int | None:
    """How far the wall clock was set since the last row, against the clock since boot; None = it was not."""
    stored = ctx.samples.metadata(_BOOTTIME)
    if stored is None or last is None or last.boot_id != boot:
        return None
    step = (now - last.ts) - (int(ctx.clock.boottime()) - int(stored))
    return step if abs(step) >= _STEP_S else None


def _instances(
    ctx: Context, live: list[Instance], view: View, gpus: GpuReading, ours: Mapping[int, int], now: int
) -> list[InstanceSample]:
    previous = ctx.samples.last_instances()
    made: list[InstanceSample] = []
    for row in live:
        sight = view.sights.get(row.id)
        server = row.server
        if sight is None or not sight.server_alive or server is None:
            continue
        before = previous.get(row.id)
        usage = usage_of(ctx, row, server.pid)
        sample = build_instance_sample(
            row.id,
            usage=usage,
            counters=view.counters.get(row.id),
            previous=_previous(before),
            elapsed_s=None if before is None else now - before.ts,
            health_ms=sight.health_ms,
        )
        memory, utilization = gpu_use(row, gpus, ours)
        made.append(sample._replace(gpu_memory_mib=memory, gpu_utilization_percent=utilization))
    return made


def _owners(ctx: Context, gpus: GpuReading) -> Mapping[int, int]:
    if not any(card.holders for card in gpus.cards):
        return {}
    from llamaagent.reconcile.owners import owners

    return owners(ctx.host, ctx.instances.newest(), gpus)


def _keep_peaks(ctx: Context, now: int) -> None:
    """What launches were seen to take, where it is more than what is kept. The caller holds the transaction."""
    news = ctx.samples.unobserved()
    if news:
        from llamaagent.store.memory import MemoryStore

        MemoryStore(ctx.db).observe(news, now)


def _previous(before: LastInstance | None) -> InstanceSample | None:
    if before is None:
        return None
    return InstanceSample(**{k: v for k, v in before._asdict().items() if k != "ts"})


def holders_of(ctx: Context, gpus: GpuReading, known: Mapping[int, int] | None = None) -> list[Holder]:
    """Every process that holds memory on a card, with its name, and the launch when it belongs to one of ours.

    known: the launch by pid, None = look.
    """
    ours = _owners(ctx, gpus) if known is None else known
    return [
        Holder(h.uuid, h.pid, h.memory_mib, *_who(h.pid, ctx), ours.get(h.pid))
        for c in gpus.cards
        for h in c.holders
    ]


def _who(pid: int, ctx: Context) -> tuple[str | None, str | None]:
    """User and command of a process that holds memory on a card."""
    import os
    import pwd

    from llamaagent.launch.identity import read_small

    folder = f"{ctx.host.proc}/{pid}"
    try:
        words = read_small(f"{folder}/cmdline").split(b"\0")
        uid = os.stat(folder).st_uid
    except OSError:
        return None, None
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    command = words[0].decode("utf-8", "replace")[:200]
    box = _container_of(folder)
    return user, f"{command} in container {box}" if box else command or None


def _container_of(folder: str) -> str | None:
    """The short id of the container that a process is in."""
    from llamaagent.collect.files import read_file
    from llamaagent.domain.takeover import container_of

    found = container_of((read_file(f"{folder}/cgroup", 65536) or b"").decode("utf-8", "replace"))
    return found[:12] if found else None
