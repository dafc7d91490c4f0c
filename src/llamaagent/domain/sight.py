"""What was seen of one launch: its processes, its exit record, its health. Made by reconcile/observe.py."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Identity

# Health as one probe saw it.
OK = "ok"
LOADING = "loading"
REFUSED = "refused"
TIMEOUT = "timeout"
FAILED = "failed"
NOT_ASKED = "not-asked"
UNSURE = "unsure"  # it answers, and what its probe wants to know beyond that was not asked, or not answered


class Sight(NamedTuple):
    """One live row's launch, as seen in this pass."""

    instance_id: int
    same_boot: bool = True
    server_alive: bool = False
    wrapper_alive: bool = False
    others_alive: bool = False  # other members of the group, when both of the above are gone
    exit_known: bool = False
    exit_code: int | None = None
    exit_signal: int | None = None
    end_reason: str | None = None  # from the exit status and the log's last lines
    end_detail: str | None = None
    health: str = NOT_ASKED
    health_ms: int | None = None
    http_status: int | None = None
    listener: str = "unknown"  # ours | stranger | none | unknown
    requests_processing: int | None = None
    progress_bytes: int | None = None  # loading: read, written and resident so far, of all its processes
    detail: str | None = None  # what the probe found wrong
    stalled_s: int | None = None  # busy for so long without a new token
    heir: Identity | None = None  # the server now, when the process that was launched has handed over to it
    kernel_state: str | None = None  # of a process that outlived SIGKILL: the letter of /proc/PID/stat
    ended_ts: int | None = None  # of a container: when, says its engine
    image_health: str | None = None  # of a container that we do not ask: what its image's own check says

    @property
    def gone(self) -> bool:
        """Nothing of this launch lives any more."""
        return not (self.server_alive or self.wrapper_alive or self.others_alive)
