"""The llama dashboard's database, second version: eight tables a model, or one of 176 columns as it was before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.neighbours import cells
from llamaagent.neighbours.dashboardmetrics import bring_metrics
from llamaagent.neighbours.dashboardoptions import options_of, said
from llamaagent.neighbours.keyvalue import bring_metadata
from llamaagent.neighbours.modeldraft import Names, bring_model

if TYPE_CHECKING:
    from llamaagent.neighbours.bringing import Bringing, Row

_CONFIG = (
    "model_sampling_config",
    "model_memory_config",
    "model_gpu_config",
    "model_advanced_config",
    "model_lora_config",
    "model_multimodal_config",
)
_FIT = (
    ("recommended_ctx_size", cells.count),
    ("recommended_gpu_layers", cells.whole),
    ("recommended_tensor_split", cells.text),
    ("file_size_bytes", cells.count),
    ("quantization_type", cells.text),
    ("parameter_count", cells.count),
    ("architecture", cells.text),
    ("context_window", cells.count),
    ("fit_params_analyzed_at", cells.moment),
    ("fit_params_error", cells.text),
    ("fit_params_raw_output", cells.text),
    ("projected_cpu_memory_mb", cells.real),
    ("projected_gpu_memory_mb", cells.real),
)
# Of the model itself, not options of the server.
_FACTS = frozenset(
    (
        *("name", "type", "status", "model_path", "model_url", "docker_repo", "hf_repo"),
        *("file_size_bytes", "fit_params_available", "last_fit_params_check", "favorite"),
    )
)


def bring_dashboard(bringing: Bringing) -> None:
    """Models with all their options and projections, metrics, metadata."""
    _hide_secrets(bringing)
    server = _server(bringing)
    sections = {table: _by_model(bringing, table) for table in _CONFIG}
    names = Names()
    known: dict[object, int | None] = {}
    for row in bringing.rows("models"):
        whole = dict(row)
        own = {table: sections[table].pop(row.get("id"), None) for table in _CONFIG}
        for section in own.values():
            whole |= {key: value for key, value in (section or {}).items() if key not in row}
        options = options_of(said(whole), bringing.catalogue, under=server, ignored=_FACTS)
        model_id = known[row.get("id")] = bring_model(bringing, whole, options, names)
        for table, section in own.items():
            if section is not None:
                bringing.tally.put(table, table, new=model_id is not None)
    if "model_server_config" in bringing.source.tables and server:
        new = any(model_id is not None for model_id in known.values())
        bringing.tally.put("model_server_config", "each model's options", new=new)
    for table, left in sections.items():
        for _ in left:
            bringing.tally.drop(table, "its model is not there")
    _fits(bringing, known)
    bring_metrics(bringing, "metrics_history")
    bring_metadata(bringing)


def _hide_secrets(bringing: Bringing) -> None:
    """Learn the secrets before anything is written, so that they are cut out wherever they stand."""
    for table in ("models", "model_server_config"):
        for row in bringing.source.rows(table):
            bringing.hide(row.get("hf_token"))
            bringing.hide(row.get("api_key"))


def _server(bringing: Bringing) -> dict[str, object]:
    """Options that held for every model; here each gets them, since no server is shared."""
    found: dict[str, object] = {}
    for row in bringing.rows("model_server_config"):
        if found:
            bringing.tally.drop("model_server_config", "there is one set of settings; the first was taken")
            continue
        found = said(row)
        if found.pop("api_key", None) is not None:
            bringing.tally.lose(
                "model_server_config",
                "api_key",
                "its value was not read; put it into the environment and write 'secrets: {api-key: {env: NAME}}'",
            )
        for column, reason in options_of(found, bringing.catalogue, ignored=_FACTS).lost:
            bringing.tally.lose("model_server_config", column, bringing.clean(reason) or "")
            found.pop(column, None)
    return found


def _by_model(bringing: Bringing, table: str) -> dict[object, Row]:
    """The rows of a config table by their model; of two the first counts."""
    found: dict[object, Row] = {}
    for row in bringing.rows(table):
        if row.get("model_id") in found:
            bringing.tally.drop(table, "its model has another row already")
        else:
            found[row.get("model_id")] = row
    return found


def _fits(bringing: Bringing, known: dict[object, int | None]) -> None:
    """Memory projections of models that came in."""
    table, now = "model_fit_params", bringing.store.now
    for row in bringing.rows(table):
        if row.get("model_id") not in known:
            bringing.tally.drop(table, "its model is not there")
            continue
        model_id = known[row.get("model_id")]
        if model_id is None:
            bringing.tally.put(table, table, new=False)
            continue
        fit = {column: read(row.get(column)) for column, read in _FIT}
        fit["fit_params_raw_output"] = bringing.clean(fit["fit_params_raw_output"])
        fit |= {
            "model_id": model_id,
            "fit_params_success": int(bool(cells.whole(row.get("fit_params_success")))),
        }
        fit["created_at"] = cells.moment(row.get("created_at")) or now
        fit["updated_at"] = cells.moment(row.get("updated_at")) or now
        bringing.tally.put(table, table, new=bringing.store.put("insert_fit", fit))
