-- What the commands read, over views. Names of profiles are matched in the program, which knows globs.

-- name: list_profiles
SELECT profile, kind, status, reason, detail, since_ts, retry_ts, override, override_until_ts, override_by, health,
       instance_id, pid, container_id, host, port, url, gpus, memory_mib, gpu_memory_mib, gpu_memory_declared_mib,
       gpu_memory_estimated_mib, gpu_memory_measured_mib, cpu_permille, requests_processing, requests_deferred,
       tokens_per_second, launched_ts, ready_ts, ended_ts, exit_code, exit_signal, restarts, build, git_commit,
       git_dirty, binary, model_path, log_path, project, labels, declared_state, source, launch_hash,
       declared_launch_hash,
       (SELECT i.binary_identity FROM instances AS i WHERE i.id = instance_id) AS binary_identity,
       (SELECT i.model_size_bytes FROM instances AS i WHERE i.id = instance_id) AS model_size_bytes,
       (SELECT i.model_mtime_ns FROM instances AS i WHERE i.id = instance_id) AS model_mtime_ns,
       gave_up_ts
  FROM v_profiles ORDER BY profile;

-- name: list_history
SELECT instance_id, profile, status, reason, detail, created_ts, launched_ts, ready_ts, ended_ts, lived_s, load_s,
       exit_code, exit_signal, restarts, pid, host, port, url, gpus, model_path, context_size, gpu_layers,
       gpu_memory_declared_mib, gpu_memory_estimated_mib, gpu_memory_measured_mib, peak_memory_mib, binary, build,
       git_commit, git_dirty, launch_id, launch_hash, profile_hash, log_path
  FROM v_history
 WHERE created_ts >= :since
 ORDER BY instance_id DESC
 LIMIT :limit;

-- name: list_decisions
SELECT id, ts, last_ts, count, profile, instance_id, action, reason, detail, arithmetic, git_commit
  FROM v_decisions
 WHERE last_ts >= :since
 ORDER BY last_ts DESC, id DESC
 LIMIT :limit;

-- name: list_gpus
SELECT idx, uuid, name, vendor, status, driver, pci_bus_id, memory_total_mib, memory_used_mib, memory_free_mib,
       reserved_mib, utilization_percent, temperature_celsius, power_mw, power_limit_mw, sm_clock_mhz,
       memory_clock_mhz, throttle_reasons, holders, reservations, sample_ts, last_seen_ts, gpu_id, first_seen_ts,
       memory_utilization_percent, throttle, ecc_volatile, ecc_aggregate, recovery_action, failed_reason, failed_ts,
       withheld, parent_uuid, xid_source, xids
  FROM v_gpus AS c
 ORDER BY coalesce((SELECT g.idx FROM gpus AS g WHERE g.uuid = c.parent_uuid), idx), parent_uuid IS NOT NULL, idx,
          uuid;

-- name: list_stats
-- One row for each model, day, ... (:by), or one row for everything.
SELECT CASE :by WHEN 'model' THEN profile
                WHEN 'day' THEN date(ts, 'unixepoch', 'localtime')
                WHEN 'project' THEN project
                WHEN 'session' THEN session_id
                WHEN 'build' THEN build
                WHEN 'commit' THEN git_commit
                WHEN 'gpu' THEN gpus
       END AS "group",
       count(*) AS requests, sum(finish_reason = 'cancelled') AS cancelled,
       sum(prompt_tokens) AS prompt_tokens, sum(cached_tokens) AS cached_tokens,
       sum(generated_tokens) AS generated_tokens, sum(total_tokens) AS total_tokens,
       avg(prompt_tokens_per_second) AS prompt_tokens_per_second,
       avg(nullif(tokens_per_second, 0)) AS tokens_per_second,
       avg(prompt_time_ms) AS prompt_time_ms, avg(total_time_ms) AS total_time_ms,
       avg(cache_hit) AS cache_hit_rate, min(ts) AS first_ts, max(ts) AS last_ts
  FROM v_generations
 WHERE ts >= :since AND ts < :until AND (:profiles IS NULL OR profile IN (SELECT value FROM json_each(:profiles)))
 GROUP BY 1
 ORDER BY min(ts);

-- name: show_instance
SELECT argv, environment, launch_hash, profile_hash, git_commit, git_dirty, build, gpus, gpu_memory_declared_mib,
       gpu_memory_estimated_mib, gpu_memory_measured_mib, context_size, gpu_layers, sized_context, sized_gpu_layers,
       sized_tensor_split
  FROM instances WHERE id = :id;

-- name: table_sizes
-- Bytes and rows of every table, its indexes included in the bytes. The tree of a table without rowids has rows in its
-- inner pages too.
SELECT s.tbl_name AS name, sum(d.pgsize) AS size_bytes,
       max(d.cells + iif(t.wr, d.inner_cells, 0)) FILTER (WHERE s.type = 'table') AS row_count
  FROM (SELECT name, sum(pgsize) AS pgsize, coalesce(sum(ncell) FILTER (WHERE pagetype = 'leaf'), 0) AS cells,
               coalesce(sum(ncell) FILTER (WHERE pagetype = 'internal'), 0) AS inner_cells
          FROM dbstat GROUP BY name) AS d
  JOIN sqlite_schema AS s ON s.name = d.name
  LEFT JOIN pragma_table_list AS t ON t.schema = 'main' AND t.name = s.name
 GROUP BY 1 ORDER BY 2 DESC;

-- name: list_last_sample
-- When the last pass was: a pass that spares a short disk leaves no sample, and a sample without a boot is an imported one.
SELECT max(ts) AS ts
  FROM (SELECT max(ts) AS ts FROM system_samples WHERE boot_id IS NOT NULL
        UNION ALL
        SELECT CAST(value AS INTEGER) FROM metadata WHERE key = 'last_pass_ts');

-- name: list_launch
SELECT status, reason FROM instances WHERE launch_id = :launch_id;

-- name: list_clock_steps
SELECT ts, clock_step_s FROM system_samples WHERE ts >= :since AND clock_step_s IS NOT NULL ORDER BY ts DESC;

-- name: list_pass_spacing
SELECT interval_s FROM system_samples WHERE interval_s IS NOT NULL AND boot_id IS NOT NULL ORDER BY ts DESC LIMIT 50;
