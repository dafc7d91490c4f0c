-- page: Models
-- Model files on disk, and who uses them.

-- name: files
SELECT filename, path, size_bytes, architecture, quantization, parameter_count, context_length,
       unixepoch(last_used_at) AS last_used_ts, missing_ts, favorite,
       (SELECT group_concat(p.profile, ', ') FROM v_profiles AS p WHERE p.model_path = m.path) AS profiles
  FROM v_models AS m
 WHERE file_id IS NOT NULL
 ORDER BY missing_ts IS NOT NULL, size_bytes DESC, path;

-- name: fits
-- The last projection of memory of each profile.
SELECT profile, source, context, gpu_layers, gpu_memory_mib, memory_mib, ok, error, analyzed_ts
  FROM v_model_fit
 ORDER BY profile;

-- name: measured
SELECT profile, model_path, build, coalesce(gpu_name, gpu) AS gpu, estimated_mib, peak_mib, oom_mib, n, last_ts
  FROM v_memory_observations
 ORDER BY last_ts DESC, id DESC
 LIMIT 100;
