-- page: Projects
-- What projects use beside what they may. The table of limits itself is reckoned as `quota` does it.

-- name: holders
-- Cards that are held now.
SELECT project, holder, kind, idx, uuid, memory_mib, from_ts, nullif(to_ts, 9223372036854775807) AS to_ts, reason
  FROM v_card_time
 WHERE from_ts <= :now AND to_ts > :now AND (:project IS NULL OR project = :project)
 ORDER BY project, holder, idx, uuid;

-- name: month
-- Card time of servers, by project and profile, from the roll-ups.
SELECT project, profile, sum(card_s) / 3600.0 AS gpu_hours
  FROM v_gpu_seconds AS s
 WHERE s.resolution_s = 3600 AND s.ts >= :month_ts AND s.ts < :to_ts AND (:project IS NULL OR project = :project)
 GROUP BY project, profile
 ORDER BY gpu_hours DESC, project, profile;

-- name: tokens
SELECT project, profile, count(*) AS requests, sum(prompt_tokens) AS prompt_tokens, sum(cached_tokens) AS cached_tokens,
       sum(generated_tokens) AS generated_tokens
  FROM v_generations AS r
 WHERE r.ts >= :month_ts AND r.ts < :to_ts AND NOT cache_hit AND project = coalesce(:project, project)
 GROUP BY project, profile
 ORDER BY project, profile;
