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
       max(power_limit_watts), max(power_limit_watts), max(power_limit_watts),
       avg(throttled_percent), min(throttled_percent), max(throttled_percent),
       avg(sm_clock_mhz), min(sm_clock_mhz), max(sm_clock_mhz)
  FROM v_report_gpu AS s
 WHERE s.ts >= :from_ts AND s.ts < :to_ts
 GROUP BY uuid, s.ts / :bucket_s
 ORDER BY uuid, s.ts / :bucket_s;

-- name: read_holder_buckets
-- Memory of each card by profile; the times are those of the card's own buckets, which the same samples make.
SELECT h.uuid AS subject, h.profile, CAST(avg(h.ts) AS INTEGER) AS ts, avg(h.memory_mib), min(h.memory_mib), max(h.memory_mib)
  FROM (SELECT s.ts, s.uuid, s.profile, sum(s.memory_mib) AS memory_mib
          FROM v_report_gpu_memory AS s
         WHERE s.ts >= :from_ts AND s.ts < :to_ts
         GROUP BY s.ts, s.uuid, s.profile) AS h
 GROUP BY h.uuid, h.profile, h.ts / :bucket_s
 ORDER BY h.uuid, h.profile, h.ts / :bucket_s;

-- name: read_instance_buckets
-- All profiles in one pass over the samples.
SELECT profile AS subject, CAST(avg(ts) AS INTEGER) AS ts,
       avg(cpu_percent), min(cpu_percent), max(cpu_percent),
       avg(memory_mib), min(memory_mib), max(memory_mib),
       avg(gpu_memory_mib), min(gpu_memory_mib), max(gpu_memory_mib),
       avg(generated_tokens_per_s), min(generated_tokens_per_s), max(generated_tokens_per_s),
       avg(prompt_tokens_per_s), min(prompt_tokens_per_s), max(prompt_tokens_per_s),
       avg(requests_processing), min(requests_processing), max(requests_processing),
       avg(requests_deferred), min(requests_deferred), max(requests_deferred),
       avg(health_ms), min(health_ms), max(health_ms)
  FROM v_report_instance AS s
 WHERE s.ts >= :from_ts AND s.ts < :to_ts
 GROUP BY profile, s.ts / :bucket_s
 ORDER BY profile, s.ts / :bucket_s;

-- name: read_request_buckets
-- Requests that ended a minute, 0 where a sample was taken and none ended; speeds as the servers printed them. Answers
-- from the cache are no work of a server, here and below. The bucket of now is divided by what has passed of it, but by no
-- less than a minute: else every line would fall at its end, or one request would be a peak.
WITH sampled AS (
    SELECT profile, s.ts / :bucket_s AS bucket, CAST(avg(s.ts) AS INTEGER) AS ts
      FROM v_report_instance AS s
     WHERE s.ts >= :from_ts AND s.ts < :to_ts
     GROUP BY profile, s.ts / :bucket_s
), ended AS (
    SELECT profile, r.ts / :bucket_s AS bucket, CAST(avg(r.ts) AS INTEGER) AS ts,
           count(*) * 60.0 / iif(r.ts / :bucket_s = :now_ts / :bucket_s, max(min(60, :bucket_s), :now_ts % :bucket_s), :bucket_s) AS rate,
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

-- name: read_all_request_buckets
-- All requests together; 0 where a sample was taken and none ended.
WITH sampled AS (
    SELECT s.ts / :bucket_s AS bucket, CAST(avg(s.ts) AS INTEGER) AS ts
      FROM v_report_system AS s
     WHERE s.ts >= :from_ts AND s.ts < :to_ts
     GROUP BY s.ts / :bucket_s
), ended AS (
    SELECT r.ts / :bucket_s AS bucket, CAST(avg(r.ts) AS INTEGER) AS ts, count(*) * 60.0 / iif(r.ts / :bucket_s = :now_ts / :bucket_s, max(min(60, :bucket_s), :now_ts % :bucket_s), :bucket_s) AS rate,
           1.0 * sum(generated_tokens) / iif(r.ts / :bucket_s = :now_ts / :bucket_s, max(min(60, :bucket_s), :now_ts % :bucket_s), :bucket_s) AS generated,
           1.0 * sum(prompt_tokens - coalesce(cached_tokens, 0)) / iif(r.ts / :bucket_s = :now_ts / :bucket_s, max(min(60, :bucket_s), :now_ts % :bucket_s), :bucket_s) AS prompt,
           100.0 * sum(cached_tokens) / nullif(sum(prompt_tokens), 0) AS cached
      FROM v_generations AS r
     WHERE NOT cache_hit AND r.ts >= :from_ts AND r.ts < :to_ts
     GROUP BY r.ts / :bucket_s
)
SELECT '' AS subject, coalesce(max(sample_ts), max(end_ts)) AS ts,
       coalesce(max(rate), 0.0), coalesce(max(rate), 0.0), coalesce(max(rate), 0.0),
       coalesce(max(generated), 0.0), coalesce(max(generated), 0.0), coalesce(max(generated), 0.0),
       coalesce(max(prompt), 0.0), coalesce(max(prompt), 0.0), coalesce(max(prompt), 0.0),
       max(cached), max(cached), max(cached)
  FROM (SELECT bucket, ts AS sample_ts, NULL AS end_ts, NULL AS rate, NULL AS generated, NULL AS prompt, NULL AS cached
          FROM sampled
         UNION ALL
        SELECT bucket, NULL, ts, rate, generated, prompt, cached FROM ended)
 GROUP BY bucket
 ORDER BY 2;

-- name: read_profiles
-- Profiles that are declared or live, with the launch that is live or was last.
SELECT p.profile, p.project, p.kind, p.status, p.wanted, p.reason, p.detail, p.since_ts, p.retry_ts, p.override,
       p.override_until_ts, p.override_by, p.declared_state, p.priority, p.source, p.line, p.declared_commit,
       p.declared_dirty, p.document, p.refused_ts, p.refusal, p.instance_id, p.url, p.pid, p.container_id, p.model_path,
       p.model_size_bytes, p.build, p.git_commit, p.git_dirty, p.context_size, p.gpu_layers, p.gpus, p.argv,
       p.gpu_memory_declared_mib, p.gpu_memory_estimated_mib, p.gpu_memory_measured_mib, p.memory_limit_mib,
       p.peak_memory_mib, p.launched_ts, p.ready_ts, p.ended_ts, p.exit_code, p.exit_signal, p.restarts,
       (SELECT count(*) FROM v_history AS h
         WHERE h.profile = p.profile AND h.launch_id IS NOT NULL) AS launches,
       (SELECT count(*) FROM v_history AS h
         WHERE h.profile = p.profile AND h.status = 'error'
           AND h.ended_ts >= :from_ts AND h.ended_ts < :to_ts) AS crashes,
       p.gave_up_ts
  FROM v_report_profiles AS p
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
-- What is marked on charts: launches, ends, refusals and deployments of a range, and the cards of those that have some.
SELECT launched_ts AS ts, 'start' AS kind, 'started' AS label, profile, gpus
  FROM v_history
 WHERE launched_ts >= :from_ts AND launched_ts < :to_ts
 UNION ALL
SELECT ended_ts, iif(status = 'error', 'crash', 'end'), iif(status = 'error', 'ended by itself', 'stopped'), profile, gpus
  FROM v_history
 WHERE ended_ts >= :from_ts AND ended_ts < :to_ts AND launch_id IS NOT NULL
 UNION ALL
SELECT ts, 'refusal', 'held', profile, NULL
  FROM v_decisions
 WHERE profile IS NOT NULL AND ts >= :from_ts AND ts < :to_ts AND action IN ('hold', 'refuse')
 UNION ALL
SELECT first_seen_ts, 'deploy', 'declared anew', profile, NULL
  FROM v_revisions AS r
 WHERE first_seen_ts >= :from_ts AND first_seen_ts < :to_ts
   AND EXISTS (SELECT 1 FROM v_revisions AS b WHERE b.profile = r.profile AND b.first_seen_ts < r.first_seen_ts)
 UNION ALL
SELECT h.launched_ts, 'deploy', 'build ' || b.build || ' to ' || h.build, h.profile, h.gpus
  FROM v_history AS h
  JOIN v_history AS b
    ON b.instance_id = (SELECT max(o.instance_id) FROM v_history AS o
                         WHERE o.profile = h.profile AND o.instance_id < h.instance_id AND o.build IS NOT NULL)
 WHERE h.launched_ts >= :from_ts AND h.launched_ts < :to_ts AND h.build <> b.build
 ORDER BY 1, 2, 4;

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

-- name: read_speeds
-- The figures of each request, from which the spread of each is reckoned: window functions took thirty times as long.
SELECT profile, tokens_per_second, prompt_tokens_per_second, total_time_ms, generated_tokens
  FROM v_generations AS r
 WHERE profile IS NOT NULL AND NOT cache_hit AND r.ts >= :from_ts AND r.ts < :to_ts;

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

-- name: read_life
-- Every launch that was alive in the range, by profile.
SELECT profile, instance_id, launched_ts, ready_ts, ended_ts, status, coalesce(stop_reason, reason) AS reason, detail
  FROM v_history
 WHERE launch_id IS NOT NULL AND launched_ts < :to_ts AND (ended_ts IS NULL OR ended_ts >= :from_ts)
 ORDER BY profile, launched_ts, instance_id;

-- name: read_revisions
-- The contents a profile has had, the newest first.
SELECT first_seen_ts, last_seen_ts, git_commit, git_dirty, profile_hash, document, applied_ts, healthy_ts, refused_ts,
       refusal
  FROM v_revisions
 WHERE profile = :profile
 ORDER BY last_seen_ts DESC, revision_id DESC
 LIMIT :limit;

-- name: read_tails
SELECT t.instance_id, t.taken_ts, t.lines
  FROM v_log_tails AS t
 WHERE t.profile = :profile
 ORDER BY t.instance_id DESC
 LIMIT :limit;

-- name: read_health
-- What the health probe answered, each change of the answer a row, the newest first.
SELECT ts, last_ts, count, status, http_status, latency_ms, detail
  FROM v_health_history
 WHERE profile = :profile
 ORDER BY ts DESC, id DESC
 LIMIT :limit;

-- name: read_observations
-- Memory as it was measured for the model of a profile, beside the estimate.
SELECT build, coalesce(gpu_name, gpu) AS gpu, estimated_mib, peak_mib, oom_mib, n, last_ts
  FROM v_memory_observations
 WHERE model_path = :model_path
 ORDER BY last_ts DESC, id DESC
 LIMIT :limit;

-- name: read_changes
-- What is not as it was a day ago, the newest first.
SELECT c.ts, c.kind, c.profile, c.detail
  FROM (SELECT r.first_seen_ts AS ts,
               iif(EXISTS (SELECT 1 FROM v_revisions AS b
                            WHERE b.profile = r.profile AND b.first_seen_ts < r.first_seen_ts), 'changed', 'declared') AS kind,
               r.profile, r.git_commit AS detail
          FROM v_revisions AS r
         WHERE r.first_seen_ts >= :from_ts AND r.first_seen_ts < :to_ts
         UNION ALL
        SELECT retired_ts, 'retired', profile, NULL
          FROM v_revisions AS r
         WHERE r.retired_ts >= :from_ts AND r.retired_ts < :to_ts
         UNION ALL
        SELECT ended_ts, 'crash', profile, detail
          FROM v_history
         WHERE status = 'error' AND launch_id IS NOT NULL AND ended_ts >= :from_ts AND ended_ts < :to_ts
         UNION ALL
        SELECT h.launched_ts, 'build', h.profile, b.build || ' to ' || h.build
          FROM v_history AS h
          JOIN v_history AS b
            ON b.instance_id = (SELECT max(o.instance_id) FROM v_history AS o
                                 WHERE o.profile = h.profile AND o.instance_id < h.instance_id AND o.build IS NOT NULL)
         WHERE h.launched_ts >= :from_ts AND h.launched_ts < :to_ts AND h.build <> b.build
         UNION ALL
        SELECT ts, action, profile, detail
          FROM v_decisions
         WHERE ts >= :from_ts AND ts < :to_ts AND action IN ('give_up', 'evict', 'rollback', 'hold', 'refuse', 'adopt')
         UNION ALL
        SELECT first_seen_ts, 'card', NULL, coalesce(name, uuid)
          FROM v_gpus
         WHERE first_seen_ts >= :from_ts AND first_seen_ts < :to_ts) AS c
 ORDER BY c.ts DESC, c.profile
 LIMIT :limit;

-- name: read_energy
-- Kilowatt hours of each card over a range of whole days (or of 5 minutes, :resolution_s).
SELECT uuid, sum(energy_wh) / 1000.0 AS kwh, sum(covered_s) AS covered_s
  FROM v_energy AS e
 WHERE e.resolution_s = :resolution_s AND e.ts >= :from_ts AND e.ts < :to_ts
 GROUP BY uuid;

-- name: read_card_facts
-- What a card's page tells beside its samples; throttle and xids are JSON arrays.
SELECT uuid, vendor, pci_bus_id, first_seen_ts, failed_reason, failed_ts, throttle, xids, xid_source, ecc_volatile,
       ecc_aggregate, sm_clock_mhz, memory_clock_mhz, reserved_mib
  FROM v_gpus;

-- name: read_limits
SELECT project, resource, amount, window_s, origin, reason, username, until_ts, settings_amount
  FROM v_quotas
 ORDER BY project, resource;

-- name: read_project_use
-- What runs now: as the limits count it.
SELECT project_path AS project, current_containers, current_cpu_cores, current_memory_gb, current_gpus
  FROM project_quotas
 ORDER BY project_path;

-- name: read_card_time
-- Reservations that reach into the time since :from_ts, cut to it and to now.
SELECT project, holder, gpu_id, max(from_ts, :from_ts), min(to_ts, :to_ts), memory_mib
  FROM v_card_time
 WHERE to_ts > :from_ts AND from_ts < :to_ts;

-- name: read_card_power
SELECT ts, gpu_id, power_mw, interval_s, memory_total_mib
  FROM v_card_power AS p
 WHERE p.ts > :from_ts
 ORDER BY p.ts;

-- name: read_project_tokens
SELECT project, coalesce(profile, '?') AS profile, sum(coalesce(total_tokens, 0)) AS tokens
  FROM v_generations AS r
 WHERE project IS NOT NULL AND NOT cache_hit AND r.ts > :from_ts
 GROUP BY project, profile;

-- name: read_incidents
-- What goes into the feed: ends by themselves, giving up, refusals, cards that failed; the newest first.
SELECT c.id, c.ts, c.kind, c.profile, c.detail
  FROM (SELECT 'decision-' || id AS id, ts, action AS kind, profile, coalesce(detail, reason) AS detail
          FROM v_decisions
         WHERE action IN ('give_up', 'hold', 'refuse', 'evict', 'rollback', 'unhealthy', 'stuck')
         UNION ALL
        SELECT 'launch-' || instance_id, ended_ts, 'crash', profile, detail
          FROM v_history
         WHERE status = 'error' AND launch_id IS NOT NULL AND ended_ts IS NOT NULL
         UNION ALL
        SELECT 'card-' || uuid || '-' || failed_ts, failed_ts, 'card failed', NULL, coalesce(name, uuid) || ': ' || failed_reason
          FROM v_gpus
         WHERE failed_ts IS NOT NULL) AS c
 WHERE c.ts >= :from_ts
 ORDER BY c.ts DESC, c.id
 LIMIT :limit;
