-- page: Speed by build
-- Whether an upgrade of llama.cpp made anything faster: requests of the last 31 days by the build that answered them.

-- name: builds
SELECT profile, coalesce(build, 'not known') AS build, count(*) AS requests, min(ts) AS first_ts, max(ts) AS last_ts,
       1000.0 * sum(generated_tokens) / nullif(sum(generation_time_ms), 0) AS tokens_per_second,
       1000.0 * sum(prompt_tokens - coalesce(cached_tokens, 0)) / nullif(sum(prompt_time_ms), 0) AS prompt_per_second
  FROM v_generations AS r
 WHERE r.ts >= :month_ts AND r.ts < :to_ts AND profile IS NOT NULL
 GROUP BY profile, build
 ORDER BY profile, max(ts) DESC;

-- name: speed_buckets
-- Drawn by charts.toml: one subject (''), the time, then mean, lowest and highest of each figure.
SELECT '' AS subject, CAST(avg(r.ts) AS INTEGER) AS ts, avg(tokens_per_second), min(tokens_per_second), max(tokens_per_second)
  FROM v_generations AS r
 WHERE r.ts >= :from_ts AND r.ts < :to_ts AND tokens_per_second IS NOT NULL
 GROUP BY r.ts / :bucket_s
 ORDER BY 2;
