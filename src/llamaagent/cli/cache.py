"""`cache`: what the response cache holds, and what of it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.base.errors import UsageError
from llamaagent.cli.asking import open_site_store, span
from llamaagent.cli.output import emit, emit_object, say
from llamaagent.cli.site import load

if TYPE_CHECKING:
    from llamaagent.cli.spec import Values
    from llamaagent.library.cache import CacheRepository

_COLUMNS = (
    "cache_key", "prompt", "model_path", "response_text", "finish_reason", "tokens_generated", "tokens_per_second",
    "size_bytes", "created_ts", "expires_ts", "hit_count", "last_hit_ts",
)  # fmt: skip
_SHOWN = ("prompt", "model", "tokens", "size_bytes", "hits", "age", "answer")
_WIDTH = 32


def listing(values: Values) -> int:
    """Entries, those used last first."""
    from llamaagent.cli.rows import age

    rows = _cache(values).get_all(values.number("limit") or 100)
    now = load(values).clock.now()
    for row in rows:
        row |= {
            "model": str(row["model_path"]).rpartition("/")[2],
            "tokens": row["tokens_generated"],
            "hits": row["hit_count"],
            "age": age(max(0, now - int(row["created_ts"]))),
            "answer": _short(str(row["response_text"])),
        }
    shown = [{**row, "prompt": _short(str(row["prompt"]))} for row in rows]
    table = not values.text("format") and not values.flag("json")
    emit(values, shown if table else rows, _COLUMNS, shown=_SHOWN, empty="nothing is kept")
    return 0


def info(values: Values) -> int:
    """How much, and how often it was used."""
    from llamaagent.cli.rows import moment

    opened = load(values)
    settings = opened.site.settings
    found = open_site_store(opened, told=True).cache.info()
    found |= {
        "enabled": settings.cache_enabled,
        "ttl_s": settings.cache_ttl_s,
        "model_identity": settings.cache_model_identity,
    }
    if values.flag("json"):
        emit_object(found)
        return 0
    for name, value in found.items():
        told = moment(value) if name.endswith("_ts") else value
        shown = "never" if told is None else str(told).lower() if isinstance(told, bool) else told
        print(f"{name.removesuffix('_ts'):16} {shown}")
    return 0


def invalidate(values: Values) -> int:
    """Forget what matches."""
    prompt, model, old = values.text("prompt"), values.text("model"), values.text("older_than")
    if prompt is None and model is None and old is None and not values.flag("all"):
        raise UsageError("name what is to be forgotten", hint="--prompt, --model, --older-than, or --all")
    opened = load(values)
    profile = next((p for p in opened.site.profiles if p.name == model), None)
    if profile is not None:
        named = profile.model
        model = named.path or named.url or named.hf or named.docker or model
    before = None if old is None else opened.clock.now() - (span(old, "--older-than") or 0)
    return _told(values, open_site_store(opened, told=True).cache.invalidate(prompt, model, before))


def cleanup(values: Values) -> int:
    """Remove what has expired or is too much."""
    return _told(values, _cache(values).cleanup())


def _cache(values: Values) -> CacheRepository:
    return open_site_store(load(values), told=True).cache


def _told(values: Values, removed: int) -> int:
    if values.flag("json"):
        emit_object({"removed": removed})
    elif not values.flag("quiet"):
        say(f"{removed} answer{'s' * (removed != 1)} removed")
    return 0


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
