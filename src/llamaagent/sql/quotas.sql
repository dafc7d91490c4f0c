-- Limits of projects, and what is used of them.

-- name: select_overrides
SELECT project, resource, amount, window_s, origin, reason, username, until_ts
  FROM quotas
 WHERE origin = 'override' AND (:project IS NULL OR project = :project);

-- name: delete_settings
DELETE FROM quotas WHERE origin = 'settings';

-- name: insert_settings
INSERT INTO quotas (project, resource, origin, amount, window_s, created_ts)
VALUES (:project, :resource, 'settings', :amount, :window_s, :ts);

-- name: upsert_override
INSERT INTO quotas (project, resource, origin, amount, window_s, reason, user_id, username, created_ts, until_ts)
VALUES (:project, :resource, 'override', :amount, :window_s, :reason, :user_id, :username, :ts, :until_ts)
ON CONFLICT (project, resource, origin) DO UPDATE
   SET amount = excluded.amount, window_s = excluded.window_s, reason = excluded.reason, user_id = excluded.user_id,
       username = excluded.username, created_ts = excluded.created_ts, until_ts = excluded.until_ts;

-- name: delete_override
DELETE FROM quotas WHERE project = :project AND resource = :resource AND origin = 'override'
RETURNING amount, window_s, until_ts;

-- name: select_running
-- The instances that count, in the words of the view project_quotas.
SELECT id, profile, coalesce(cpu_limit_milli, 0), coalesce(memory_limit_mib, 0)
  FROM instances
 WHERE project = :project AND status IN ('loading', 'running', 'unhealthy', 'stopping') AND id IS NOT :leaving
 ORDER BY profile;

-- name: select_cards
-- Each card of which the project holds something, once for each who holds it.
SELECT g.id, g.idx, g.uuid, i.profile
  FROM reservations AS r
  JOIN instances AS i ON i.id = r.instance_id
  JOIN gpus AS g ON g.id = r.gpu_id
 WHERE r.released_ts IS NULL AND (r.expires_ts IS NULL OR r.expires_ts > unixepoch('now'))
   AND i.project = :project AND i.status IN ('loading', 'running', 'unhealthy', 'stopping') AND i.id IS NOT :leaving
UNION
SELECT g.id, g.idx, g.uuid, r.holder
  FROM reservations AS r
  JOIN gpus AS g ON g.id = r.gpu_id
 WHERE r.kind = 'lease' AND r.project = :project AND r.released_ts IS NULL
   AND (r.expires_ts IS NULL OR r.expires_ts > unixepoch('now'))
UNION
SELECT g.id, g.idx, g.uuid, i.profile
  FROM instances AS i, json_each(i.gpus) AS u
  JOIN gpus AS g ON g.uuid = u.value
 WHERE i.project = :project AND i.status IN ('loading', 'running', 'unhealthy', 'stopping') AND i.id IS NOT :leaving
 ORDER BY 1, 4;

-- name: select_card_time
-- What a project has reserved since a time. A machine that went down held its cards until it was last seen.
SELECT r.project, r.holder, r.gpu_id, max(r.created_ts, :since),
       min(:now, coalesce(r.expires_ts, :now),
           CASE WHEN i.reason = 'reboot' THEN coalesce(i.last_seen_ts, r.released_ts) ELSE coalesce(r.released_ts, :now) END),
       r.memory_mib
  FROM reservations AS r LEFT JOIN instances AS i ON i.id = r.instance_id
 WHERE r.project = :project AND (r.released_ts IS NULL OR r.released_ts > :since);

-- name: select_all_card_time
SELECT r.project, r.holder, r.gpu_id, max(r.created_ts, :since),
       min(:now, coalesce(r.expires_ts, :now),
           CASE WHEN i.reason = 'reboot' THEN coalesce(i.last_seen_ts, r.released_ts) ELSE coalesce(r.released_ts, :now) END),
       r.memory_mib
  FROM reservations AS r LEFT JOIN instances AS i ON i.id = r.instance_id
 WHERE r.released_ts IS NULL OR r.released_ts > :since;

-- name: select_power
SELECT g.ts, g.gpu_id, g.power_mw, s.interval_s, g.memory_total_mib
  FROM gpu_samples AS g JOIN system_samples AS s ON s.ts = g.ts
 WHERE g.ts > :since
 ORDER BY g.ts;

-- name: select_tokens
SELECT coalesce(profile, '?'), sum(coalesce(total_tokens, 0))
  FROM generations
 WHERE project = :project AND ts > :since AND NOT cache_hit  -- an answer from the cache cost nothing
 GROUP BY 1 ORDER BY 1;

-- name: select_projects
-- Every project that has a limit, or of which something runs or is lent.
SELECT project FROM quotas
UNION
SELECT project FROM instances WHERE status IN ('loading', 'running', 'unhealthy', 'stopping')
UNION
SELECT project FROM reservations WHERE released_ts IS NULL;
