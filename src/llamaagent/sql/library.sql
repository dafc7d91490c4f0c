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
