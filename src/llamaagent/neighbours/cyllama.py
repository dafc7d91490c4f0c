"""cyllama's database: settings, the response cache, statistics of generations, logs, model files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.neighbours import cells
from llamaagent.neighbours.firstdashboard import bring_log, empty_file
from llamaagent.neighbours.keyvalue import bring_setting

if TYPE_CHECKING:
    from llamaagent.neighbours.bringing import Bringing, Row

_READ = {"int": cells.whole, "float": cells.real}


def bring_cyllama(bringing: Bringing) -> None:
    """Everything but the number of its own schema."""
    for row in bringing.rows("config"):
        _setting(bringing, row)
    for row in bringing.rows("cache"):
        _answer(bringing, row)
    for row in bringing.rows("stats"):
        _generation(bringing, row)
    for row in bringing.rows("logs"):
        ts = bringing.when("logs", row.get("created_at"))
        if ts is not None:
            bring_log(bringing, "cyllama", row, ts, source="cyllama")
    for row in bringing.rows("models"):
        _file(bringing, row)
    for row in bringing.rows("schema_version"):
        bringing.tally.drop("schema_version", "it is about their file", str(row.get("version")))


def _setting(bringing: Bringing, row: Row) -> None:
    key, kind = cells.text(row.get("key")), cells.text(row.get("value_type"))
    value: object = cells.parsed(row.get("value"))
    if key is None or row.get("value") is None:
        bringing.tally.drop("config", "it has no key or no value")
        return
    if kind == "bool":
        value = str(value).lower() in {"true", "1", "yes", "on"}
    elif kind == "str":
        value = str(value)
    elif kind in _READ:
        read = _READ[kind](value)
        if read is None:
            bringing.tally.drop("config", f"its value is no {kind}", key)
            return
        value = read
    bring_setting(bringing, "config", key, value, (row.get("created_at"), row.get("updated_at")))


def _answer(bringing: Bringing, row: Row) -> None:
    """One cached answer. Its text is what was asked and said, so only known secrets are looked for in it."""
    created = bringing.when("cache", row.get("created_at"))
    if created is None:
        return
    expires = cells.moment(row.get("expires_at"))
    needed = {name: cells.text(row.get(name)) for name in ("cache_key", "prompt_hash", "model_path")}
    texts = {name: bringing.clean(row.get(name)) for name in ("prompt", "response_text")}
    if None in {*needed.values(), *texts.values()}:
        bringing.tally.drop("cache", "it lacks its key, its prompt or its answer")
    elif expires is not None and expires <= bringing.store.now:
        bringing.tally.drop("cache", "it has expired")
    else:
        answer = {
            **needed,
            **texts,
            "config_json": cells.as_json(row.get("config_json")) or "{}",
            "response_json": bringing.clean(cells.as_json(row.get("response_json"))),
            "finish_reason": cells.text(row.get("finish_reason")),
            "tokens_generated": cells.count(row.get("tokens_generated")),
            "tokens_per_second": cells.real(row.get("tokens_per_second")),
            "generation_time_ms": cells.real(row.get("generation_time_ms")),
            "size_bytes": sum(len(str(value).encode()) for value in texts.values()),
            "created_ts": created,
            "expires_ts": expires,
            "hit_count": cells.count(row.get("hit_count")) or 0,
            "last_hit_ts": cells.moment(row.get("last_hit_at")),
        }
        bringing.tally.put("cache", "cache", new=bringing.store.put("insert_cache", answer))


def _generation(bringing: Bringing, row: Row) -> None:
    ts = bringing.when("stats", row.get("created_at"))
    if ts is None:
        return
    bringing.aged("stats", ts, bringing.keep.generations_s, "retention.generations")
    if not bringing.store.is_new("cyllama", "stats", *(row.get(name) for name in _IDENTITY), ts):
        bringing.tally.put("stats", "generations", new=False)
        return
    took, prompt_ms = cells.real(row.get("total_time_ms")), cells.real(row.get("prompt_time_ms"))
    prompt, generated = cells.count(row.get("prompt_tokens")), cells.count(row.get("generated_tokens"))
    total = cells.count(row.get("total_tokens"))
    if total is None and prompt is not None and generated is not None:
        total = prompt + generated
    request: dict[str, str | int | float | bytes | None] = {
        "ts": ts,
        "started_ts": None if took is None or not 0 <= took < ts * 1000 else ts - int(took // 1000),
        "prompt_tokens": prompt,
        "generated_tokens": generated,
        "total_tokens": total,
        "prompt_time_ms": prompt_ms,
        "generation_time_ms": cells.real(row.get("generation_time_ms")),
        "total_time_ms": took,
        "prompt_tokens_per_second": prompt * 1000 / prompt_ms if prompt and prompt_ms else None,
        "tokens_per_second": cells.real(row.get("tokens_per_second")),
        "temperature": cells.real(row.get("temperature")),
        "max_tokens": cells.whole(row.get("max_tokens")),
        "cache_hit": int(str(row.get("cache_hit")).lower() in {"1", "true"}),
    }
    names = ("model_path", "model_name", "finish_reason", "session_id")
    request |= {name: cells.text(row.get(name)) for name in names}
    bringing.tally.put("stats", "generations", new=bringing.store.put("insert_generation", request))


_IDENTITY = ("id", "session_id", "model_path", "prompt_tokens", "generated_tokens", "total_time_ms")


def _file(bringing: Bringing, row: Row) -> None:
    path = cells.text(row.get("path"))
    if path is None:
        bringing.tally.drop("models", "it has no path")
        return
    file = empty_file(path, cells.moment(row.get("first_seen_at")) or bringing.store.now)
    for name in ("size_bytes", "context_length", "vocab_size"):
        file[name] = cells.count(row.get(name))
    for name in ("filename", "format", "architecture", "quantization", "chat_template"):
        file[name] = cells.text(row.get(name)) or file.get(name)
    file["parameter_count"] = cells.count(row.get("parameter_count"))
    file["size_label"] = None if file["parameter_count"] else cells.text(row.get("parameter_count"))
    file["metadata_json"] = cells.as_json(row.get("metadata_json"))
    file["last_used_ts"] = cells.moment(row.get("last_used_at"))
    bringing.tally.put("models", "model_files", new=bringing.store.put("insert_file", file))
