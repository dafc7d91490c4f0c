-- What is kept of servers' logs, and how much of them was given back.

-- name: update_freed
UPDATE instances SET log_freed_bytes = :freed_bytes WHERE id = :id;

-- name: select_freed
SELECT log_freed_bytes FROM instances WHERE id = :id;

-- name: upsert_tail
INSERT INTO log_tails (instance_id, ts, lines) VALUES (:id, :ts, :lines)
ON CONFLICT (instance_id) DO UPDATE SET ts = excluded.ts, lines = excluded.lines;

-- name: select_tail
SELECT lines FROM log_tails WHERE instance_id = :id;

-- name: select_environment
SELECT environment FROM instances WHERE id = :id;
