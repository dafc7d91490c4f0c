"""Which column of which table holds which option of llama-server, and how. Data, and nothing else.

Options that are not named here have no column: they stand in `custom_params`. Columns of older databases that
mean no option of today's server, and those of options that the agent itself passes, are not named either.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple


class Column(NamedTuple):
    """One option's place.

    kind: switch | not (a switch, stored the other way round) | whole | real | text | number (a whole number or a
    word, as text) | array (a text, or a JSON array of texts).
    """

    column: str
    option: str
    kind: str = "text"


class Section(NamedTuple):
    """One table. custom: it has `custom_params` for what has no column anywhere."""

    name: str
    table: str
    columns: tuple[Column, ...]
    custom: bool = False


_GENERAL = (
    Column("hf_repo_draft", "spec-draft-hf"),
    Column("ctx_size", "ctx-size", "whole"),
    Column("predict", "predict", "whole"),
    Column("batch_size", "batch-size", "whole"),
    Column("ubatch_size", "ubatch-size", "whole"),
    Column("n_parallel", "parallel", "whole"),
    Column("cont_batching", "cont-batching", "switch"),
    Column("threads", "threads", "whole"),
    Column("threads_batch", "threads-batch", "whole"),
    Column("cpu_mask", "cpu-mask"),
    Column("cpu_range", "cpu-range"),
    Column("cpu_strict", "cpu-strict", "whole"),
    Column("cpu_mask_batch", "cpu-mask-batch"),
    Column("cpu_range_batch", "cpu-range-batch"),
    Column("cpu_strict_batch", "cpu-strict-batch", "whole"),
    Column("priority", "prio", "whole"),
    Column("priority_batch", "prio-batch", "whole"),
)
_SAMPLING = (
    Column("temperature", "temp", "real"),
    Column("top_k", "top-k", "whole"),
    Column("top_p", "top-p", "real"),
    Column("min_p", "min-p", "real"),
    Column("top_nsigma", "top-nsigma", "real"),
    Column("xtc_probability", "xtc-probability", "real"),
    Column("xtc_threshold", "xtc-threshold", "real"),
    Column("typical_p", "typical", "real"),
    Column("repeat_last_n", "repeat-last-n", "whole"),
    Column("repeat_penalty", "repeat-penalty", "real"),
    Column("presence_penalty", "presence-penalty", "real"),
    Column("frequency_penalty", "frequency-penalty", "real"),
    Column("dry_multiplier", "dry-multiplier", "real"),
    Column("dry_base", "dry-base", "real"),
    Column("dry_allowed_length", "dry-allowed-length", "whole"),
    Column("dry_penalty_last_n", "dry-penalty-last-n", "whole"),
    Column("dry_sequence_breaker", "dry-sequence-breaker", "array"),
    Column("dynatemp_range", "dynatemp-range", "real"),
    Column("dynatemp_exp", "dynatemp-exp", "real"),
    Column("mirostat", "mirostat", "whole"),
    Column("mirostat_lr", "mirostat-lr", "real"),
    Column("mirostat_ent", "mirostat-ent", "real"),
    Column("samplers", "samplers"),
    Column("sampler_seq", "sampler-seq"),
    Column("seed", "seed", "whole"),
    Column("grammar", "grammar"),
    Column("grammar_file", "grammar-file"),
    Column("json_schema", "json-schema"),
    Column("json_schema_file", "json-schema-file"),
    Column("ignore_eos", "ignore-eos", "switch"),
    Column("escape", "escape", "switch"),
    Column("rope_scaling_type", "rope-scaling"),
    Column("rope_scale", "rope-scale", "real"),
    Column("rope_freq_base", "rope-freq-base", "real"),
    Column("rope_freq_scale", "rope-freq-scale", "real"),
    Column("yarn_orig_ctx", "yarn-orig-ctx", "whole"),
    Column("yarn_ext_factor", "yarn-ext-factor", "real"),
    Column("yarn_attn_factor", "yarn-attn-factor", "real"),
    Column("yarn_beta_slow", "yarn-beta-slow", "real"),
    Column("yarn_beta_fast", "yarn-beta-fast", "real"),
    Column("flash_attn", "flash-attn"),
    Column("logit_bias", "logit-bias", "array"),
)
_MEMORY = (
    Column("cache_ram", "cache-ram", "whole"),
    Column("cache_type_k", "cache-type-k"),
    Column("cache_type_v", "cache-type-v"),
    Column("numa", "numa"),
)
_GPU = (
    Column("device", "device"),
    Column("gpu_layers", "gpu-layers", "number"),
    Column("split_mode", "split-mode"),
    Column("tensor_split", "tensor-split"),
    Column("main_gpu", "main-gpu", "whole"),
    Column("kv_offload", "kv-offload", "switch"),
    Column("repack", "repack", "switch"),
    Column("no_host", "no-host", "switch"),
)
_ADVANCED = (
    Column("swa_full", "swa-full", "switch"),
    Column("override_tensor", "override-tensor", "array"),
    Column("cpu_moe", "cpu-moe", "switch"),
    Column("n_cpu_moe", "n-cpu-moe", "whole"),
    Column("kv_unified", "kv-unified", "switch"),
    Column("pooling", "pooling"),
    Column("context_shift", "context-shift", "switch"),
    Column("rpc", "rpc", "array"),
    Column("offline", "offline", "switch"),
    Column("override_kv", "override-kv", "array"),
    Column("op_offload", "op-offload", "switch"),
    Column("fit_target", "fit-target"),
    Column("fit_ctx", "fit-ctx", "whole"),
    Column("check_tensors", "check-tensors", "switch"),
    Column("sleep_idle_seconds", "sleep-idle-seconds", "whole"),
    Column("polling", "poll", "whole"),
    Column("polling_batch", "poll-batch", "whole"),
    Column("reasoning_format", "reasoning-format"),
    Column("reasoning_budget", "reasoning-budget", "whole"),
)
_LORA = (
    Column("lora", "lora", "array"),
    Column("lora_scaled", "lora-scaled", "array"),
    Column("control_vector", "control-vector", "array"),
    Column("control_vector_scaled", "control-vector-scaled", "array"),
    Column("control_vector_layer_range", "control-vector-layer-range", "array"),
    Column("model_draft", "spec-draft-model"),
    Column("threads_draft", "spec-draft-threads", "whole"),
    Column("threads_batch_draft", "spec-draft-threads-batch", "whole"),
    Column("draft_max", "spec-draft-n-max", "whole"),
    Column("draft_min", "spec-draft-n-min", "whole"),
    Column("draft_p_min", "spec-draft-p-min", "real"),
    Column("cache_type_k_draft", "spec-draft-type-k"),
    Column("cache_type_v_draft", "spec-draft-type-v"),
    Column("cpu_moe_draft", "spec-draft-cpu-moe", "switch"),
    Column("n_cpu_moe_draft", "spec-draft-n-cpu-moe", "whole"),
    Column("n_gpu_layers_draft", "spec-draft-ngl", "number"),
    Column("device_draft", "spec-draft-device"),
)
_MULTIMODAL = (
    Column("mmproj", "mmproj"),
    Column("mmproj_url", "mmproj-url"),
    Column("mmproj_auto", "mmproj-auto", "switch"),
    Column("mmproj_offload", "mmproj-offload", "switch"),
    Column("image_min_tokens", "image-min-tokens", "whole"),
    Column("image_max_tokens", "image-max-tokens", "whole"),
)
_SERVER = (
    Column("api_prefix", "api-prefix"),
    Column("path", "path"),
    Column("webui", "ui-config"),
    Column("webui_config_file", "ui-config-file"),
    Column("no_webui", "ui", "not"),
    Column("embeddings", "embedding", "switch"),
    Column("reranking", "rerank", "switch"),
    Column("props_enabled", "props", "switch"),
    Column("slots_enabled", "slots", "switch"),
    Column("ssl_key_file", "ssl-key-file"),
    Column("ssl_cert_file", "ssl-cert-file"),
    Column("timeout", "timeout", "whole"),
    Column("threads_http", "threads-http", "whole"),
    Column("cache_reuse", "cache-reuse", "whole"),
    Column("slot_save_path", "slot-save-path"),
    Column("media_path", "media-path"),
    Column("models_dir", "models-dir"),
    Column("models_preset", "models-preset"),
    Column("models_max", "models-max", "whole"),
    Column("models_autoload", "models-autoload", "switch"),
    Column("jinja", "jinja", "switch"),
    Column("chat_template", "chat-template"),
    Column("chat_template_file", "chat-template-file"),
    Column("chat_template_kwargs", "chat-template-kwargs", "array"),
    Column("prefill_assistant", "prefill-assistant", "switch"),
    Column("ctx_checkpoints", "ctx-checkpoints", "whole"),
    Column("warmup", "warmup", "switch"),
    Column("spm_infill", "spm-infill", "switch"),
    Column("log_colors", "log-colors"),
    Column("log_verbose", "verbosity", "whole"),
    Column("log_prefix", "log-prefix", "switch"),
    Column("log_timestamps", "log-timestamps", "switch"),
)
GENERAL = Section("general", "models", _GENERAL)
# One row a profile in each.
SECTIONS = (
    GENERAL,
    Section("sampling", "model_sampling_config", _SAMPLING),
    Section("memory", "model_memory_config", _MEMORY),
    Section("gpu", "model_gpu_config", _GPU),
    Section("advanced", "model_advanced_config", _ADVANCED, custom=True),
    Section("lora", "model_lora_config", _LORA),
    Section("multimodal", "model_multimodal_config", _MULTIMODAL),
)
# One row in all: the settings' `defaults.args`.
SERVER = Section("server", "model_server_config", _SERVER, custom=True)

# `load-mode` is one option and two columns, (mmap, mlock); its other values stand in `custom_params`.
LOAD_MODES = {"none": (0, 0), "mmap": (1, 0), "mlock": (0, 1), "mmap+mlock": (1, 1)}
