-- What was last applied for each profile, option by option. store/columns.py says which column is which option;
-- every statement binds all columns of its table, and what is not set is NULL.

-- name: list_models
-- Touches `models` only.
SELECT name AS profile, origin, status, type, coalesce(model_path, model_url, hf_repo, docker_repo) AS model, ctx_size,
       favorite, updated_at AS updated
  FROM models
 ORDER BY name;

-- name: select_source
SELECT id, origin, model_path, model_url, hf_repo, docker_repo, hf_token FROM models WHERE name = :name;

-- name: select_documents
-- The last good revision of each profile, retired or not, as long as it has a row in `models`.
SELECT profile, document
  FROM profile_revisions AS r
 WHERE EXISTS (SELECT 1 FROM models WHERE name = r.profile)
   AND last_seen_ts = (SELECT max(last_seen_ts) FROM profile_revisions WHERE profile = r.profile);

-- name: select_leftovers
-- What an imported model may have that no profile can say: options that are gone, or that the agent itself passes.
SELECT m.hf_file, m.hf_file_v, k.defrag_thold, g.list_devices, a.fit, l.model_url_draft, l.ctx_size_draft,
       l.spec_replace
  FROM models AS m
  LEFT JOIN model_memory_config AS k ON k.model_id = m.id
  LEFT JOIN model_gpu_config AS g ON g.model_id = m.id
  LEFT JOIN model_advanced_config AS a ON a.model_id = m.id
  LEFT JOIN model_lora_config AS l ON l.model_id = m.id
 WHERE m.id = :model_id;

-- name: insert_change
INSERT INTO audit_log (ts, user_id, action, resource_type, resource_id, details)
VALUES (:ts, NULL, 'config', 'profile', :profile, :details);

-- name: select_general
SELECT hf_repo_draft, ctx_size, predict, batch_size, ubatch_size, n_parallel, cont_batching, threads, threads_batch,
       cpu_mask, cpu_range, cpu_strict, cpu_mask_batch, cpu_range_batch, cpu_strict_batch, priority, priority_batch
  FROM models
 WHERE id = :model_id;

-- name: write_general
UPDATE models
   SET hf_repo_draft = :hf_repo_draft, ctx_size = :ctx_size, predict = :predict, batch_size = :batch_size,
       ubatch_size = :ubatch_size, n_parallel = :n_parallel, cont_batching = :cont_batching, threads = :threads,
       threads_batch = :threads_batch, cpu_mask = :cpu_mask, cpu_range = :cpu_range, cpu_strict = :cpu_strict,
       cpu_mask_batch = :cpu_mask_batch, cpu_range_batch = :cpu_range_batch, cpu_strict_batch = :cpu_strict_batch,
       priority = :priority, priority_batch = :priority_batch, hf_token = :hf_token,
       revision_id = (SELECT id FROM profile_revisions WHERE profile = :profile AND profile_hash = :profile_hash)
 WHERE id = :model_id;

-- name: select_sampling
SELECT temperature, top_k, top_p, min_p, top_nsigma, xtc_probability, xtc_threshold, typical_p, repeat_last_n,
       repeat_penalty, presence_penalty, frequency_penalty, dry_multiplier, dry_base, dry_allowed_length,
       dry_penalty_last_n, dry_sequence_breaker, dynatemp_range, dynatemp_exp, mirostat, mirostat_lr, mirostat_ent,
       samplers, sampler_seq, seed, grammar, grammar_file, json_schema, json_schema_file, ignore_eos, "escape",
       rope_scaling_type, rope_scale, rope_freq_base, rope_freq_scale, yarn_orig_ctx, yarn_ext_factor,
       yarn_attn_factor, yarn_beta_slow, yarn_beta_fast, flash_attn, logit_bias
  FROM model_sampling_config
 WHERE model_id = :model_id;

-- name: write_sampling
INSERT INTO model_sampling_config (
    model_id, created_at, updated_at, temperature, top_k, top_p, min_p, top_nsigma, xtc_probability, xtc_threshold,
    typical_p, repeat_last_n, repeat_penalty, presence_penalty, frequency_penalty, dry_multiplier, dry_base,
    dry_allowed_length, dry_penalty_last_n, dry_sequence_breaker, dynatemp_range, dynatemp_exp, mirostat,
    mirostat_lr, mirostat_ent, samplers, sampler_seq, seed, grammar, grammar_file, json_schema, json_schema_file,
    ignore_eos, "escape", rope_scaling_type, rope_scale, rope_freq_base, rope_freq_scale, yarn_orig_ctx,
    yarn_ext_factor, yarn_attn_factor, yarn_beta_slow, yarn_beta_fast, flash_attn, logit_bias
)
VALUES (
    :model_id, :ts, :ts, :temperature, :top_k, :top_p, :min_p, :top_nsigma, :xtc_probability, :xtc_threshold,
    :typical_p, :repeat_last_n, :repeat_penalty, :presence_penalty, :frequency_penalty, :dry_multiplier, :dry_base,
    :dry_allowed_length, :dry_penalty_last_n, :dry_sequence_breaker, :dynatemp_range, :dynatemp_exp, :mirostat,
    :mirostat_lr, :mirostat_ent, :samplers, :sampler_seq, :seed, :grammar, :grammar_file, :json_schema,
    :json_schema_file, :ignore_eos, :escape, :rope_scaling_type, :rope_scale, :rope_freq_base, :rope_freq_scale,
    :yarn_orig_ctx, :yarn_ext_factor, :yarn_attn_factor, :yarn_beta_slow, :yarn_beta_fast, :flash_attn, :logit_bias
)
ON CONFLICT (model_id) DO UPDATE
   SET updated_at = excluded.updated_at, temperature = excluded.temperature, top_k = excluded.top_k,
       top_p = excluded.top_p, min_p = excluded.min_p, top_nsigma = excluded.top_nsigma,
       xtc_probability = excluded.xtc_probability, xtc_threshold = excluded.xtc_threshold,
       typical_p = excluded.typical_p, repeat_last_n = excluded.repeat_last_n,
       repeat_penalty = excluded.repeat_penalty, presence_penalty = excluded.presence_penalty,
       frequency_penalty = excluded.frequency_penalty, dry_multiplier = excluded.dry_multiplier,
       dry_base = excluded.dry_base, dry_allowed_length = excluded.dry_allowed_length,
       dry_penalty_last_n = excluded.dry_penalty_last_n, dry_sequence_breaker = excluded.dry_sequence_breaker,
       dynatemp_range = excluded.dynatemp_range, dynatemp_exp = excluded.dynatemp_exp, mirostat = excluded.mirostat,
       mirostat_lr = excluded.mirostat_lr, mirostat_ent = excluded.mirostat_ent, samplers = excluded.samplers,
       sampler_seq = excluded.sampler_seq, seed = excluded.seed, grammar = excluded.grammar,
       grammar_file = excluded.grammar_file, json_schema = excluded.json_schema,
       json_schema_file = excluded.json_schema_file, ignore_eos = excluded.ignore_eos, "escape" = excluded."escape",
       rope_scaling_type = excluded.rope_scaling_type, rope_scale = excluded.rope_scale,
       rope_freq_base = excluded.rope_freq_base, rope_freq_scale = excluded.rope_freq_scale,
       yarn_orig_ctx = excluded.yarn_orig_ctx, yarn_ext_factor = excluded.yarn_ext_factor,
       yarn_attn_factor = excluded.yarn_attn_factor, yarn_beta_slow = excluded.yarn_beta_slow,
       yarn_beta_fast = excluded.yarn_beta_fast, flash_attn = excluded.flash_attn, logit_bias = excluded.logit_bias;

-- name: select_memory
SELECT cache_ram, cache_type_k, cache_type_v, numa, mmap, mlock
  FROM model_memory_config
 WHERE model_id = :model_id;

-- name: write_memory
INSERT INTO model_memory_config (
    model_id, created_at, updated_at, cache_ram, cache_type_k, cache_type_v, numa, mmap, mlock
)
VALUES (
    :model_id, :ts, :ts, :cache_ram, :cache_type_k, :cache_type_v, :numa, :mmap, :mlock
)
ON CONFLICT (model_id) DO UPDATE
   SET updated_at = excluded.updated_at, cache_ram = excluded.cache_ram, cache_type_k = excluded.cache_type_k,
       cache_type_v = excluded.cache_type_v, numa = excluded.numa, mmap = excluded.mmap, mlock = excluded.mlock;

-- name: select_gpu
SELECT device, gpu_layers, split_mode, tensor_split, main_gpu, kv_offload, repack, no_host
  FROM model_gpu_config
 WHERE model_id = :model_id;

-- name: write_gpu
INSERT INTO model_gpu_config (
    model_id, created_at, updated_at, device, gpu_layers, split_mode, tensor_split, main_gpu, kv_offload, repack,
    no_host
)
VALUES (
    :model_id, :ts, :ts, :device, :gpu_layers, :split_mode, :tensor_split, :main_gpu, :kv_offload, :repack, :no_host
)
ON CONFLICT (model_id) DO UPDATE
   SET updated_at = excluded.updated_at, device = excluded.device, gpu_layers = excluded.gpu_layers,
       split_mode = excluded.split_mode, tensor_split = excluded.tensor_split, main_gpu = excluded.main_gpu,
       kv_offload = excluded.kv_offload, repack = excluded.repack, no_host = excluded.no_host;

-- name: select_advanced
SELECT swa_full, override_tensor, cpu_moe, n_cpu_moe, kv_unified, pooling, context_shift, rpc, offline, override_kv,
       op_offload, fit_target, fit_ctx, check_tensors, sleep_idle_seconds, polling, polling_batch, reasoning_format,
       reasoning_budget, custom_params
  FROM model_advanced_config
 WHERE model_id = :model_id;

-- name: write_advanced
INSERT INTO model_advanced_config (
    model_id, created_at, updated_at, swa_full, override_tensor, cpu_moe, n_cpu_moe, kv_unified, pooling, context_shift,
    rpc, offline, override_kv, op_offload, fit_target, fit_ctx, check_tensors, sleep_idle_seconds, polling,
    polling_batch, reasoning_format, reasoning_budget, custom_params
)
VALUES (
    :model_id, :ts, :ts, :swa_full, :override_tensor, :cpu_moe, :n_cpu_moe, :kv_unified, :pooling, :context_shift, :rpc,
    :offline, :override_kv, :op_offload, :fit_target, :fit_ctx, :check_tensors, :sleep_idle_seconds, :polling,
    :polling_batch, :reasoning_format, :reasoning_budget, :custom_params
)
ON CONFLICT (model_id) DO UPDATE
   SET updated_at = excluded.updated_at, swa_full = excluded.swa_full, override_tensor = excluded.override_tensor,
       cpu_moe = excluded.cpu_moe, n_cpu_moe = excluded.n_cpu_moe, kv_unified = excluded.kv_unified,
       pooling = excluded.pooling, context_shift = excluded.context_shift, rpc = excluded.rpc,
       offline = excluded.offline, override_kv = excluded.override_kv, op_offload = excluded.op_offload,
       fit_target = excluded.fit_target, fit_ctx = excluded.fit_ctx, check_tensors = excluded.check_tensors,
       sleep_idle_seconds = excluded.sleep_idle_seconds, polling = excluded.polling,
       polling_batch = excluded.polling_batch, reasoning_format = excluded.reasoning_format,
       reasoning_budget = excluded.reasoning_budget, custom_params = excluded.custom_params;

-- name: select_lora
SELECT lora, lora_scaled, control_vector, control_vector_scaled, control_vector_layer_range, model_draft, threads_draft,
       threads_batch_draft, draft_max, draft_min, draft_p_min, cache_type_k_draft, cache_type_v_draft,
       cpu_moe_draft, n_cpu_moe_draft, n_gpu_layers_draft, device_draft
  FROM model_lora_config
 WHERE model_id = :model_id;

-- name: write_lora
INSERT INTO model_lora_config (
    model_id, created_at, updated_at, lora, lora_scaled, control_vector, control_vector_scaled,
    control_vector_layer_range, model_draft, threads_draft, threads_batch_draft, draft_max, draft_min, draft_p_min,
    cache_type_k_draft, cache_type_v_draft, cpu_moe_draft, n_cpu_moe_draft, n_gpu_layers_draft, device_draft
)
VALUES (
    :model_id, :ts, :ts, :lora, :lora_scaled, :control_vector, :control_vector_scaled, :control_vector_layer_range,
    :model_draft, :threads_draft, :threads_batch_draft, :draft_max, :draft_min, :draft_p_min, :cache_type_k_draft,
    :cache_type_v_draft, :cpu_moe_draft, :n_cpu_moe_draft, :n_gpu_layers_draft, :device_draft
)
ON CONFLICT (model_id) DO UPDATE
   SET updated_at = excluded.updated_at, lora = excluded.lora, lora_scaled = excluded.lora_scaled,
       control_vector = excluded.control_vector, control_vector_scaled = excluded.control_vector_scaled,
       control_vector_layer_range = excluded.control_vector_layer_range, model_draft = excluded.model_draft,
       threads_draft = excluded.threads_draft, threads_batch_draft = excluded.threads_batch_draft,
       draft_max = excluded.draft_max, draft_min = excluded.draft_min, draft_p_min = excluded.draft_p_min,
       cache_type_k_draft = excluded.cache_type_k_draft, cache_type_v_draft = excluded.cache_type_v_draft,
       cpu_moe_draft = excluded.cpu_moe_draft, n_cpu_moe_draft = excluded.n_cpu_moe_draft,
       n_gpu_layers_draft = excluded.n_gpu_layers_draft, device_draft = excluded.device_draft;

-- name: select_multimodal
SELECT mmproj, mmproj_url, mmproj_auto, mmproj_offload, image_min_tokens, image_max_tokens
  FROM model_multimodal_config
 WHERE model_id = :model_id;

-- name: write_multimodal
INSERT INTO model_multimodal_config (
    model_id, created_at, updated_at, mmproj, mmproj_url, mmproj_auto, mmproj_offload, image_min_tokens,
    image_max_tokens
)
VALUES (
    :model_id, :ts, :ts, :mmproj, :mmproj_url, :mmproj_auto, :mmproj_offload, :image_min_tokens, :image_max_tokens
)
ON CONFLICT (model_id) DO UPDATE
   SET updated_at = excluded.updated_at, mmproj = excluded.mmproj, mmproj_url = excluded.mmproj_url,
       mmproj_auto = excluded.mmproj_auto, mmproj_offload = excluded.mmproj_offload,
       image_min_tokens = excluded.image_min_tokens, image_max_tokens = excluded.image_max_tokens;

-- name: select_server
SELECT api_prefix, path, webui, webui_config_file, no_webui, embeddings, reranking, props_enabled, slots_enabled,
       ssl_key_file, ssl_cert_file, timeout, threads_http, cache_reuse, slot_save_path, media_path, models_dir,
       models_preset, models_max, models_autoload, jinja, chat_template, chat_template_file, chat_template_kwargs,
       prefill_assistant, ctx_checkpoints, warmup, spm_infill, log_colors, log_verbose, log_prefix, log_timestamps,
       custom_params
  FROM model_server_config
 WHERE id = 1;

-- name: write_server
INSERT INTO model_server_config (
    id, created_at, updated_at, api_prefix, path, webui, webui_config_file, no_webui, embeddings, reranking,
    props_enabled, slots_enabled, ssl_key_file, ssl_cert_file, timeout, threads_http, cache_reuse, slot_save_path,
    media_path, models_dir, models_preset, models_max, models_autoload, jinja, chat_template, chat_template_file,
    chat_template_kwargs, prefill_assistant, ctx_checkpoints, warmup, spm_infill, log_colors, log_verbose,
    log_prefix, log_timestamps, custom_params
)
VALUES (
    1, :ts, :ts, :api_prefix, :path, :webui, :webui_config_file, :no_webui, :embeddings, :reranking, :props_enabled,
    :slots_enabled, :ssl_key_file, :ssl_cert_file, :timeout, :threads_http, :cache_reuse, :slot_save_path,
    :media_path, :models_dir, :models_preset, :models_max, :models_autoload, :jinja, :chat_template,
    :chat_template_file, :chat_template_kwargs, :prefill_assistant, :ctx_checkpoints, :warmup, :spm_infill,
    :log_colors, :log_verbose, :log_prefix, :log_timestamps, :custom_params
)
ON CONFLICT (id) DO UPDATE
   SET updated_at = excluded.updated_at, api_prefix = excluded.api_prefix, path = excluded.path, webui = excluded.webui,
       webui_config_file = excluded.webui_config_file, no_webui = excluded.no_webui,
       embeddings = excluded.embeddings, reranking = excluded.reranking, props_enabled = excluded.props_enabled,
       slots_enabled = excluded.slots_enabled, ssl_key_file = excluded.ssl_key_file,
       ssl_cert_file = excluded.ssl_cert_file, timeout = excluded.timeout, threads_http = excluded.threads_http,
       cache_reuse = excluded.cache_reuse, slot_save_path = excluded.slot_save_path,
       media_path = excluded.media_path, models_dir = excluded.models_dir, models_preset = excluded.models_preset,
       models_max = excluded.models_max, models_autoload = excluded.models_autoload, jinja = excluded.jinja,
       chat_template = excluded.chat_template, chat_template_file = excluded.chat_template_file,
       chat_template_kwargs = excluded.chat_template_kwargs, prefill_assistant = excluded.prefill_assistant,
       ctx_checkpoints = excluded.ctx_checkpoints, warmup = excluded.warmup, spm_infill = excluded.spm_infill,
       log_colors = excluded.log_colors, log_verbose = excluded.log_verbose, log_prefix = excluded.log_prefix,
       log_timestamps = excluded.log_timestamps, custom_params = excluded.custom_params;
