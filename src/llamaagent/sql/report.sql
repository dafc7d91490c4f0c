-- What the static report reads: views only. Times are seconds UTC; a range is :from_ts <= ts < :to_ts.
-- A bucket is :bucket_s seconds of UTC; its `ts` is the mean time of its samples, so that a sparse one is not moved.

-- name: read_sampling
-- The oldest and the newest sample, and the median time between two of them within the range.
SELECT (SELECT min(ts) FROM v_report_system) AS first_ts,
       (SELECT max(ts) FROM v_report_system) AS last_ts,
       (SELECT interval_s
          FROM v_report_system
         WHERE ts >= :from_ts AND ts < :to_ts AND interval_s IS NOT NULL
         ORDER BY interval_s
         LIMIT 1
        OFFSET (SELECT count(*) / 2
                  FROM v_report_system
                 WHERE ts >= :from_ts AND ts < :to_ts AND interval_s IS NOT NULL)) AS period_s;

-- name: read_system
SELECT ts, cpu_cores, cpu_percent, load_1min, memory_used_mib, memory_total_mib, swap_used_mib, swap_total_mib,
       disk_used_mib, disk_total_mib, active_instances
  FROM v_report_system
 ORDER BY ts DESC
 LIMIT 1;

-- name: read_system_buckets
-- For each figure: mean, lowest, highest. The order of the figures is that of the source in charts.toml.
SELECT '' AS subject, CAST(avg(ts) AS INTEGER) AS ts,
       avg(cpu_percent), min(cpu_percent), max(cpu_percent),
       avg(load_1min), min(load_1min), max(load_1min),
       max(cpu_cores), max(cpu_cores), max(cpu_cores),
       avg(memory_used_mib), min(memory_used_mib), max(memory_used_mib),
       max(memory_total_mib), max(memory_total_mib), max(memory_total_mib),
       avg(nullif(swap_used_mib, 0)), min(nullif(swap_used_mib, 0)), max(nullif(swap_used_mib, 0)),
       avg(disk_read_bytes_per_s), min(disk_read_bytes_per_s), max(disk_read_bytes_per_s),
       avg(disk_write_bytes_per_s), min(disk_write_bytes_per_s), max(disk_write_bytes_per_s),
       avg(network_rx_bytes_per_s), min(network_rx_bytes_per_s), max(network_rx_bytes_per_s),
       avg(network_tx_bytes_per_s), min(network_tx_bytes_per_s), max(network_tx_bytes_per_s)
  FROM v_report_system AS s
 WHERE s.ts >= :from_ts AND s.ts < :to_ts
 GROUP BY s.ts / :bucket_s
 ORDER BY s.ts / :bucket_s;

-- name: read_gpu_buckets
SELECT uuid AS subject, CAST(avg(ts) AS INTEGER) AS ts,
       avg(utilization_percent), min(utilization_percent), max(utilization_percent),
       avg(memory_used_mib), min(memory_used_mib), max(memory_used_mib),
       max(memory_total_mib), max(memory_total_mib), max(memory_total_mib),
       avg(temperature_celsius), min(temperature_celsius), max(temperature_celsius),
       avg(power_watts), min(power_watts), max(power_watts),
       max(power_limit_watts), max(power_limit_watts), max(power_limit_watts)
  FROM v_report_gpu AS s
 WHERE s.ts >= :from_ts AND s.ts < :to_ts
 GROUP BY uuid, s.ts / :bucket_s
 ORDER BY uuid, s.ts / :bucket_s;

-- name: read_instance_buckets
-- All profiles in one pass over the samples.
SELECT profile AS subject, CAST(avg(ts) AS INTEGER) AS ts,
       avg(cpu_percent), min(cpu_percent), max(cpu_percent),
       avg(memory_mib), min(memory_mib), max(memory_mib),
       avg(gpu_memory_mib), min(gpu_memory_mib), max(gpu_memory_mib),
       avg(generated_tokens_per_s), min(generated_tokens_per_s), max(generated_tokens_per_s),
       avg(prompt_tokens_per_s), min(prompt_tokens_per_s), max(prompt_tokens_per_s),
       avg(requests_processing), min(requests_processing), max(requests_processing),
       avg(requests_deferred), min(requests_deferred), max(requests_deferred)
  FROM v_report_instance AS s
 WHERE s.ts >= :from_ts AND s.ts < :to_ts
 GROUP BY profile, s.ts / :bucket_s
 ORDER BY profile, s.ts / :bucket_s;

-- name: read_request_buckets
-- Requests that ended a minute, 0 where a sample was taken and none ended; speeds as the servers printed them. Answers
-- from the cache are no work of a server, here and below.
WITH sampled AS (
    SELECT profile, s.ts / :bucket_s AS bucket, CAST(avg(s.ts) AS INTEGER) AS ts
      FROM v_report_instance AS s
     WHERE s.ts >= :from_ts AND s.ts < :to_ts
     GROUP BY profile, s.ts / :bucket_s
), ended AS (
    SELECT profile, r.ts / :bucket_s AS bucket, CAST(avg(r.ts) AS INTEGER) AS ts, count(*) * 60.0 / :bucket_s AS rate,
           avg(tokens_per_second) AS speed, min(tokens_per_second) AS slowest, max(tokens_per_second) AS fastest,
           avg(prompt_tokens_per_second) AS prompt_speed, min(prompt_tokens_per_second) AS prompt_slowest,
           max(prompt_tokens_per_second) AS prompt_fastest
      FROM v_generations AS r
     WHERE profile IS NOT NULL AND NOT cache_hit AND r.ts >= :from_ts AND r.ts < :to_ts
     GROUP BY profile, r.ts / :bucket_s
)
-- A full join of the two would compare each bucket with every other.
SELECT profile AS subject, coalesce(max(sample_ts), max(end_ts)) AS ts,
       coalesce(max(rate), 0.0), coalesce(max(rate), 0.0), coalesce(max(rate), 0.0),
       max(speed), max(slowest), max(fastest),
       max(prompt_speed), max(prompt_slowest), max(prompt_fastest)
  FROM (SELECT profile, bucket, ts AS sample_ts, NULL AS end_ts, NULL AS rate, NULL AS speed, NULL AS slowest,
               NULL AS fastest, NULL AS prompt_speed, NULL AS prompt_slowest, NULL AS prompt_fastest
          FROM sampled
         UNION ALL
        SELECT profile, bucket, NULL, ts, rate, speed, slowest, fastest, prompt_speed, prompt_slowest, prompt_fastest
          FROM ended)
 GROUP BY profile, bucket
 ORDER BY 1, 2;

-- name: read_profiles
-- Profiles that are declared or live, with the launch that is live or was last.
SELECT p.profile, p.project, p.kind, p.status, p.wanted, p.reason, p.detail, p.since_ts, p.retry_ts, p.override,
       p.override_until_ts, p.override_by, p.declared_state, p.priority, p.source, r.line, r.declared_commit,
       r.declared_dirty, r.document, r.refused_ts, r.refusal, p.instance_id, p.url, p.pid, p.container_id, p.model_path,
       r.model_size_bytes, p.build, p.git_commit, p.git_dirty, p.context_size, p.gpu_layers, p.gpus, r.argv,
       p.gpu_memory_declared_mib, p.gpu_memory_estimated_mib, p.gpu_memory_measured_mib, r.memory_limit_mib,
       r.peak_memory_mib, p.launched_ts, p.ready_ts, p.ended_ts, p.exit_code, p.exit_signal, p.restarts,
       (SELECT count(*) FROM v_history AS h
         WHERE h.profile = p.profile AND h.launch_id IS NOT NULL) AS launches,
       (SELECT count(*) FROM v_history AS h
         WHERE h.profile = p.profile AND h.status = 'error'
           AND h.ended_ts >= :from_ts AND h.ended_ts < :to_ts) AS crashes,
       p.gave_up_ts
  FROM v_profiles AS p
  JOIN v_report_profiles AS r ON r.profile = p.profile
 ORDER BY p.profile;

-- name: read_launches
-- The newest launches of a profile.
SELECT instance_id, status, reason, detail, stop_reason, launched_ts, ready_ts, ended_ts, exit_code, exit_signal, url,
       build, git_commit, git_dirty, peak_memory_mib, gpu_memory_measured_mib, started_by
  FROM v_history
 WHERE profile = :profile AND launch_id IS NOT NULL
 ORDER BY instance_id DESC
 LIMIT :limit;

-- name: read_events
-- What is marked on a profile's charts: launches, ends, refusals of the range.
SELECT launched_ts AS ts, 'start' AS kind, 'started' AS label
  FROM v_history
 WHERE profile = :profile AND launched_ts >= :from_ts AND launched_ts < :to_ts
 UNION ALL
SELECT ended_ts, iif(status = 'error', 'crash', 'end'), iif(status = 'error', 'ended by itself', 'stopped')
  FROM v_history
 WHERE profile = :profile AND ended_ts >= :from_ts AND ended_ts < :to_ts AND launch_id IS NOT NULL
 UNION ALL
SELECT ts, 'refusal', 'held'
  FROM v_decisions
 WHERE profile = :profile AND ts >= :from_ts AND ts < :to_ts AND action IN ('hold', 'refuse')
 ORDER BY 1, 2;

-- name: read_decisions
-- The newest decisions of all profiles.
SELECT ts, last_ts, count, profile, action, reason, detail, arithmetic
  FROM v_decisions
 ORDER BY last_ts DESC, id DESC
 LIMIT :limit;

-- name: read_profile_decisions
SELECT ts, last_ts, count, profile, action, reason, detail, arithmetic
  FROM v_decisions
 WHERE profile = :profile
 ORDER BY last_ts DESC, id DESC
 LIMIT :limit;

-- name: read_requests
SELECT ts, prompt_tokens, cached_tokens, generated_tokens, total_time_ms, prompt_tokens_per_second, tokens_per_second,
       finish_reason, truncated
  FROM v_generations
 WHERE profile = :profile AND NOT cache_hit
 ORDER BY ts DESC, id DESC
 LIMIT :limit;

-- name: read_totals
SELECT profile, count(*) AS requests, coalesce(sum(prompt_tokens), 0) AS prompt_tokens,
       coalesce(sum(cached_tokens), 0) AS cached_tokens, coalesce(sum(generated_tokens), 0) AS generated_tokens,
       sum(coalesce(finish_reason = 'cancelled', 0)) AS cancelled
  FROM v_generations AS r
 WHERE profile IS NOT NULL AND NOT cache_hit AND r.ts >= :from_ts AND r.ts < :to_ts
 GROUP BY profile
 ORDER BY profile;

-- name: read_distributions
-- The values that 5, 50 and 95 of 100 requests do not exceed, of one figure after the other.
WITH figures AS (
    SELECT profile, 1 AS figure, tokens_per_second AS value
      FROM v_generations AS r WHERE profile IS NOT NULL AND NOT cache_hit AND r.ts >= :from_ts AND r.ts < :to_ts AND tokens_per_second IS NOT NULL
     UNION ALL
    SELECT profile, 2, prompt_tokens_per_second
      FROM v_generations AS r WHERE profile IS NOT NULL AND NOT cache_hit AND r.ts >= :from_ts AND r.ts < :to_ts AND prompt_tokens_per_second IS NOT NULL
     UNION ALL
    SELECT profile, 3, total_time_ms
      FROM v_generations AS r WHERE profile IS NOT NULL AND NOT cache_hit AND r.ts >= :from_ts AND r.ts < :to_ts AND total_time_ms IS NOT NULL
     UNION ALL
    SELECT profile, 4, generated_tokens
      FROM v_generations AS r WHERE profile IS NOT NULL AND NOT cache_hit AND r.ts >= :from_ts AND r.ts < :to_ts AND generated_tokens IS NOT NULL
), ranked AS (
    SELECT profile, figure, value,
           row_number() OVER (PARTITION BY profile, figure ORDER BY value) AS place,
           count(*) OVER (PARTITION BY profile, figure) AS n
      FROM figures
)
SELECT profile, figure, max(n), min(value),
       min(value) FILTER (WHERE place >= n * 0.05),
       min(value) FILTER (WHERE place >= n * 0.5),
       min(value) FILTER (WHERE place >= n * 0.95),
       max(value)
  FROM ranked
 GROUP BY profile, figure
 ORDER BY profile, figure;

-- name: read_gpus
-- holders and reservations are JSON arrays.
SELECT uuid, idx, name, driver, memory_total_mib, status, last_seen_ts, holders, reservations
  FROM v_gpus
 ORDER BY idx IS NULL, idx, uuid;

-- name: read_trouble
-- What went wrong for the agent itself in the range, the newest first.
SELECT ts, level, source, message
  FROM v_events AS e
 WHERE e.ts >= :from_ts AND e.ts < :to_ts AND level IN ('error', 'critical')
 ORDER BY ts DESC, id DESC
 LIMIT :limit;
