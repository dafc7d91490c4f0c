-- What `db import` writes. Nothing here changes a row that is there: what is known already stays as it is.

-- name: insert_digest
INSERT INTO imported_rows (digest, ts) VALUES (:digest, :ts) ON CONFLICT DO NOTHING;

-- name: insert_note
INSERT INTO audit_log (ts, user_id, action, resource_type, resource_id, details)
VALUES (:ts, NULL, 'db import', 'database', :path, :details);

-- name: insert_metadata
INSERT INTO metadata (key, value, updated_at) VALUES (:key, :value, :ts) ON CONFLICT DO NOTHING;

-- name: insert_config
INSERT INTO config (key, value, value_type, created_ts, updated_ts)
VALUES (:key, :value, :value_type, :created_ts, :updated_ts)
ON CONFLICT DO NOTHING;

-- name: insert_log
INSERT INTO logs (ts, level, source, category, message, context_json, model_path, prompt_preview, error_type,
                  error_message, stack_trace)
VALUES (:ts, :level, :source, :category, :message, :context_json, :model_path, :prompt_preview, :error_type,
        :error_message, :stack_trace);

-- name: insert_generation
INSERT INTO generations (ts, started_ts, model_path, model_name, prompt_tokens, generated_tokens, total_tokens,
                         prompt_time_ms, generation_time_ms, total_time_ms, prompt_tokens_per_second,
                         tokens_per_second, temperature, max_tokens, finish_reason, cache_hit, session_id, client)
VALUES (:ts, :started_ts, :model_path, :model_name, :prompt_tokens, :generated_tokens, :total_tokens,
        :prompt_time_ms, :generation_time_ms, :total_time_ms, :prompt_tokens_per_second, :tokens_per_second,
        :temperature, :max_tokens, :finish_reason, :cache_hit, :session_id, 'cyllama');

-- name: insert_cache
INSERT INTO cache (cache_key, prompt, prompt_hash, model_path, config_json, response_text, response_json, finish_reason,
                   tokens_generated, tokens_per_second, generation_time_ms, size_bytes, created_ts, expires_ts,
                   hit_count, last_hit_ts)
VALUES (:cache_key, :prompt, :prompt_hash, :model_path, :config_json, :response_text, :response_json, :finish_reason,
        :tokens_generated, :tokens_per_second, :generation_time_ms, :size_bytes, :created_ts, :expires_ts, :hit_count,
        :last_hit_ts)
ON CONFLICT DO NOTHING;

-- name: insert_file
-- Of a file that is known already only what was not known of it is taken.
INSERT INTO model_files (path, filename, size_bytes, format, architecture, parameter_count, size_label, quantization,
                         file_type, context_length, vocab_size, embedding_size, block_count, head_count, head_count_kv,
                         ffn_dim, chat_template, metadata_json, favorite, first_seen_ts, last_used_ts)
VALUES (:path, :filename, :size_bytes, :format, :architecture, :parameter_count, :size_label, :quantization,
        :file_type, :context_length, :vocab_size, :embedding_size, :block_count, :head_count, :head_count_kv,
        :ffn_dim, :chat_template, :metadata_json, :favorite, :first_seen_ts, :last_used_ts)
ON CONFLICT DO NOTHING;

-- name: insert_model
INSERT INTO models (name, type, status, origin, created_at, updated_at, model_path, model_url, hf_repo, docker_repo,
                    hf_file, hf_file_v, file_size_bytes, fit_params_available, last_fit_params_check, favorite)
VALUES (:name, :type, 'stopped', 'import', :created_at, :updated_at, :model_path, :model_url, :hf_repo, :docker_repo,
        :hf_file, :hf_file_v, :file_size_bytes, :fit_params_available, :last_fit_params_check, :favorite)
ON CONFLICT DO NOTHING;

-- name: update_memory_leftovers
UPDATE model_memory_config SET defrag_thold = :defrag_thold WHERE model_id = :model_id;

-- name: update_gpu_leftovers
UPDATE model_gpu_config SET list_devices = :list_devices WHERE model_id = :model_id;

-- name: update_advanced_leftovers
UPDATE model_advanced_config SET fit = :fit WHERE model_id = :model_id;

-- name: update_lora_leftovers
UPDATE model_lora_config
   SET model_url_draft = :model_url_draft, ctx_size_draft = :ctx_size_draft, spec_replace = :spec_replace
 WHERE model_id = :model_id;

-- name: insert_fit
INSERT INTO model_fit_params (model_id, created_at, updated_at, recommended_ctx_size, recommended_gpu_layers,
                              recommended_tensor_split, file_size_bytes, quantization_type, parameter_count,
                              architecture, context_window, fit_params_analyzed_at, fit_params_success,
                              fit_params_error, fit_params_raw_output, projected_cpu_memory_mb,
                              projected_gpu_memory_mb)
VALUES (:model_id, :created_at, :updated_at, :recommended_ctx_size, :recommended_gpu_layers, :recommended_tensor_split,
        :file_size_bytes, :quantization_type, :parameter_count, :architecture, :context_window,
        :fit_params_analyzed_at, :fit_params_success, :fit_params_error, :fit_params_raw_output,
        :projected_cpu_memory_mb, :projected_gpu_memory_mb)
ON CONFLICT DO NOTHING;

-- name: list_names
-- What an imported container must not be mistaken for.
SELECT profile AS name FROM profile_revisions UNION SELECT profile FROM instances;

-- name: select_container
SELECT id FROM instances WHERE kind = 'container' AND container_id = :container_id ORDER BY id LIMIT 1;

-- name: insert_instance
INSERT INTO instances (profile, kind, project, status, reason, detail, since_ts, wanted, launch_id, container_id,
                       container_name, image, port_mappings, gpus, cpu_limit_milli, memory_limit_mib, sample_n,
                       cpu_permille_sum, rss_kib_sum, gpu_utilization_n, gpu_utilization_sum, created_ts, launched_ts,
                       last_seen_ts, stop_reason, ended_ts, user_id)
VALUES (:profile, 'container', :project, :status, 'imported', :detail, :ended_ts, 0, NULL, :container_id,
        :container_name, :image, :port_mappings, :gpus, :cpu_limit_milli, :memory_limit_mib, :sample_n,
        :cpu_permille_sum, :rss_kib_sum, :gpu_utilization_n, :gpu_utilization_sum, :created_ts, :launched_ts,
        :last_seen_ts, 'imported', :ended_ts, :user_id);

-- name: insert_system_sample
INSERT INTO system_samples (ts, interval_s, cpu_cores, cpu_permille, memory_total_mib, memory_used_mib,
                            memory_available_mib, swap_total_mib, swap_used_mib, load_1min_centi, load_5min_centi,
                            load_15min_centi, disk_total_mib, disk_used_mib, active_instances, uptime_s, requests)
VALUES (:ts, :interval_s, :cpu_cores, :cpu_permille, :memory_total_mib, :memory_used_mib, :memory_available_mib,
        :swap_total_mib, :swap_used_mib, :load_1min_centi, :load_5min_centi, :load_15min_centi, :disk_total_mib,
        :disk_used_mib, :active_instances, :uptime_s, :requests)
ON CONFLICT DO NOTHING;

-- name: insert_gpu
-- A card of which only the other program knew: gone from the start, and never one of this machine's.
INSERT INTO gpus (uuid, idx, name, vendor, memory_total_mib, status, first_seen_ts, last_seen_ts)
VALUES (:uuid, :idx, :name, 'imported', :memory_total_mib, 'gone', :ts, :ts)
ON CONFLICT (uuid) DO UPDATE
   SET first_seen_ts = min(first_seen_ts, excluded.first_seen_ts),
       last_seen_ts = max(last_seen_ts, excluded.last_seen_ts),
       memory_total_mib = coalesce(max(memory_total_mib, excluded.memory_total_mib), memory_total_mib,
                                   excluded.memory_total_mib);

-- name: select_gpu
SELECT id FROM gpus WHERE uuid = :uuid;

-- name: insert_gpu_sample
INSERT INTO gpu_samples (ts, gpu_id, utilization_percent, memory_total_mib, memory_used_mib, temperature_celsius,
                         power_mw)
VALUES (:ts, :gpu_id, :utilization_percent, :memory_total_mib, :memory_used_mib, :temperature_celsius, :power_mw)
ON CONFLICT DO NOTHING;

-- name: insert_instance_sample
INSERT INTO instance_samples (ts, instance_id, cpu_permille, rss_kib, read_bytes_total, write_bytes_total, read_bytes,
                              write_bytes, network_rx_bytes_total, network_tx_bytes_total, gpu_memory_mib,
                              gpu_utilization_percent)
VALUES (:ts, :instance_id, :cpu_permille, :rss_kib, :read_bytes_total, :write_bytes_total, :read_bytes, :write_bytes,
        :network_rx_bytes_total, :network_tx_bytes_total, :gpu_memory_mib, :gpu_utilization_percent)
ON CONFLICT DO NOTHING;

-- name: insert_quota
INSERT INTO quotas (project, resource, origin, amount, reason, username, created_ts)
VALUES (:project, :resource, 'override', :amount, :reason, 'import', :ts)
ON CONFLICT DO NOTHING;

-- name: insert_image
INSERT INTO ngc_images (name, display_name, organization, team, category, description, created_ts, updated_ts,
                        last_synced_ts)
VALUES (:name, :display_name, :organization, :team, :category, :description, :created_ts, :updated_ts, :last_synced_ts)
ON CONFLICT DO NOTHING;

-- name: select_image
SELECT id FROM ngc_images
 WHERE registry = 'nvcr.io' AND organization = :organization AND team = :team AND name = :name;

-- name: insert_version
INSERT INTO image_versions (image_id, tag, digest, size_bytes, created_ts, cuda_version, python_version,
                            framework_version, architecture, manifest_json, is_cached)
VALUES (:image_id, :tag, :digest, :size_bytes, :created_ts, :cuda_version, :python_version, :framework_version,
        :architecture, :manifest_json, :is_cached)
ON CONFLICT DO NOTHING;

-- name: insert_answer
INSERT INTO api_cache (endpoint, response, cached_ts, expires_ts)
VALUES (:endpoint, :response, :cached_ts, :expires_ts)
ON CONFLICT DO NOTHING;

-- name: insert_user
INSERT INTO users (username, email) VALUES (:username, :email) ON CONFLICT DO NOTHING;

-- name: select_user
SELECT id FROM users WHERE username = :username;

-- name: insert_audit
INSERT INTO audit_log (ts, user_id, action, resource_type, resource_id, details)
VALUES (:ts, :user_id, :action, :resource_type, :resource_id, :details);

-- name: insert_health
INSERT INTO health_checks (instance_id, container_id, ts, last_ts, count, status)
VALUES (:instance_id, :container_id, :ts, :last_ts, :count, :status);
