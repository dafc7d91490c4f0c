-- What launches really take, what was promised, and what has not come back yet. One statement a heading.

-- name: select_measured
-- The most that launches like this one ever took, by card (uuids, or 'host') and kind of card. n = 0: a row that only
-- says what was not enough.
SELECT gpu, gpu_name, peak_mib FROM memory_observations
 WHERE model_path = :model_path AND model_size_bytes = :model_size_bytes AND model_mtime_ns = :model_mtime_ns
   AND parameters_hash = :parameters_hash AND build = :build AND n > 0;

-- name: observe_cards
-- Kept only of a launch that was healthy: before that it has not taken what it takes.
INSERT INTO memory_observations (model_path, model_size_bytes, model_mtime_ns, parameters_hash, build, gpu, gpu_name,
                                 peak_mib, estimated_mib, n, instance_id, first_ts, last_ts)
SELECT model_path, model_size_bytes, coalesce(model_mtime_ns, 0), parameters_hash, coalesce(binary_identity, ''),
       (SELECT group_concat(value, ',') FROM (SELECT value FROM json_each(instances.gpus) ORDER BY value)),
       (SELECT min(name) FROM gpus WHERE uuid IN (SELECT value FROM json_each(instances.gpus))),
       gpu_memory_measured_mib, gpu_memory_estimated_mib, 1, id, :ts, :ts
  FROM instances
 WHERE id = :id AND parameters_hash IS NOT NULL AND ready_ts IS NOT NULL AND gpu_memory_measured_mib > 0
   AND model_path IS NOT NULL AND model_size_bytes IS NOT NULL AND json_array_length(gpus) > 0
ON CONFLICT (model_path, model_size_bytes, model_mtime_ns, parameters_hash, build, gpu) DO UPDATE
   SET peak_mib = iif(n = 0, excluded.peak_mib, max(peak_mib, excluded.peak_mib)),
       instance_id = iif(n = 0 OR excluded.peak_mib > peak_mib, excluded.instance_id, instance_id),
       estimated_mib = coalesce(excluded.estimated_mib, estimated_mib),
       gpu_name = coalesce(excluded.gpu_name, gpu_name), last_ts = excluded.last_ts,
       n = n + (SELECT memory_counted IN (0, 2) FROM instances WHERE id = :id);

-- name: observe_host
INSERT INTO memory_observations (model_path, model_size_bytes, model_mtime_ns, parameters_hash, build, gpu, peak_mib,
                                 n, instance_id, first_ts, last_ts)
SELECT model_path, model_size_bytes, coalesce(model_mtime_ns, 0), parameters_hash, coalesce(binary_identity, ''), 'host',
       (peak_rss_kib + 1023) / 1024, 1, id, :ts, :ts
  FROM instances
 WHERE id = :id AND parameters_hash IS NOT NULL AND ready_ts IS NOT NULL AND peak_rss_kib > 0
   AND model_path IS NOT NULL AND model_size_bytes IS NOT NULL
ON CONFLICT (model_path, model_size_bytes, model_mtime_ns, parameters_hash, build, gpu) DO UPDATE
   SET instance_id = iif(excluded.peak_mib > peak_mib, excluded.instance_id, instance_id),
       peak_mib = max(peak_mib, excluded.peak_mib), last_ts = excluded.last_ts,
       n = n + (SELECT memory_counted < 2 FROM instances WHERE id = :id);

-- name: count_observed
UPDATE instances
   SET memory_counted = ((memory_counted & 1) | coalesce(gpu_memory_measured_mib > 0, 0))
                      | 2 * ((memory_counted >= 2) | coalesce(peak_rss_kib > 0, 0))
 WHERE id = :id AND parameters_hash IS NOT NULL AND ready_ts IS NOT NULL;

-- name: select_known_cards
-- Every card that was ever seen here, and in which boot last.
SELECT uuid, last_boot_id FROM gpus ORDER BY uuid;

-- name: select_given_back
-- What launches that ended a moment ago had reserved, by card: the driver may not have it back yet.
SELECT g.uuid, r.holder, max(coalesce(r.memory_mib, 0), coalesce(i.gpu_memory_measured_mib, 0))
  FROM reservations AS r
  JOIN gpus AS g ON g.id = r.gpu_id
  LEFT JOIN instances AS i ON i.id = r.instance_id AND json_array_length(i.gpus) = 1
 WHERE r.released_ts BETWEEN :since AND :now;

-- name: select_claims
-- What live launches claim of the machine, and what they have of it.
SELECT i.id, i.profile, i.cpu_limit_milli, i.memory_limit_mib,
       (SELECT s.rss_kib FROM instance_samples AS s
         WHERE s.instance_id = i.id AND s.ts = coalesce((SELECT CAST(value AS INTEGER) FROM metadata
                                                          WHERE key = 'last_sample_ts'), -1)) AS rss_kib
  FROM instances AS i
 WHERE i.status IN ('loading', 'running', 'unhealthy', 'stopping')
   AND (i.cpu_limit_milli IS NOT NULL OR i.memory_limit_mib IS NOT NULL);

-- name: select_off_card
-- Launches that have a card, are healthy for a while, and of which neither the driver nor their own log shows
-- anything on a card; told only where the card was read since and every process on it is known by name.
SELECT i.id,
       EXISTS (SELECT 1 FROM instances AS b
                WHERE b.id = (SELECT max(c.id) FROM instances AS c WHERE c.profile = i.profile AND c.id < i.id)
                  AND b.reason = 'on-cpu' AND b.launch_hash IS i.launch_hash) AS again
  FROM instances AS i
 WHERE i.status IN ('running', 'unhealthy') AND i.gpus IS NOT NULL AND json_array_length(i.gpus) > 0
   AND i.kind <> 'external' AND i.pid IS NOT NULL
   AND coalesce(i.gpu_memory_measured_mib, 0) = 0 AND coalesce(i.gpu_layers, 0) = 0
   AND NOT EXISTS (SELECT 1 FROM json_each(i.gpus) AS u
                    WHERE NOT EXISTS (SELECT 1 FROM gpus AS g JOIN gpu_samples AS s ON s.gpu_id = g.id
                                       WHERE g.uuid = u.value AND g.status = 'present'
                                         AND s.ts >= i.ready_ts + :grace_s AND s.ts <= :now))
   AND NOT EXISTS (SELECT 1 FROM gpu_holders AS h JOIN gpus AS g ON g.id = h.gpu_id
                    WHERE g.uuid IN (SELECT value FROM json_each(i.gpus))
                      AND (h.command IS NULL OR h.instance_id = i.id));
