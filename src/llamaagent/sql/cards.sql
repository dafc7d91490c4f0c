-- The health of cards: what the driver reported, and which give nothing until they were reset.

-- name: list_standings
SELECT id, uuid, pci_bus_id, parent_uuid, failed_reason, last_boot_id, recovery_action
  FROM gpus WHERE vendor = 'nvidia';

-- name: list_failed
-- With the profiles that still run there, as a JSON array.
SELECT g.uuid, g.idx, g.name, g.failed_reason, g.failed_ts,
       (SELECT json_group_array(i.profile)
          FROM instances AS i, json_each(i.gpus) AS u
         WHERE u.value = g.uuid AND i.status IN ('loading', 'running', 'unhealthy', 'stopping')) AS profiles
  FROM gpus AS g WHERE g.status = 'failed' ORDER BY g.idx, g.uuid;

-- name: fail_card
-- Of a card that cannot be read now. One that can gets its state with its sample.
UPDATE gpus SET status = 'failed', failed_reason = :failed, failed_ts = coalesce(failed_ts, :ts) WHERE uuid = :uuid;

-- name: insert_xid
-- The kernel's log and the driver's events tell of the same things: what one said, the other does not say again.
INSERT INTO gpu_xids (ts, gpu_id, pci_bus_id, boot_id, xid, pid, message, source)
SELECT :ts, :gpu_id, :pci, :boot_id, :xid, :pid, :message, :source
 WHERE NOT EXISTS (SELECT 1 FROM gpu_xids AS x
                    WHERE x.gpu_id IS :gpu_id AND x.ts BETWEEN :ts - 10 AND :ts + 10 AND x.boot_id = :boot_id
                      AND x.xid = :xid AND x.source <> :source);

-- name: prune_xids
DELETE FROM gpu_xids WHERE id <= (SELECT max(id) FROM gpu_xids) - 10000;
