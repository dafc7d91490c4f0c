-- Cards lent to somebody for a time or for the life of a process: a lease is a row for each card.

-- name: select_leases
SELECT r.lease_id, r.holder, r.project, r.reason, u.uid, r.created_ts, r.expires_ts, r.memory_mib, r.exclusive,
       r.boot_id, r.pid, r.start_ticks, group_concat(g.uuid)
  FROM reservations AS r
  JOIN gpus AS g ON g.id = r.gpu_id
  LEFT JOIN users AS u ON u.id = r.user_id
 WHERE r.kind = 'lease' AND r.released_ts IS NULL
 GROUP BY r.lease_id
 ORDER BY r.lease_id;

-- name: insert_lease
INSERT INTO reservations (kind, gpu_id, memory_mib, exclusive, holder, project, reason, user_id, created_ts, expires_ts,
                          lease_id, boot_id, pid, start_ticks)
SELECT 'lease', id, :memory_mib, :exclusive, :holder, :project, :reason, :user_id, :ts, :expires_ts, :lease_id, :boot_id,
       :pid, :start_ticks
  FROM gpus WHERE uuid = :uuid
RETURNING id;

-- name: name_lease
UPDATE reservations SET lease_id = id WHERE id = :id;

-- name: follow_lease
UPDATE reservations SET boot_id = :boot_id, pid = :pid, start_ticks = :start_ticks
 WHERE lease_id = :lease_id AND released_ts IS NULL;

-- name: release_lease
UPDATE reservations SET released_ts = min(:ts, coalesce(expires_ts, :ts))
 WHERE lease_id = :lease_id AND released_ts IS NULL
RETURNING gpu_id;
