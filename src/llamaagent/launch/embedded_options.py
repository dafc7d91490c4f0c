"""llama-server's long options as far as xllamacpp's parameters offer them: tables only, nothing is imported.

VALUES take a word and set one or more attributes of CommonParams, FLAGS take none, CHOICES take a word of an
enumeration. An option that is in none of them (nor among the special cases in embedded.py) cannot be honoured
by the embedded server and is refused. Source: llama.cpp's common/arg.cpp at b11434 and the attributes of
xllamacpp 2026.10.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple


class Value(NamedTuple):
    """How a word becomes a value: int | float | text | words (separated by commas) | reals | path."""

    kind: str
    attributes: tuple[str, ...]


class Choice(NamedTuple):
    """A word that stands for a member of an enumeration of xllamacpp."""

    attribute: str
    enumeration: str
    members: dict[str, str]


def _each(kind: str, **attributes: str) -> dict[str, Value]:
    """Options by keyword: `ctx_size="n_ctx"` is --ctx-size; several attributes are separated by spaces."""
    return {
        f"--{name.replace('_', '-')}": Value(kind, tuple(paths.split())) for name, paths in attributes.items()
    }


_DRAFT = "speculative.draft"
_NGRAM = "speculative.ngram"

VALUES: dict[str, Value] = {
    **_each(
        "int",
        threads="cpuparams.n_threads",
        threads_batch="cpuparams_batch.n_threads",
        prio="cpuparams.priority",
        prio_batch="cpuparams_batch.priority",
        poll="cpuparams.poll",
        poll_batch="cpuparams_batch.poll",
        ctx_size="n_ctx",
        kv_unified_per_slot="kv_unified_per_slot",
        predict="n_predict",
        n_predict="n_predict",
        batch_size="n_batch",
        ubatch_size="n_ubatch",
        keep="n_keep",
        ctx_checkpoints="n_ctx_checkpoints",
        swa_checkpoints="n_ctx_checkpoints",
        checkpoint_min_step="checkpoint_min_step",
        cache_ram="cache_ram_mib",
        cache_reuse="n_cache_reuse",
        parallel="n_parallel",
        yarn_orig_ctx="yarn_orig_ctx",
        image_min_tokens="image_min_tokens",
        image_max_tokens="image_max_tokens",
        mtmd_batch_max_tokens="mtmd_batch_max_tokens",
        video_timestamp_interval="video_timestamp_interval_ms",
        main_gpu="main_gpu",
        fit_ctx="fit_params_min_ctx",
        embd_normalize="embd_normalize",
        port="port",
        timeout="timeout_read timeout_write",
        sse_ping_interval="sse_ping_interval",
        threads_http="n_threads_http",
        reasoning_budget="sampling.reasoning_budget_tokens",
        sleep_idle_seconds="sleep_idle_seconds",
        verbosity="verbosity",
        log_verbosity="verbosity",
        top_k="sampling.top_k",
        repeat_last_n="sampling.penalty_last_n",
        dry_allowed_length="sampling.dry_allowed_length",
        dry_penalty_last_n="sampling.dry_penalty_last_n",
        mirostat="sampling.mirostat",
        spec_draft_threads=f"{_DRAFT}.cpuparams.n_threads",
        spec_draft_threads_batch=f"{_DRAFT}.cpuparams_batch.n_threads",
        spec_draft_n_max=f"{_DRAFT}.n_max",
        spec_draft_n_min=f"{_DRAFT}.n_min",
        spec_ngram_mod_n_min=f"{_NGRAM}_mod.n_min",
        spec_ngram_mod_n_max=f"{_NGRAM}_mod.n_max",
        spec_ngram_mod_n_match=f"{_NGRAM}_mod.n_match",
        spec_ngram_simple_size_n=f"{_NGRAM}_simple.size_n",
        spec_ngram_simple_size_m=f"{_NGRAM}_simple.size_m",
        spec_ngram_simple_min_hits=f"{_NGRAM}_simple.min_hits",
        spec_ngram_map_k_size_n=f"{_NGRAM}_map_k.size_n",
        spec_ngram_map_k_size_m=f"{_NGRAM}_map_k.size_m",
        spec_ngram_map_k_min_hits=f"{_NGRAM}_map_k.min_hits",
        spec_ngram_map_k4v_size_n=f"{_NGRAM}_map_k4v.size_n",
        spec_ngram_map_k4v_size_m=f"{_NGRAM}_map_k4v.size_m",
        spec_ngram_map_k4v_min_hits=f"{_NGRAM}_map_k4v.min_hits",
    ),
    **_each(
        "float",
        rope_freq_base="rope_freq_base",
        rope_freq_scale="rope_freq_scale",
        yarn_ext_factor="yarn_ext_factor",
        yarn_attn_factor="yarn_attn_factor",
        yarn_beta_slow="yarn_beta_slow",
        yarn_beta_fast="yarn_beta_fast",
        video_fps="video_fps",
        slot_prompt_similarity="slot_prompt_similarity",
        temp="sampling.temp",
        temperature="sampling.temp",
        top_p="sampling.top_p",
        min_p="sampling.min_p",
        xtc_probability="sampling.xtc_probability",
        xtc_threshold="sampling.xtc_threshold",
        typical="sampling.typ_p",
        typical_p="sampling.typ_p",
        repeat_penalty="sampling.penalty_repeat",
        presence_penalty="sampling.penalty_present",
        frequency_penalty="sampling.penalty_freq",
        dry_multiplier="sampling.dry_multiplier",
        dry_base="sampling.dry_base",
        adaptive_target="sampling.adaptive_target",
        adaptive_decay="sampling.adaptive_decay",
        dynatemp_range="sampling.dynatemp_range",
        dynatemp_exp="sampling.dynatemp_exponent",
        mirostat_lr="sampling.mirostat_eta",
        mirostat_ent="sampling.mirostat_tau",
        spec_draft_p_split=f"{_DRAFT}.p_split",
        spec_draft_p_min=f"{_DRAFT}.p_min",
        spec_synth_len="speculative.synth_len",
    ),
    **_each(
        "text",
        mmproj="mmproj.path",
        mmproj_device="mmproj_device",
        video_ffmpeg_dir="video_ffmpeg_bin_dir",
        override_tensor="tensor_buft_overrides",
        model="model.path",
        path="public_path",
        cors_methods="cors_methods",
        cors_headers="cors_headers",
        api_prefix="api_prefix",
        ui_config="ui_config_json",
        ssl_key_file="ssl_file_key",
        ssl_cert_file="ssl_file_cert",
        slot_save_path="slot_save_path",
        media_path="media_path",
        chat_template="chat_template",
        reasoning_budget_message="sampling.reasoning_budget_message",
        samplers="sampling.samplers",
        lookup_cache_static=f"{_NGRAM}_cache.lookup_cache_static",
        lookup_cache_dynamic=f"{_NGRAM}_cache.lookup_cache_dynamic",
        log_prompts_dir="path_prompts_log_dir",
        spec_draft_model=f"{_DRAFT}.mparams.path",
        spec_draft_device=f"{_DRAFT}.devices",
        spec_draft_override_tensor=f"{_DRAFT}.tensor_buft_overrides",
    ),
    **_each("words", host="hostnames", api_key="api_keys"),
    **_each("reals", spec_synth_rates="speculative.synth_rates"),
    **_each("file", chat_template_file="chat_template", ui_config_file="ui_config_json"),
}


def _switches(**attributes: str) -> dict[str, tuple[str, bool]]:
    """`--x` sets the attribute and `--no-x` clears it; an attribute written `!name` means the opposite."""
    made: dict[str, tuple[str, bool]] = {}
    for name, attribute in attributes.items():
        option, path = name.replace("_", "-"), attribute.removeprefix("!")
        made[f"--{option}"] = (path, path == attribute)
        made[f"--no-{option}"] = (path, path != attribute)
    return made


FLAGS: dict[str, tuple[str, bool]] = {
    **_switches(
        kv_unified="kv_unified",
        cache_idle_slots="cache_idle_slots",
        context_shift="ctx_shift",
        escape="escape",
        warmup="warmup",
        kv_offload="!no_kv_offload",
        repack="!no_extra_bufts",
        cont_batching="cont_batching",
        mmproj_auto="!no_mmproj",
        mmproj_offload="mmproj_use_gpu",
        op_offload="!no_op_offload",
        cors_credentials="cors_credentials",
        ui="ui",
        cache_prompt="cache_prompt",
        slots="endpoint_slots",
        jinja="use_jinja",
        skip_chat_parsing="force_pure_content_parser",
        prefill_assistant="prefill_assistant",
        log_jsonl="log_json",
        spec_draft_backend_sampling=f"{_DRAFT}.backend_sampling",
        perf="!no_perf",
    ),
    "--no-mmproj": ("no_mmproj", True),
    "--swa-full": ("swa_full", True),
    "--special": ("special", True),
    "--ignore-eos": ("sampling.ignore_eos", True),
    "--backend-sampling": ("sampling.backend_sampling", True),
    "--no-host": ("no_host", True),
    "--check-tensors": ("check_tensors", True),
    "--reuse-port": ("reuse_port", True),
    "--embedding": ("embedding", True),
    "--embeddings": ("embedding", True),
    "--metrics": ("endpoint_metrics", True),
    "--props": ("endpoint_props", True),
    "--lora-init-without-apply": ("lora_init_without_apply", True),
    "--offline": ("offline", True),
}

_CACHE_TYPES = {
    word: f"GGML_TYPE_{word.upper()}"
    for word in ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
}


def _members(prefix: str, words: str, **irregular: str) -> dict[str, str]:
    regular = {word: f"{prefix}_{word.upper().replace('-', '_')}" for word in words.split()}
    return regular | {word: f"{prefix}_{member}" for word, member in irregular.items()}


CHOICES: dict[str, Choice] = {
    "--flash-attn": Choice(
        "flash_attn_type",
        "llama_flash_attn_type",
        _members("LLAMA_FLASH_ATTN_TYPE", "auto", on="ENABLED", off="DISABLED"),
    ),
    "--cache-type-k": Choice("cache_type_k", "ggml_type", _CACHE_TYPES),
    "--cache-type-v": Choice("cache_type_v", "ggml_type", _CACHE_TYPES),
    "--spec-draft-type-k": Choice(f"{_DRAFT}.cache_type_k", "ggml_type", _CACHE_TYPES),
    "--spec-draft-type-v": Choice(f"{_DRAFT}.cache_type_v", "ggml_type", _CACHE_TYPES),
    "--pooling": Choice(
        "pooling_type", "llama_pooling_type", _members("LLAMA_POOLING_TYPE", "none mean cls last rank")
    ),
    "--rope-scaling": Choice(
        "rope_scaling_type",
        "llama_rope_scaling_type",
        _members("LLAMA_ROPE_SCALING_TYPE", "none linear yarn"),
    ),
    "--load-mode": Choice(
        "load_mode",
        "llama_load_mode",
        _members("LLAMA_LOAD_MODE", "auto none mmap mlock", dio="DIRECT_IO")
        | {"mmap+mlock": "LLAMA_LOAD_MODE_MMAP_MLOCK"},
    ),
    "--lazy-mode": Choice("lazy_mode", "llama_lazy_mode", _members("LLAMA_LAZY_MODE", "on auto off")),
    "--numa": Choice(
        "numa", "ggml_numa_strategy", _members("GGML_NUMA_STRATEGY", "distribute isolate numactl")
    ),
    "--split-mode": Choice(
        "split_mode", "llama_split_mode", _members("LLAMA_SPLIT_MODE", "none layer row tensor")
    ),
    "--reasoning-format": Choice(
        "reasoning_format",
        "common_reasoning_format",
        _members("COMMON_REASONING_FORMAT", "none auto deepseek deepseek-legacy"),
    ),
}

# Options whose value a model's own recommendation must not replace: option -> bit of user_sampling_config.
SAMPLING_BITS = {
    "--samplers": 1,
    "--top-k": 2,
    "--top-p": 4,
    "--min-p": 8,
    "--xtc-probability": 16,
    "--xtc-threshold": 32,
    "--temp": 64,
    "--temperature": 64,
    "--repeat-last-n": 128,
    "--repeat-penalty": 256,
    "--mirostat": 512,
    "--mirostat-ent": 1024,
    "--mirostat-lr": 2048,
}
