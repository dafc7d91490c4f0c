"""Is a server busy without getting on? Counted on the clock since boot, from the first look that saw it so.

It gets on when a counter of its moved since the last sample, or when its log says so: a long prompt is evaluated in
pieces and the log names each. A server whose main loop hangs answers /health from another thread and /metrics not at
all, so counters that do not come in time count as busy. A launch that still loads is never stuck.
"""

from __future__ import annotations

from llamaagent.collect.metrics import ServerCounters, difference
from llamaagent.domain import instance as st
from llamaagent.domain import probe as word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.probe import Watched
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.probing import Asked
    from llamaagent.store.samples import LastInstance

_NEWS_BYTES = 1 << 20  # of a log's end is searched for progress


class Stalls:
    """The stalls of one look; what it needs beyond the answers is read when the first server is busy."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._before: dict[int, LastInstance] | None = None

    def since(self, watched: Watched, row: Instance, asked: Asked) -> int | None:
        """When the stall of this launch began, in seconds since boot; None = it gets on, or has nothing to do."""
        counters = asked.counters.get(row.id)
        busy = counters.requests_processing if counters is not None else int(row.id in asked.hung)
        if not busy or row.status not in {st.RUNNING, st.UNHEALTHY}:
            return None
        verdict = asked.verdicts.get(row.id)
        now = int(self._ctx.clock.boottime())
        if verdict is not None and verdict.word == word.TOKEN:
            return None
        before = self._last(row.id)
        if counters is not None and (before is None or _answers_again(counters, before)):
            return now
        if counters is not None and before is not None and _moved(counters, before):
            return None
        if watched.stalled_boottime_s is None:
            return now
        return None if self._log_shows_progress(row) else min(watched.stalled_boottime_s, now)

    def length_s(self, watched: Watched) -> int | None:
        """How long it lasts."""
        since = watched.stalled_boottime_s
        return None if since is None else max(0, int(self._ctx.clock.boottime()) - since)

    def _last(self, instance_id: int) -> LastInstance | None:
        if self._before is None:
            self._before = self._ctx.samples.last_instances()
        return self._before.get(instance_id)

    def _log_shows_progress(self, row: Instance) -> bool:
        """Whether what the log says since it was read last is about a request that gets on."""
        at = self._ctx.instances.log_position(row.id)
        if at is None:
            return False
        from llamaagent.collect.log import read_from
        from llamaagent.collect.logevent import shows_progress

        return shows_progress(read_from(at.path, at.inode, at.offset_bytes, _NEWS_BYTES))


def _moved(counters: ServerCounters, before: LastInstance) -> bool:
    pairs = (
        (counters.prompt_tokens_total, before.prompt_tokens_total),
        (counters.predicted_tokens_total, before.predicted_tokens_total),
        (counters.decode_total, before.decode_total),
    )
    return any(difference(new, old) for new, old in pairs)


def _answers_again(counters: ServerCounters, before: LastInstance) -> bool:
    """Its counters came, and at the last sample they did not: nothing can be compared, and its loop does turn."""
    return counters.decode_total is not None and before.decode_total is None
