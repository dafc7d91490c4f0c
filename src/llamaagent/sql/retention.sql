-- Watermarks of the roll-ups, and what may be deleted. Nothing here decides: the program says up to when.

-- name: select_lines
SELECT key, CAST(value AS INTEGER) FROM metadata
 WHERE key IN ('rollup_300_ts', 'rollup_3600_ts', 'rollup_86400_ts', 'rollup_300_from_ts', 'rollup_3600_from_ts',
               'rollup_sealed_ts');

-- name: select_next_sample
-- The first sample of any kind that is not older; NULL when there is none.
SELECT min(first_ts) FROM (
    SELECT min(ts) AS first_ts FROM system_samples WHERE ts >= :ts
     UNION ALL
    SELECT min(ts) FROM gpu_samples WHERE ts >= :ts
     UNION ALL
    SELECT min(ts) FROM instance_samples WHERE ts >= :ts);

-- name: select_newest_sample
SELECT max(ts) FROM system_samples;

-- name: select_spacing
-- The usual time between two passes: the median of the last ones, which one jump of the clock does not move.
SELECT interval_s
  FROM (SELECT interval_s FROM (SELECT interval_s FROM system_samples ORDER BY ts DESC LIMIT 9)
         WHERE interval_s > 0 ORDER BY interval_s)
 LIMIT 1
OFFSET (SELECT count(*) / 2 FROM (SELECT interval_s FROM system_samples ORDER BY ts DESC LIMIT 9)
         WHERE interval_s > 0);

-- name: delete_system_rollups
DELETE FROM system_rollups WHERE resolution_s = :resolution_s AND ts >= :from_ts AND ts < :to_ts;

-- name: delete_gpu_rollups
DELETE FROM gpu_rollups WHERE resolution_s = :resolution_s AND ts >= :from_ts AND ts < :to_ts;

-- name: delete_instance_rollups
DELETE FROM instance_rollups WHERE resolution_s = :resolution_s AND ts >= :from_ts AND ts < :to_ts;

-- name: add_rolled_requests
-- Requests that were read after the sample of this time went into the roll-ups.
UPDATE system_rollups
   SET requests = coalesce(requests, 0) + :requests
 WHERE (resolution_s, ts) IN (VALUES (300, :ts / 300 * 300), (3600, :ts / 3600 * 3600), (86400, :ts / 86400 * 86400));

-- name: select_next_rollup
-- The first roll-up of a resolution that is not older; NULL when there is none.
SELECT min(first_ts) FROM (
    SELECT min(ts) AS first_ts FROM system_rollups WHERE resolution_s = :resolution_s AND ts >= :ts
     UNION ALL
    SELECT min(ts) FROM gpu_rollups WHERE resolution_s = :resolution_s AND ts >= :ts
     UNION ALL
    SELECT min(ts) FROM instance_rollups WHERE resolution_s = :resolution_s AND ts >= :ts);

-- name: select_oldest_system_samples
SELECT min(ts) FROM system_samples;

-- name: select_oldest_gpu_samples
SELECT min(ts) FROM gpu_samples;

-- name: select_oldest_instance_samples
SELECT min(ts) FROM instance_samples;

-- name: select_oldest_generations
SELECT min(ts) FROM generations;

-- name: select_oldest_logs
SELECT min(ts) FROM logs;

-- name: select_oldest_decisions
SELECT min(last_ts) FROM decisions;

-- name: select_oldest_health_checks
-- A state that still lasts is as young as its last probe.
SELECT ts FROM health_checks WHERE ts < :upto_ts AND last_ts < :upto_ts ORDER BY ts LIMIT 1;

-- name: select_oldest_log_tails
-- Launches come in order, and so do their last lines.
SELECT ts FROM log_tails ORDER BY instance_id LIMIT 1;

-- name: select_oldest_notifications
SELECT ts FROM notifications WHERE sent_ts IS NOT NULL OR gave_up_ts IS NOT NULL ORDER BY id LIMIT 1;

-- name: select_oldest_api_cache
SELECT min(expires_ts) FROM api_cache WHERE expires_ts IS NOT NULL;

-- name: delete_system_samples
DELETE FROM system_samples
 WHERE ts < min(:upto_ts, coalesce((SELECT n.ts FROM system_samples AS n ORDER BY n.ts LIMIT 1 OFFSET :limit), :upto_ts));

-- name: delete_gpu_samples
-- At the end of a moment, so that its rows go together.
DELETE FROM gpu_samples
 WHERE ts < min(:upto_ts, coalesce((SELECT n.ts + 1 FROM gpu_samples AS n ORDER BY n.ts LIMIT 1 OFFSET :limit), :upto_ts));

-- name: delete_instance_samples
DELETE FROM instance_samples
 WHERE ts < min(:upto_ts, coalesce((SELECT n.ts + 1 FROM instance_samples AS n ORDER BY n.ts LIMIT 1 OFFSET :limit), :upto_ts));

-- name: delete_generations
DELETE FROM generations WHERE id IN (SELECT id FROM generations WHERE ts < :upto_ts ORDER BY ts LIMIT :limit);

-- name: delete_logs
DELETE FROM logs WHERE id IN (SELECT id FROM logs WHERE ts < :upto_ts ORDER BY ts LIMIT :limit);

-- name: delete_decisions
DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE last_ts < :upto_ts ORDER BY last_ts LIMIT :limit);

-- name: delete_health_checks
DELETE FROM health_checks
 WHERE id IN (SELECT id FROM health_checks WHERE ts < :upto_ts AND last_ts < :upto_ts ORDER BY ts LIMIT :limit);

-- name: delete_log_tails
DELETE FROM log_tails
 WHERE instance_id IN (SELECT instance_id FROM log_tails ORDER BY instance_id LIMIT :limit) AND ts < :upto_ts;

-- name: delete_notifications
DELETE FROM notifications
 WHERE id IN (SELECT id FROM notifications WHERE (sent_ts IS NOT NULL OR gave_up_ts IS NOT NULL) ORDER BY id LIMIT :limit)
   AND ts < :upto_ts;

-- name: delete_api_cache
DELETE FROM api_cache
 WHERE endpoint IN (SELECT endpoint FROM api_cache WHERE expires_ts < :upto_ts ORDER BY expires_ts LIMIT :limit);

-- name: count_system_samples
SELECT count(*), coalesce(sum(ts < :upto_ts), 0) FROM system_samples;

-- name: count_gpu_samples
SELECT count(*), coalesce(sum(ts < :upto_ts), 0) FROM gpu_samples;

-- name: count_instance_samples
SELECT count(*), coalesce(sum(ts < :upto_ts), 0) FROM instance_samples;

-- name: count_generations
SELECT count(*), coalesce(sum(ts < :upto_ts), 0) FROM generations;

-- name: count_logs
SELECT count(*), coalesce(sum(ts < :upto_ts), 0) FROM logs;

-- name: count_decisions
SELECT count(*), coalesce(sum(last_ts < :upto_ts), 0) FROM decisions;

-- name: count_health_checks
SELECT count(*), coalesce(sum(last_ts < :upto_ts), 0) FROM health_checks;

-- name: count_log_tails
SELECT count(*), coalesce(sum(ts < :upto_ts), 0) FROM log_tails;

-- name: count_notifications
SELECT count(*), coalesce(sum(ts < :upto_ts AND (sent_ts IS NOT NULL OR gave_up_ts IS NOT NULL)), 0) FROM notifications;

-- name: count_api_cache
SELECT count(*), coalesce(sum(expires_ts < :upto_ts), 0) FROM api_cache;

-- name: select_kept_system_samples
-- The time of the oldest of the newest :keep rows (moments, for samples); no row: there are fewer.
SELECT ts FROM system_samples ORDER BY ts DESC LIMIT 1 OFFSET :keep - 1;

-- name: select_kept_generations
SELECT ts FROM generations ORDER BY ts DESC LIMIT 1 OFFSET :keep - 1;

-- name: select_kept_logs
SELECT ts FROM logs ORDER BY ts DESC LIMIT 1 OFFSET :keep - 1;

-- name: select_kept_decisions
SELECT last_ts FROM decisions ORDER BY last_ts DESC LIMIT 1 OFFSET :keep - 1;

-- name: select_kept_health_checks
SELECT last_ts FROM health_checks ORDER BY last_ts DESC LIMIT 1 OFFSET :keep - 1;

-- name: select_kept_log_tails
SELECT ts FROM log_tails ORDER BY instance_id DESC LIMIT 1 OFFSET :keep - 1;

-- name: select_kept_notifications
SELECT ts FROM notifications ORDER BY id DESC LIMIT 1 OFFSET :keep - 1;
