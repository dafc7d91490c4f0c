-- What the health of a launch remembers from pass to pass. One statement under each heading; :names are bound.

-- name: select_watched
SELECT id, probe_due, stalled_boottime_s, probe_tokens, probe_state
  FROM instances
 WHERE status IN ('loading', 'running', 'unhealthy', 'stopping')
   AND (probe_due IS NOT NULL OR stalled_boottime_s IS NOT NULL OR probe_state IS NOT NULL OR probe_tokens > 0);

-- name: select_watched_one
SELECT id, probe_due, stalled_boottime_s, probe_tokens, probe_state FROM instances WHERE id = :id;

-- name: update_watched
UPDATE instances
   SET probe_due = :probe_due, stalled_boottime_s = :stalled_boottime_s, probe_tokens = :probe_tokens,
       probe_state = :probe_state
 WHERE id = :id;

-- name: update_due
UPDATE instances SET probe_due = :probe_due WHERE id = :id AND probe_due IS NULL;

-- name: update_progress
UPDATE instances SET stalled_boottime_s = NULL WHERE id = :id AND stalled_boottime_s IS NOT NULL;

-- name: update_unkillable
-- It outlives SIGKILL: it stays as it is, with all that it holds, and is told.
UPDATE instances
   SET reason = :reason, detail = :detail, next_signal = 'KILL', next_signal_ts = :next_signal_ts,
       signals_sent = signals_sent + 1
 WHERE id = :id AND status = 'stopping';
