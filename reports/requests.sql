-- page: Requests
-- Requests that servers answered, and the response cache: what came from there is no work of a server.

-- name: by_profile
SELECT coalesce(profile, model_name, '?') AS profile, count(*) AS requests, sum(prompt_tokens) AS prompt_tokens,
       sum(cached_tokens) AS cached_tokens, sum(generated_tokens) AS generated_tokens,
       sum(generation_time_ms) / 1000.0 AS generation_s,
       1000.0 * sum(iif(generation_time_ms > 0, generated_tokens, 0)) / nullif(sum(generation_time_ms), 0) AS tokens_per_second,
       sum(coalesce(finish_reason = 'cancelled', 0)) AS cancelled, sum(truncated) AS truncated,
       100.0 * sum(draft_accepted) / nullif(sum(draft_tokens), 0) AS accepted_percent
  FROM v_generations AS r
 WHERE r.ts >= :from_ts AND r.ts < :to_ts AND NOT cache_hit
 GROUP BY 1
 ORDER BY requests DESC, 1;

-- name: by_day
-- The days are those of UTC, as the roll-ups have them.
SELECT r.ts / 86400 * 86400 AS day_ts, count(*) AS requests, sum(prompt_tokens) AS prompt_tokens,
       sum(cached_tokens) AS cached_tokens, sum(generated_tokens) AS generated_tokens,
       sum(coalesce(finish_reason = 'cancelled', 0)) AS cancelled
  FROM v_generations AS r
 WHERE r.ts >= :week_ts AND r.ts < :to_ts AND NOT cache_hit
 GROUP BY 1
 ORDER BY 1 DESC;

-- name: endings
SELECT coalesce(finish_reason, 'not said') AS ending, count(*) AS requests
  FROM v_generations AS r
 WHERE r.ts >= :from_ts AND r.ts < :to_ts AND NOT cache_hit
 GROUP BY 1
 ORDER BY 2 DESC, 1;

-- name: slowest
SELECT ts, profile, prompt_tokens, generated_tokens, total_time_ms, tokens_per_second
  FROM v_generations AS r
 WHERE r.ts >= :from_ts AND r.ts < :to_ts AND NOT cache_hit AND total_time_ms IS NOT NULL
 ORDER BY total_time_ms DESC, id
 LIMIT 10;

-- name: from_the_cache
SELECT count(*) AS answers FROM v_generations AS r WHERE r.ts >= :from_ts AND r.ts < :to_ts AND cache_hit;

-- name: cache
SELECT count(*) AS entries, sum(size_bytes) AS size_bytes, sum(hit_count) AS hits,
       sum(hit_count * coalesce(generation_time_ms, 0)) / 1000.0 AS saved_s,
       sum(hit_count * coalesce(tokens_generated, 0)) AS saved_tokens, min(created_ts) AS oldest_ts,
       max(last_hit_ts) AS last_hit_ts, sum(expires_ts <= :now) AS expired
  FROM v_cache;

-- name: cache_models
SELECT model_path, count(*) AS entries, sum(size_bytes) AS size_bytes, sum(hit_count) AS hits
  FROM v_cache
 GROUP BY model_path
 ORDER BY hits DESC, model_path
 LIMIT 20;
