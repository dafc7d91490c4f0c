"""Asking one server more than its health: its counters, whether it sleeps, and at last for one token.

The questions follow each other as their answers come in: /metrics (which slots are busy), /props (does it sleep, how
many slots, which model), and only then the token, so that a sleeping server is never woken and a busy one never gets a
request to queue. /slots is never asked.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.collect.metrics import parse_metrics
from llamaagent.domain import probe as word
from llamaagent.domain.probe import Mark, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.collect.answer import Answer
    from llamaagent.collect.http import Target

# One instance has four keys in a call.
KEYS = 4
HEALTH, METRICS, PROPS, TOKEN = range(KEYS)
# What asks for as little as can be; n_predict 1 is one token, and the prompt cache of the users is left alone.
_BODIES = {
    "/completion": b'{"prompt":"a","n_predict":1,"cache_prompt":false,"temperature":0}',
    "/v1/embeddings": b'{"input":"a"}',
    "/v1/rerank": b'{"query":"a","documents":["a"]}',
}


class Inquiry(NamedTuple):
    """One server that is to be asked for a token, if it may be.

    path: the endpoint that shows that it computes. model: the file it should have loaded, None = not to be compared.
    may_sleep: whether it falls asleep by itself; then only `used`, the users' tokens since they were last looked at,
    justifies a question.
    """

    path: str = "/completion"
    model: str | None = None
    may_sleep: bool = False
    always: bool = True  # False: not when nobody used it since
    own_tokens: int = 0
    used: int | None = None


class Chain:
    """Called with each answer, gives the next question of that server.

    What cannot or need not be asked is put into `verdicts` by instance id.
    """

    def __init__(self, inquiries: Mapping[int, Inquiry], verdicts: dict[int, Verdict]) -> None:
        self._inquiries = inquiries
        self._verdicts = verdicts
        self._busy: dict[int, int | None] = {}

    def __call__(self, target: Target, answer: Answer) -> Target | None:
        """Give what this server is asked next, None for nothing."""
        instance_id, step = divmod(target.key, KEYS)
        inquiry = self._inquiries.get(instance_id)
        if inquiry is None or answer.status is None or answer.status == 503:
            return None
        if step == METRICS:
            return self._after_metrics(instance_id, inquiry, target, answer)
        if step == PROPS:
            return self._after_props(instance_id, inquiry, target, answer)
        return None

    def _after_metrics(
        self, instance_id: int, inquiry: Inquiry, target: Target, answer: Answer
    ) -> Target | None:
        counters = parse_metrics(answer.body) if answer.status == 200 else None
        self._busy[instance_id] = counters.requests_processing if counters is not None else None
        if not inquiry.always and counters is not None:
            used = (counters.prompt_tokens_total or 0) + (counters.predicted_tokens_total or 0)
            if used - inquiry.own_tokens == inquiry.used:
                self._verdicts[instance_id] = Verdict(word.QUIET)
                return None
        return target._replace(key=instance_id * KEYS + PROPS, path="/props")

    def _after_props(
        self, instance_id: int, inquiry: Inquiry, target: Target, answer: Answer
    ) -> Target | None:
        verdict = _forbidden(inquiry, answer, self._busy.get(instance_id))
        if verdict is not None:
            self._verdicts[instance_id] = verdict
            return None
        return target._replace(key=instance_id * KEYS + TOKEN, path=inquiry.path, body=_BODIES[inquiry.path])


def _forbidden(inquiry: Inquiry, answer: Answer, busy: int | None) -> Verdict | None:
    """Why no token is asked for after this answer of /props; None = it may be."""
    props = _json(answer)
    if not isinstance(props, dict):
        # A server that does not say whether it sleeps is asked only if it cannot be asleep.
        return Verdict(word.UNABLE, f"/props answered {answer.status}") if inquiry.may_sleep else None
    if props.get("is_sleeping") is True:
        return Verdict(word.ASLEEP)
    loaded = props.get("model_path")
    if isinstance(loaded, str) and inquiry.model and loaded.rsplit("/", 1)[-1] != inquiry.model:
        return Verdict(word.FAILED, f"another model answers there: {loaded[:200]}")
    slots = props.get("total_slots")
    if busy and isinstance(slots, int) and busy >= slots:
        return Verdict(word.BUSY, f"{busy} of {slots} slots are busy")
    return None


def read_token(answer: Answer, path: str, asked_ts: int, now: int) -> Verdict:
    """What the answer to the question for a token says. asked_ts, now: when it was asked and answered."""
    told = f"{path} for one token"
    if answer.kind == "timeout":
        return Verdict(
            word.TIMEOUT, f"{told}: no answer in time", answer.latency_ms, mark=Mark(asked_ts, now)
        )
    if answer.status is None:
        return Verdict(word.FAILED, f"{told}: {answer.detail or answer.kind}", mark=Mark(asked_ts, now))
    if answer.status == 200:
        found = _json(answer)
        return _token(found if isinstance(found, dict) else {}, answer, asked_ts, now)
    if 400 <= answer.status < 500 or answer.status == 501:
        return Verdict(word.UNABLE, f"{told} answered {answer.status}", answer.latency_ms)
    return Verdict(
        word.FAILED,
        f"{told} answered {answer.status}{_message(answer)}",
        answer.latency_ms,
        mark=Mark(asked_ts, now),
    )


def _token(found: dict[str, object], answer: Answer, asked_ts: int, now: int) -> Verdict:
    timings, usage = found.get("timings"), found.get("usage")
    if isinstance(timings, dict):
        prompt, generated = _whole(timings.get("prompt_n")), _whole(timings.get("predicted_n"))
        mark = Mark(
            asked_ts,
            now,
            _whole(found.get("id_slot")),
            prompt,
            generated,
            _real(timings.get("prompt_ms")),
            _real(timings.get("predicted_ms")),
        )
        return Verdict(word.TOKEN, None, answer.latency_ms, (prompt or 0) + (generated or 0), mark)
    prompt = _whole(usage.get("prompt_tokens")) if isinstance(usage, dict) else None
    return Verdict(
        word.TOKEN, None, answer.latency_ms, prompt or 0, Mark(asked_ts, now, prompt_tokens=prompt)
    )


def _message(answer: Answer) -> str:
    """The server's own words about a failure."""
    found = _json(answer)
    error = found.get("error") if isinstance(found, dict) else None
    text = error.get("message") if isinstance(error, dict) else None
    return f": {text[:200]}" if isinstance(text, str) else ""


def _json(answer: Answer) -> object:
    import json

    try:
        return json.loads(answer.body) if answer.status is not None else None
    except ValueError:
        return None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40 else None


def _real(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and value == value else None  # noqa: PLR0124
