"""What is remembered between two readings of a log, small enough for a row, and how bytes become lines."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.collect.logline import Timing

    Key = tuple[int | None, int, int]  # router child's port, slot, task

MAX_LINE = 16384  # longer ones are passed over whole: none of ours comes near
MAX_OPEN = 1024  # requests in flight; the oldest is given up beyond that


class OpenRequest(NamedTuple):
    """A request whose end has not been seen, or whose timing lines may still follow its end."""

    port: int | None
    slot: int
    task: int
    started_us: int | None = None
    is_child: bool = False
    modern: bool = False  # a build that prints timings before the release
    prompt_tokens: int | None = None
    prompt_ms: float | None = None
    prompt_rate: float | None = None
    generated_tokens: int | None = None
    generation_ms: float | None = None
    generation_rate: float | None = None
    total_ms: float | None = None
    timed: bool = False  # the total line was seen
    draft_tokens: int | None = None
    draft_accepted: int | None = None
    shifted: bool = False
    cancelled: bool = False
    failed: bool = False
    released: bool = False
    held_tokens: int | None = None
    truncated: bool = False
    finished_us: int | None = None

    @property
    def key(self) -> Key:
        """What the log calls it by; task numbers start anew with the process."""
        return (self.port, self.slot, self.task)

    def with_timing(self, timing: Timing) -> OpenRequest:
        """The request with one of its three timing lines."""
        if timing.phase == "prompt":
            return self._replace(
                prompt_tokens=timing.tokens, prompt_ms=timing.ms, prompt_rate=timing.per_second
            )
        if timing.phase == "generation":
            return self._replace(
                generated_tokens=timing.tokens, generation_ms=timing.ms, generation_rate=timing.per_second
            )
        return self._replace(total_ms=timing.ms, timed=True)


class LogState(NamedTuple):
    """Everything the reader knows. The start state is `LogState()`."""

    partial: bytes = b""  # a last line that is not finished
    skipping: bool = False  # within a line that is too long
    last_us: int | None = None  # the last time printed, since the server's start
    open: tuple[OpenRequest, ...] = ()
    headers: tuple[tuple[int, Key], ...] = ()  # by port (-1: no router), the slot that was named last

    @property
    def settled(self) -> bool:
        """Whether no request is held only for lines that may still follow."""
        return not any(request.released for request in self.open)

    def to_json(self) -> str:
        """A text for the row of the instance; the start state is "{}"."""
        if self == LogState():
            return "{}"
        import json

        kept = {"partial": self.partial.decode("latin-1"), "skipping": self.skipping, "last_us": self.last_us}
        return json.dumps({**kept, "open": self.open, "headers": self.headers}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | None) -> LogState:
        """The state from such a text; what another version wrote and we cannot read gives a start state."""
        if not text or text == "{}":
            return cls()
        import json

        try:
            kept = json.loads(text)
            return cls(
                partial=kept["partial"].encode("latin-1"),
                skipping=bool(kept["skipping"]),
                last_us=kept["last_us"],
                open=tuple(OpenRequest(*fields) for fields in kept["open"]),
                headers=tuple((port, (key[0], key[1], key[2])) for port, key in kept["headers"]),
            )
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return cls()


def cut_lines(state: LogState, data: bytes) -> tuple[list[bytes], bytes, bool]:
    """Whole lines of what was left over plus `data`, then the new left-over and whether it is skipped.

    A line longer than MAX_LINE is dropped, in whatever pieces it comes.
    """
    pieces = data.split(b"\n")
    pieces[0] = state.partial + pieces[0]
    last = pieces.pop()
    if state.skipping:
        if not pieces:
            return [], b"", True
        del pieces[0]
    lines = [piece for piece in pieces if 0 < len(piece) <= MAX_LINE]
    return (lines, b"", True) if len(last) > MAX_LINE else (lines, last, False)
