-- What the Python library reads beside what commands read: over views.

-- name: list_models
SELECT * FROM v_models ORDER BY name, id;

-- name: list_favorites
SELECT * FROM v_models WHERE favorite ORDER BY name, id;

-- name: update_favorite
UPDATE models SET favorite = :favorite WHERE id = :id AND favorite <> :favorite RETURNING id;

-- name: list_metrics
SELECT * FROM metrics WHERE timestamp >= :since AND timestamp < :until ORDER BY timestamp DESC LIMIT :limit;

-- name: list_launches
SELECT * FROM v_history
 WHERE (:profile IS NULL OR profile = :profile) AND created_ts >= :since
 ORDER BY instance_id DESC LIMIT :limit;

-- name: list_summary
-- One row for each model or day (:by), or one for all. model: a profile, a model's name, or a path.
SELECT CASE :by WHEN 'model' THEN coalesce(model_name, profile, model_path)
                WHEN 'day' THEN date(ts, 'unixepoch', 'localtime') END AS name,
       count(*) AS generations, coalesce(sum(prompt_tokens), 0) AS prompt_tokens,
       coalesce(sum(generated_tokens), 0) AS generated_tokens, coalesce(sum(total_tokens), 0) AS tokens,
       avg(nullif(tokens_per_second, 0)) AS tokens_per_second, avg(cache_hit) AS cache_hit_rate
  FROM v_generations
 WHERE ts >= :since AND ts < :until
   AND (:model IS NULL OR profile = :model OR model_name = :model OR model_path = :model)
 GROUP BY 1 ORDER BY 1;

-- name: list_generations
SELECT * FROM v_generations
 WHERE ts >= :since AND (ts, id) < (:before_ts, :before_id)
   AND (:model IS NULL OR profile = :model OR model_name = :model OR model_path = :model)
 ORDER BY ts DESC, id DESC LIMIT :limit OFFSET :offset;

-- name: list_quotas
SELECT * FROM v_quotas WHERE :project IS NULL OR project = :project ORDER BY project, resource;

-- name: list_quota_use
SELECT * FROM project_quotas ORDER BY project_path;

-- name: count_entries
SELECT (SELECT count(*) FROM cache) AS cache_entries, (SELECT coalesce(sum(size_bytes), 0) FROM cache) AS cache_bytes,
       (SELECT count(*) FROM generations) AS stats_entries, (SELECT count(*) FROM logs) AS log_entries;

-- name: select_saved
SELECT id, name, origin, type, model_path, model_url, hf_repo, docker_repo, file_size_bytes, favorite
  FROM models WHERE name = :name OR id = :id;

-- name: insert_saved
INSERT INTO models (name, status, origin, created_at, updated_at) VALUES (:name, 'stopped', 'import', :ts, :ts)
RETURNING id, name, origin, type, model_path, model_url, hf_repo, docker_repo, file_size_bytes, favorite;

-- name: update_saved
UPDATE models
   SET name = :name, type = :type, model_path = :model_path, model_url = :model_url, hf_repo = :hf_repo,
       docker_repo = :docker_repo, file_size_bytes = :file_size_bytes, favorite = :favorite, updated_at = :ts
 WHERE id = :id AND origin = :origin;

-- name: delete_saved
DELETE FROM models WHERE id = :id;

-- name: insert_generation
INSERT INTO generations (ts, started_ts, model_path, model_name, prompt_tokens, generated_tokens, total_tokens,
                         prompt_time_ms, generation_time_ms, total_time_ms, prompt_tokens_per_second,
                         tokens_per_second, temperature, max_tokens, finish_reason, cache_hit, session_id, client)
VALUES (:ts, :started_ts, :model_path, :model_name, :prompt_tokens, :generated_tokens, :total_tokens,
        :prompt_time_ms, :generation_time_ms, :total_time_ms, :prompt_tokens_per_second, :tokens_per_second,
        :temperature, :max_tokens, :finish_reason, :cache_hit, :session_id, 'library');

-- name: insert_metrics
-- Without a boot: it was no pass of the agent's.
INSERT INTO system_samples (ts, cpu_cores, cpu_permille, memory_total_mib, memory_used_mib, swap_total_mib,
                            swap_used_mib, disk_total_mib, disk_used_mib, active_instances, uptime_s)
VALUES (:ts, :cpu_cores, :cpu_permille, :memory_total_mib, :memory_used_mib, :swap_total_mib, :swap_used_mib,
        :disk_total_mib, :disk_used_mib, :active_instances, :uptime_s)
ON CONFLICT DO NOTHING
RETURNING ts;

-- name: select_totals
-- What the percentages of a machine are of, from its newest sample that says so.
SELECT cpu_cores, memory_total_mib, swap_total_mib, disk_total_mib FROM system_samples
 WHERE memory_total_mib IS NOT NULL ORDER BY ts DESC LIMIT 1;
