"""The llama dashboard's database, first version: models as scanned files, metrics, logs, one configuration."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llamaagent.neighbours import cells
from llamaagent.neighbours.dashboarddefaults import FIRST_DEFAULTS
from llamaagent.neighbours.dashboardmetrics import bring_metrics
from llamaagent.neighbours.dashboardoptions import by_name, options_of, said
from llamaagent.neighbours.keyvalue import bring_metadata, bring_setting, is_secret
from llamaagent.neighbours.modeldraft import Names, bring_model

if TYPE_CHECKING:
    from llamaagent.neighbours.bringing import Bringing, Row

_OPTIONS = ("ctx_size", "batch_size", "threads")
_FACTS = ("embedding_size", "block_count", "head_count", "head_count_kv", "ffn_dim", "file_type")
_TWICE = frozenset(("name", "type", "status", "model_path", "favorite", "file_size"))
# Keys of its configuration that a person says in our settings instead.
_SETTINGS = {
    "serverPath": "binary",
    "baseModelsPath": "models.directories",
    "ctx_size": "defaults.args.ctx-size",
    "batch_size": "defaults.args.batch-size",
    "threads": "defaults.args.threads",
    "host": "defaults.listen.host",
    "llama_server_host": "defaults.listen.host",
}


def bring_first_dashboard(bringing: Bringing) -> None:
    """Models and their files, metrics, logs, configuration, metadata."""
    names = Names()
    for row in bringing.rows("models"):
        _model(bringing, row, names)
    bring_metrics(bringing, "metrics")
    _logs(bringing)
    _configuration(bringing)
    bring_metadata(bringing)


def _model(bringing: Bringing, row: Row, names: Names) -> None:
    given = said({column: row.get(column) for column in _OPTIONS}, FIRST_DEFAULTS)
    parameters = cells.parsed(row.get("parameters"))
    if isinstance(parameters, dict):
        given["custom_params"] = {
            key: value for key, value in parameters.items() if by_name(str(key)) not in map(by_name, given)
        }
    elif cells.text(parameters) is not None:
        bringing.tally.lose("models", "parameters", "it is no JSON object")
    bring_model(bringing, row, options_of(given, bringing.catalogue, ignored=_TWICE), names)
    path = cells.text(row.get("model_path"))
    if path is not None and os.path.isabs(path):
        _file(bringing, row, path)


def _file(bringing: Bringing, row: Row, path: str) -> None:
    """What the scan had found out about the file; 0 was what it wrote for unknown."""
    facts = cells.parsed(row.get("params"))
    vocabulary = cells.count(facts.get("vocab_size")) if isinstance(facts, dict) else None
    file = empty_file(path, cells.moment(row.get("created_at")) or bringing.store.now)
    file |= {column: cells.count(row.get(column)) or None for column in _FACTS}
    file |= {
        "size_bytes": cells.count(row.get("file_size")),
        "quantization": cells.text(row.get("quantization")),
    }
    file |= {"architecture": cells.text(row.get("type")), "vocab_size": vocabulary}
    file |= {"metadata_json": cells.as_json(row.get("params"))}
    file |= {"favorite": int(bool(cells.whole(row.get("favorite"))))}
    bringing.store.put("insert_file", file)


def empty_file(path: str, ts: int) -> dict[str, str | int | float | bytes | None]:
    """A row of `model_files` of which nothing is known but its path and since when."""
    nothing = (
        *("size_bytes", "architecture", "parameter_count", "size_label", "quantization", "file_type"),
        *("context_length", "vocab_size", "embedding_size", "block_count", "head_count", "head_count_kv"),
        *("ffn_dim", "chat_template", "metadata_json", "last_used_ts"),
    )
    known: dict[str, str | int | float | bytes | None] = {
        "path": path,
        "filename": os.path.basename(path),
        "format": "gguf",
        "favorite": 0,
        "first_seen_ts": ts,
    }
    return {**dict.fromkeys(nothing), **known}


def _logs(bringing: Bringing) -> None:
    for row in bringing.rows("logs"):
        ts = bringing.when("logs", row.get("timestamp"))
        if ts is not None:
            bring_log(bringing, "dashboard", row, ts, source=row.get("source"))


def bring_log(bringing: Bringing, program: str, row: Row, ts: int, *, source: object) -> None:
    """One line of a log, with its time; what looks like a secret is cut out."""
    message = bringing.clean(row.get("message"))
    if message is None:
        bringing.tally.drop("logs", "it says nothing")
        return
    bringing.aged("logs", ts, bringing.keep.logs_s, "retention.logs")
    if not bringing.store.is_new(program, "logs", row.get("id"), ts, row.get("level"), row.get("message")):
        bringing.tally.put("logs", "logs", new=False)
        return
    context = cells.as_json(row.get("context_json"))
    line = {
        "ts": ts,
        "level": bringing.level(row.get("level")),
        "source": cells.text(source),
        "context_json": bringing.clean(context),
    }
    names = ("category", "model_path", "prompt_preview", "error_type", "error_message", "stack_trace")
    line |= {name: bringing.clean(row.get(name)) for name in names}
    bringing.tally.put("logs", "logs", new=bringing.store.put("insert_log", {**line, "message": message}))


def _configuration(bringing: Bringing) -> None:
    """Each key by itself; the one JSON object that holds the whole configuration key by key."""
    for row in bringing.rows("server_config"):
        key, value = cells.text(row.get("key")), cells.parsed(row.get("value"))
        if key is None:
            bringing.tally.drop("server_config", "it has no key")
        elif key == "config" and isinstance(value, dict):
            kept = {}
            for inner, item in value.items():
                if is_secret(bringing, str(inner), item):
                    bringing.tally.lose("server_config", f"config.{inner}", "it looks like a secret")
                    continue
                kept[str(inner)] = item
                _hint(bringing, str(inner), item)
            bring_setting(bringing, "server_config", key, kept)
        else:
            _hint(bringing, key, value)
            bring_setting(bringing, "server_config", key, value)


def _hint(bringing: Bringing, key: str, value: object) -> None:
    if key in _SETTINGS:
        shown = bringing.clean(value)
        bringing.tally.note(
            f"server_config: {key} = {shown} steers nothing here; the settings say it as {_SETTINGS[key]}"
        )
