-- The report's buckets from roll-ups, for spans longer than the samples reach. The same columns as the statements of
-- report.sql that bear the same name. :parts is a JSON array of [resolution_s, from_ts, to_ts] that follow one another.

-- name: read_spans
SELECT resolution_s, from_ts, to_ts FROM v_rollups;

-- name: read_system_buckets
SELECT '' AS subject, CAST(avg(s.ts + s.resolution_s / 2) AS INTEGER) AS ts,
       sum(cpu_percent_avg * n) / sum(iif(cpu_percent_avg IS NULL, NULL, n)), min(cpu_percent_min), max(cpu_percent_max),
       sum(load_1min_avg * n) / sum(iif(load_1min_avg IS NULL, NULL, n)), min(load_1min_min), max(load_1min_max),
       (SELECT cpu_cores FROM v_system_latest), (SELECT cpu_cores FROM v_system_latest), (SELECT cpu_cores FROM v_system_latest),
       sum(memory_used_mib_avg * n) / sum(iif(memory_used_mib_avg IS NULL, NULL, n)), min(memory_used_mib_min), max(memory_used_mib_max),
       max(memory_total_mib), max(memory_total_mib), max(memory_total_mib),
       avg(nullif(swap_used_mib_avg, 0)), min(nullif(swap_used_mib_min, 0)), max(nullif(swap_used_mib_max, 0)),
       avg(disk_read_bytes_per_s), min(disk_read_bytes_per_s), max(disk_read_bytes_per_s),
       avg(disk_write_bytes_per_s), min(disk_write_bytes_per_s), max(disk_write_bytes_per_s),
       avg(network_rx_bytes_per_s), min(network_rx_bytes_per_s), max(network_rx_bytes_per_s),
       avg(network_tx_bytes_per_s), min(network_tx_bytes_per_s), max(network_tx_bytes_per_s)
  FROM json_each(:parts) AS p
 CROSS JOIN v_report_system_rollups AS s
 WHERE s.resolution_s = p.value ->> 0 AND s.ts >= p.value ->> 1 AND s.ts < p.value ->> 2
 GROUP BY s.ts / :bucket_s
 ORDER BY s.ts / :bucket_s;

-- name: read_gpu_buckets
-- The limit of power is that of the newest sample.
WITH today AS MATERIALIZED (
    SELECT uuid, power_limit_watts FROM v_report_gpu WHERE ts = (SELECT max(ts) FROM v_report_gpu)
)
SELECT s.uuid AS subject, CAST(avg(s.ts + s.resolution_s / 2) AS INTEGER) AS ts,
       sum(utilization_percent_avg * n) / sum(iif(utilization_percent_avg IS NULL, NULL, n)), min(utilization_percent_min), max(utilization_percent_max),
       sum(memory_used_mib_avg * n) / sum(iif(memory_used_mib_avg IS NULL, NULL, n)), min(memory_used_mib_min), max(memory_used_mib_max),
       max(memory_total_mib), max(memory_total_mib), max(memory_total_mib),
       sum(temperature_celsius_avg * n) / sum(iif(temperature_celsius_avg IS NULL, NULL, n)), min(temperature_celsius_min), max(temperature_celsius_max),
       sum(power_watts_avg * n) / sum(iif(power_watts_avg IS NULL, NULL, n)), min(power_watts_min), max(power_watts_max),
       max(power_limit_watts), max(power_limit_watts), max(power_limit_watts),
       sum(throttled_percent * n) / sum(iif(throttled_percent IS NULL, NULL, n)), min(throttled_percent), max(throttled_percent),
       sum(sm_clock_mhz_avg * n) / sum(iif(sm_clock_mhz_avg IS NULL, NULL, n)), min(sm_clock_mhz_min), max(sm_clock_mhz_max)
  FROM json_each(:parts) AS p
 CROSS JOIN v_report_gpu_rollups AS s
  LEFT JOIN today ON today.uuid = s.uuid
 WHERE s.resolution_s = p.value ->> 0 AND s.ts >= p.value ->> 1 AND s.ts < p.value ->> 2
 GROUP BY s.uuid, s.ts / :bucket_s
 ORDER BY s.uuid, s.ts / :bucket_s;

-- name: read_holder_buckets
-- A profile that was launched again within a bucket has the mean of both launches by their samples, not their sum.
SELECT h.uuid AS subject, h.profile, CAST(avg(h.ts + h.resolution_s / 2) AS INTEGER) AS ts,
       avg(h.memory_mib), min(h.memory_mib), max(h.memory_mib)
  FROM (SELECT s.resolution_s, s.ts, s.uuid, s.profile, sum(s.memory_mib_avg * s.n) / sum(s.n) AS memory_mib
          FROM json_each(:parts) AS p
         CROSS JOIN v_report_gpu_memory_rollups AS s
         WHERE s.resolution_s = p.value ->> 0 AND s.ts >= p.value ->> 1 AND s.ts < p.value ->> 2
         GROUP BY s.resolution_s, s.ts, s.uuid, s.profile) AS h
 GROUP BY h.uuid, h.profile, h.ts / :bucket_s
 ORDER BY h.uuid, h.profile, h.ts / :bucket_s;

-- name: read_instance_buckets
SELECT profile AS subject, CAST(avg(s.ts + s.resolution_s / 2) AS INTEGER) AS ts,
       sum(cpu_percent_avg * n) / sum(iif(cpu_percent_avg IS NULL, NULL, n)), min(cpu_percent_min), max(cpu_percent_max),
       sum(memory_mib_avg * n) / sum(iif(memory_mib_avg IS NULL, NULL, n)), min(memory_mib_min), max(memory_mib_max),
       sum(gpu_memory_mib_avg * n) / sum(iif(gpu_memory_mib_avg IS NULL, NULL, n)), min(gpu_memory_mib_min), max(gpu_memory_mib_max),
       avg(generated_tokens_per_s), min(generated_tokens_per_s), max(generated_tokens_per_s),
       avg(prompt_tokens_per_s), min(prompt_tokens_per_s), max(prompt_tokens_per_s),
       sum(requests_processing_avg * n) / sum(iif(requests_processing_avg IS NULL, NULL, n)), min(requests_processing_min), max(requests_processing_max),
       sum(requests_deferred_avg * n) / sum(iif(requests_deferred_avg IS NULL, NULL, n)), min(requests_deferred_min), max(requests_deferred_max),
       sum(health_ms_avg * n) / sum(iif(health_ms_avg IS NULL, NULL, n)), min(health_ms_min), max(health_ms_max)
  FROM json_each(:parts) AS p
 CROSS JOIN v_report_instance_rollups AS s
 WHERE s.resolution_s = p.value ->> 0 AND s.ts >= p.value ->> 1 AND s.ts < p.value ->> 2
 GROUP BY profile, s.ts / :bucket_s
 ORDER BY profile, s.ts / :bucket_s;

-- name: read_request_buckets
-- Single requests are kept for `retention.generations`: within it requests that ended a minute, 0 where a server was
-- watched and none ended. Of the time before it the counters of the servers tell the speeds, and nothing the requests.
WITH kept (from_ts) AS MATERIALIZED (SELECT (SELECT ts FROM v_generations ORDER BY ts LIMIT 1)),
watched AS (
    SELECT profile, s.ts / :bucket_s AS bucket, CAST(avg(s.ts + s.resolution_s / 2) AS INTEGER) AS ts,
           avg(generation_speed) AS speed, min(generation_speed) AS slowest, max(generation_speed) AS fastest,
           avg(prompt_speed) AS prompt_speed, min(prompt_speed) AS prompt_slowest, max(prompt_speed) AS prompt_fastest
      FROM json_each(:parts) AS p
     CROSS JOIN v_report_instance_rollups AS s
     WHERE s.resolution_s = p.value ->> 0 AND s.ts >= p.value ->> 1 AND s.ts < p.value ->> 2
     GROUP BY profile, s.ts / :bucket_s
), ended AS (
    SELECT profile, r.ts / :bucket_s AS bucket, CAST(avg(r.ts) AS INTEGER) AS ts, count(*) * 60.0 / :bucket_s AS rate,
           avg(tokens_per_second) AS speed, min(tokens_per_second) AS slowest, max(tokens_per_second) AS fastest,
           avg(prompt_tokens_per_second) AS prompt_speed, min(prompt_tokens_per_second) AS prompt_slowest,
           max(prompt_tokens_per_second) AS prompt_fastest
      FROM v_generations AS r
     WHERE profile IS NOT NULL AND NOT cache_hit
       AND r.ts >= json_extract(:parts, '$[0][1]') AND r.ts < json_extract(:parts, '$[#-1][2]')
     GROUP BY profile, r.ts / :bucket_s
), known AS (
    SELECT profile, bucket, ts AS watched_ts, NULL AS ended_ts, NULL AS rate, NULL AS speed, NULL AS slowest,
           NULL AS fastest, NULL AS prompt_speed, NULL AS prompt_slowest, NULL AS prompt_fastest
      FROM watched
     UNION ALL
    SELECT profile, bucket, NULL, NULL, NULL, speed, slowest, fastest, prompt_speed, prompt_slowest, prompt_fastest
      FROM watched, kept
     WHERE kept.from_ts IS NULL OR (bucket + 1) * :bucket_s <= kept.from_ts
     UNION ALL
    SELECT profile, bucket, NULL, ts, rate, speed, slowest, fastest, prompt_speed, prompt_slowest, prompt_fastest
      FROM ended
)
SELECT profile AS subject, coalesce(max(watched_ts), max(ended_ts)) AS ts,
       iif(bucket * :bucket_s >= kept.from_ts, coalesce(max(rate), 0.0), max(rate)) AS rate,
       iif(bucket * :bucket_s >= kept.from_ts, coalesce(max(rate), 0.0), max(rate)),
       iif(bucket * :bucket_s >= kept.from_ts, coalesce(max(rate), 0.0), max(rate)),
       max(speed), max(slowest), max(fastest),
       max(prompt_speed), max(prompt_slowest), max(prompt_fastest)
  FROM known, kept
 GROUP BY profile, bucket
 ORDER BY 1, 2;

-- name: read_all_request_buckets
-- All requests together. Of the time before the oldest that is kept, the machine's count and the servers' counters tell.
WITH kept (from_ts) AS MATERIALIZED (SELECT (SELECT ts FROM v_generations ORDER BY ts LIMIT 1)),
watched AS (
    SELECT s.ts / :bucket_s AS bucket, CAST(avg(s.ts + s.resolution_s / 2) AS INTEGER) AS ts, avg(requests_per_minute) AS rate
      FROM json_each(:parts) AS p
     CROSS JOIN v_report_system_rollups AS s
     WHERE s.resolution_s = p.value ->> 0 AND s.ts >= p.value ->> 1 AND s.ts < p.value ->> 2
     GROUP BY s.ts / :bucket_s
), counted AS (
    SELECT s.ts / :bucket_s AS bucket, sum(generated_tokens_per_s * covered_s) / :bucket_s AS generated,
           sum(prompt_tokens_per_s * covered_s) / :bucket_s AS prompt
      FROM json_each(:parts) AS p
     CROSS JOIN v_report_instance_rollups AS s
     WHERE s.resolution_s = p.value ->> 0 AND s.ts >= p.value ->> 1 AND s.ts < p.value ->> 2
     GROUP BY s.ts / :bucket_s
), ended AS (
    SELECT r.ts / :bucket_s AS bucket, CAST(avg(r.ts) AS INTEGER) AS ts, count(*) * 60.0 / :bucket_s AS rate,
           1.0 * sum(generated_tokens) / :bucket_s AS generated,
           1.0 * sum(prompt_tokens - coalesce(cached_tokens, 0)) / :bucket_s AS prompt,
           100.0 * sum(cached_tokens) / nullif(sum(prompt_tokens), 0) AS cached
      FROM v_generations AS r
     WHERE NOT cache_hit AND r.ts >= json_extract(:parts, '$[0][1]') AND r.ts < json_extract(:parts, '$[#-1][2]')
     GROUP BY r.ts / :bucket_s
), known AS (
    SELECT bucket, ts AS watched_ts, NULL AS ended_ts, 0.0 AS rate, 0.0 AS generated, 0.0 AS prompt, NULL AS cached
      FROM watched, kept
     WHERE bucket * :bucket_s >= kept.from_ts
     UNION ALL
    SELECT bucket, ts, NULL, rate, NULL, NULL, NULL
      FROM watched, kept
     WHERE kept.from_ts IS NULL OR bucket * :bucket_s < kept.from_ts
     UNION ALL
    SELECT bucket, NULL, NULL, NULL, generated, prompt, NULL
      FROM counted, kept
     WHERE kept.from_ts IS NULL OR bucket * :bucket_s < kept.from_ts
     UNION ALL
    SELECT bucket, NULL, ts, rate, generated, prompt, cached FROM ended
)
SELECT '' AS subject, coalesce(max(watched_ts), max(ended_ts)) AS ts,
       max(rate), max(rate), max(rate), max(generated), max(generated), max(generated),
       max(prompt), max(prompt), max(prompt), max(cached), max(cached), max(cached)
  FROM known
 GROUP BY bucket
 ORDER BY 2;
