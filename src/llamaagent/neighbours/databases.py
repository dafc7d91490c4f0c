"""Which program a database is of, by its tables and columns; and what reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.base.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llamaagent.neighbours.bringing import Bringing

    Tables = Mapping[str, tuple[str, ...]]

# Kind -> what it is called, and the tables with columns that it is known by, every one of them.
_SIGNS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "dashboard-v2": (("models", ("name", "status")), ("model_sampling_config", ("model_id", "temperature"))),
    "dashboard-wide": (("models", ("name", "ctx_size", "temperature", "gpu_layers")),),
    "dashboard-v1": (("models", ("name", "parameters", "model_path")),),
    "mlenv": (("container_instances", ("container_id", "project_path")),),
    "cyllama": (("config", ("key", "value_type")), ("stats", ("generated_tokens", "created_at"))),
}
NAMES = {
    "dashboard-v2": "the llama dashboard, version 2",
    "dashboard-wide": "the llama dashboard, one table of models",
    "dashboard-v1": "the llama dashboard, version 1",
    "mlenv": "MLEnv",
    "cyllama": "cyllama",
}
KINDS = tuple(_SIGNS)
_TABLES: dict[str, frozenset[str]] = {
    "dashboard-v1": frozenset({"models", "metrics", "logs", "server_config", "metadata"}),
    "mlenv": frozenset(
        {
            *("ngc_images", "image_versions", "container_instances", "resource_metrics", "system_snapshots"),
            *("api_cache", "project_quotas", "gpu_allocations", "users", "audit_log", "health_checks"),
        }
    ),
    "cyllama": frozenset({"config", "cache", "stats", "logs", "models", "schema_version"}),
}
_TABLES["dashboard-v2"] = _TABLES["dashboard-wide"] = frozenset(
    {
        *(
            "models",
            "model_sampling_config",
            "model_memory_config",
            "model_gpu_config",
            "model_advanced_config",
        ),
        *("model_lora_config", "model_multimodal_config", "model_fit_params", "model_server_config"),
        *("metrics_history", "metadata"),
    }
)


def recognise_tables(tables: Tables, path: str) -> str:
    """One of KINDS. Raises BadInputError for any other database."""
    for kind, signs in _SIGNS.items():
        if all(set(columns) <= set(tables.get(table, ())) for table, columns in signs):
            return kind
    shown = ", ".join(sorted(tables)[:8]) or "none"
    raise BadInputError(
        f"{path} is a database of a program that is not known here (tables: {shown})",
        hint=f"known are {', '.join(NAMES.values())}",
    )


def bring(kind: str, bringing: Bringing) -> None:
    """Read everything of a database of this kind, in the caller's transaction."""
    for table in sorted(bringing.source.tables.keys() - _TABLES[kind]):
        bringing.tally.lose(table, "", "this table is not known here")
    _reader(kind)(bringing)


def _reader(kind: str) -> Callable[[Bringing], None]:
    from importlib import import_module

    module, function = {
        "dashboard-v2": ("dashboard", "bring_dashboard"),
        "dashboard-wide": ("dashboard", "bring_dashboard"),
        "dashboard-v1": ("firstdashboard", "bring_first_dashboard"),
        "mlenv": ("mlenv", "bring_mlenv"),
        "cyllama": ("cyllama", "bring_cyllama"),
    }[kind]
    found: Callable[[Bringing], None] = getattr(import_module(f"llamaagent.neighbours.{module}"), function)
    return found
