"""Finished requests from a llama-server log, read piece by piece. Pure.

A request opens with `processing task` and closes with `stop processing`; its three timing lines stand in
between. Older builds print the release first and then the timings, without a slot in front of them: such a
request stays open until something else follows. The state holds what is open and the last unfinished line,
so that cutting the log anywhere changes nothing. What a log cannot tell: client, model, endpoint.
"""

from __future__ import annotations

from llamaagent.collect.logevent import LogEvent, find_event
from llamaagent.collect.logline import number_after, parse_draft, parse_slot, parse_timing, split_line
from llamaagent.collect.logstate import MAX_OPEN, LogState, OpenRequest, cut_lines
from llamaagent.domain.sample import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.collect.logline import LogLine, SlotLine
    from llamaagent.collect.logstate import Key


def read_requests(state: LogState, data: bytes) -> tuple[LogState, tuple[Request, ...], tuple[LogEvent, ...]]:
    """Read the next bytes of a log: the new state, the requests that ended, and what else was told.

    finish_reason: "stop" (it ran to its end), "cancelled" (the client left; no figures are printed then),
    "error" (the server refused it after it had a slot), None (its end was not seen). Prompt tokens are
    those that were evaluated, cached ones come in their own field. An embedding or rerank request has no
    timing lines: only its prompt tokens are known.
    """
    lines, partial, skipping = cut_lines(state, data)
    reader = _Reader(state)
    for raw in lines:
        for line in split_line(raw):
            reader.read(line)
    return reader.state(partial, skipping=skipping), tuple(reader.requests), tuple(reader.events)


def settle(state: LogState) -> tuple[LogState, tuple[Request, ...]]:
    """Close requests that were released and are only held for lines that may still follow.

    To be called when nothing has been written since the last reading.
    """
    done = [request for request in state.open if request.released]
    if not done:
        return state, ()
    kept = tuple(request for request in state.open if not request.released)
    return state._replace(open=kept), tuple(finish(request) for request in done)


def close_log(state: LogState) -> tuple[LogState, tuple[Request, ...]]:
    """Close everything, because the server has ended: what was still running counts as cancelled."""
    return LogState(), tuple(
        finish(request if request.released else request._replace(cancelled=True)) for request in state.open
    )


def wall_time(launched_ts: int, at_us: int | None) -> int | None:
    """Unix time of a moment that a log gives in microseconds since the server's start."""
    return None if at_us is None else launched_ts + at_us // 1_000_000


def finish(request: OpenRequest) -> Request:
    """What is known of a request that has ended."""
    prompt, generated = request.prompt_tokens, request.generated_tokens
    if request.timed:
        reason: str | None = "stop"
    elif request.cancelled or request.failed:
        reason = "cancelled" if request.cancelled else "error"
    else:
        reason = "stop" if request.released else None
        if request.released and request.modern:
            # This build prints timings before the release, so this one generated nothing: an embedding.
            prompt, generated = request.held_tokens, 0
    return Request(
        slot_id=request.slot,
        task_id=request.task,
        started_us=request.started_us,
        finished_us=request.finished_us,
        prompt_tokens=prompt,
        cached_tokens=_cached(request),
        generated_tokens=generated,
        prompt_time_ms=request.prompt_ms,
        generation_time_ms=request.generation_ms,
        total_time_ms=request.total_ms,
        prompt_tokens_per_second=request.prompt_rate,
        tokens_per_second=request.generation_rate,
        draft_tokens=request.draft_tokens,
        draft_accepted=request.draft_accepted,
        is_child=request.is_child,
        truncated=request.truncated,
        finish_reason=reason,
    )


def _cached(request: OpenRequest) -> int | None:
    """Tokens that came from the prompt cache: what the slot holds at the end, less what was computed.

    The last token was sampled and never put into the cache, hence the one. After a context shift the slot
    holds less than it has seen and nothing can be said; a context that merely ran full is no shift.
    With speculation a stop within an accepted draft leaves the rest of that draft in this figure.
    """
    held, prompt, generated = request.held_tokens, request.prompt_tokens, request.generated_tokens
    if held is None or prompt is None or generated is None or request.shifted:
        return None
    if request.truncated and not request.modern:  # older builds also cut the prompt itself
        return None
    cached = held - prompt - generated + 1
    return cached if cached >= 0 else None


class _Reader:
    """Applies lines to the open requests. Lives for one call."""

    def __init__(self, state: LogState) -> None:
        self.open: dict[Key, OpenRequest] = {request.key: request for request in state.open}
        self.header: dict[int | None, Key] = {(None if p < 0 else p): k for p, k in state.headers}
        self.last_us = state.last_us
        self.waiting = sum(1 for request in state.open if request.released)
        self.requests: list[Request] = []
        self.events: list[LogEvent] = []

    def state(self, partial: bytes, *, skipping: bool) -> LogState:
        """What the next call needs."""
        headers = tuple((-1 if p is None else p, k) for p, k in self.header.items() if k in self.open)
        return LogState(partial, skipping, self.last_us, tuple(self.open.values()), headers)

    def read(self, line: LogLine) -> None:
        """Take one line in."""
        if line.at_us is not None:
            self.last_us = line.at_us
        slot = parse_slot(line.text)
        if slot is not None and slot.task >= 0:
            self._read_slot(line, slot)
        elif slot is None and not self._read_bare(line):
            self._read_other(line)

    def _read_slot(self, line: LogLine, slot: SlotLine) -> None:
        key = (line.port, slot.slot, slot.task)
        if line.level == "E":
            self._tell(line)
        if self.waiting:
            self._settle(but=key)
        if slot.text.startswith(b"processing task"):
            self._launch(line, slot, key)
        elif slot.text.startswith(b"stop processing"):
            self._release(line, slot, key)
        elif key in self.open:
            if b"context shift" in slot.text:
                self.open[key] = self.open[key]._replace(shifted=True)
            else:
                self._measure(key, slot.text)
        self.header[line.port] = key

    def _launch(self, line: LogLine, slot: SlotLine, key: Key) -> None:
        for other in [k for k in self.open if k[:2] == key[:2]]:
            self._emit(other)  # its slot has been given away: it is over, however it ended
        if len(self.open) >= MAX_OPEN:
            self._emit(next(iter(self.open)))
        child = number_after(slot.text, b"is_child = ")
        self.open[key] = OpenRequest(
            *key, started_us=line.at_us, is_child=bool(child), modern=child is not None
        )

    def _release(self, line: LogLine, slot: SlotLine, key: Key) -> None:
        held = number_after(slot.text, b"n_tokens = ")
        if held is None:
            held = number_after(slot.text, b"n_past = ")
        request = self.open.get(key) or OpenRequest(*key)
        self.open[key] = request = request._replace(
            released=True,
            finished_us=line.at_us,
            held_tokens=held,
            truncated=bool(number_after(slot.text, b"truncated = ")),
        )
        self.waiting += 1
        if request.timed or request.cancelled or request.failed or request.modern:
            self._emit(key)

    def _read_bare(self, line: LogLine) -> bool:
        """A timing line without a slot belongs to the slot that was named last."""
        key = self.header.get(line.port)
        return key in self.open and self._measure(key, line.text)

    def _measure(self, key: Key | None, text: bytes) -> bool:
        request = self.open.get(key) if key is not None else None
        if request is None or key is None:
            return False
        timing = parse_timing(text)
        if timing is not None:
            self.open[key] = request.with_timing(timing)
            return True
        draft = parse_draft(text)
        if draft is not None:
            self.open[key] = request._replace(draft_accepted=draft[0], draft_tokens=draft[1])
            return True
        return False

    def _read_other(self, line: LogLine) -> None:
        if self.waiting:
            self._settle(all_idle=b"all slots are idle" in line.text)
        task = number_after(line.text, b"cancel task, id_task = ")
        if task is not None:
            self._mark(line.port, task, failed=False)
            return
        task = number_after(line.text, b"send_error: task id = ")
        if task is not None:
            self._mark(line.port, task, failed=True)
            return
        self._tell(line)

    def _tell(self, line: LogLine) -> None:
        event = find_event(line) if line.port is None else None
        if event is not None:
            self.events.append(event)

    def _mark(self, port: int | None, task: int, *, failed: bool) -> None:
        for key, request in self.open.items():
            if key[0] == port and key[2] == task:
                changed = request._replace(failed=True) if failed else request._replace(cancelled=True)
                self.open[key] = changed

    def _settle(self, *, but: Key | None = None, all_idle: bool = False) -> None:
        """Close released requests that nothing more can be said about."""
        for key, request in list(self.open.items()):
            if request.released and key != but and (request.timed or all_idle):
                self._emit(key)

    def _emit(self, key: Key) -> None:
        request = self.open.pop(key)
        if request.released:
            self.waiting -= 1
        self.requests.append(finish(request))
