-- page: Journal
-- What was decided, what happened, what people did.

-- name: decisions
SELECT ts, last_ts, count AS times, profile, action, reason, detail, arithmetic
  FROM v_decisions
 WHERE last_ts >= :week_ts
 ORDER BY last_ts DESC, id DESC
 LIMIT 150;

-- name: events
SELECT ts, level, source, profile, message
  FROM v_events AS e
 WHERE e.ts >= :week_ts AND level <> 'debug'
 ORDER BY ts DESC, id DESC
 LIMIT 150;

-- name: people
SELECT ts, username, action, resource_type, resource_id
  FROM v_audit AS a
 WHERE a.ts >= :month_ts
 ORDER BY ts DESC, id DESC
 LIMIT 60;
