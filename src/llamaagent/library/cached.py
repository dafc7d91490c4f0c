"""`cached(ttl=...)`: the response cache around a model or around a function of one's own."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from llamaagent.base.errors import UsageError
from llamaagent.generate.answer import Answer, choices_from, choices_json
from llamaagent.generate.key import key_of
from llamaagent.library.asking import LLM, get_db, span_s
from llamaagent.library.cache import hash_of
from llamaagent.store.responses import NewAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.library.asking import Span
    from llamaagent.library.store import Store
    from llamaagent.store.responses import Kept

_NEVER = object()


def cached(ttl: Span | None = 7 * 86400, *, db: Store | None = None) -> Callable[[Any], Any]:
    """Keep what a model or a function gives: `cached(ttl=3600)(llm)("...")`, or as a decorator.

    ttl: seconds or a timedelta, None = for ever. Around an LLM its own cache is used, also where it is off otherwise. A
    function is known by its name and its arguments, not by what it does; arguments and values are what JSON can say, or
    an Answer. Anything else is computed each time.
    """

    def around(what: Any) -> Any:
        if isinstance(what, LLM):
            return what.with_defaults(cache=True, ttl=ttl)
        if not callable(what):
            raise UsageError(f"cached() goes around an LLM or a function, not {type(what).__name__}")
        return _around_function(what, span_s(ttl), db)

    return around


def _around_function(function: Callable[..., Any], ttl_s: int | None, db: Store | None) -> Callable[..., Any]:
    name = f"{function.__module__}.{function.__qualname__}"

    @functools.wraps(function)
    def call(*args: Any, **more: Any) -> Any:
        store = db if db is not None else get_db()
        try:
            asked = json.dumps([args, more], sort_keys=True, ensure_ascii=False)
        except (TypeError, ValueError):
            return function(*args, **more)
        key = key_of({"function": name, "arguments": asked})
        kept = store.cache.find(key)
        value = _NEVER if kept is None else _value(kept)
        if value is not _NEVER:
            store.cache.count_hit(key)
            return value
        value = function(*args, **more)
        _keep(store, key, name, asked, value, ttl_s)
        return value

    return call


def _keep(store: Store, key: str, name: str, asked: str, value: Any, ttl_s: int | None) -> None:
    if isinstance(value, Answer):
        if not all(choice.whole for choice in value.choices):
            return
        made = {"model": value.model, "choices": json.loads(choices_json(value.choices))}
        text, whole, reason = value.text, {"answer": made}, value.finish_reason
    else:
        text, whole, reason = value if isinstance(value, str) else "", {"value": value}, "stop"
    try:
        as_json = json.dumps(whole, ensure_ascii=False)
    except (TypeError, ValueError):
        return
    if json.loads(as_json) != whole:  # a tuple would come back as a list
        return
    config = json.dumps({"function": name})
    store.cache.keep(
        NewAnswer(key, asked, hash_of(asked), f"function:{name}", config, text, as_json, reason, ttl_s=ttl_s)
    )


def _value(kept: Kept) -> Any:
    try:
        found = json.loads(kept.response_json or "")
        if "answer" not in found:
            return found["value"]
        choices = choices_from(json.dumps(found["answer"]["choices"]))
        return Answer(model=str(found["answer"]["model"]), choices=choices, total_ms=0.0, cache="hit")
    except (ValueError, KeyError, TypeError):
        return _NEVER
