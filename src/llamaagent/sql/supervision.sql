-- What supervision remembers of launches: failures, progress, memory that ran out. :names are bound.

-- name: update_gave_up
UPDATE instances SET gave_up_ts = :ts, retry_ts = NULL WHERE id = :id AND status = 'error';

-- name: update_progress
UPDATE instances SET progress_bytes = :progress_bytes, progress_boottime_s = :progress_boottime_s
 WHERE id = :id AND status = 'loading';

-- name: select_recent_failures
-- Ends of this launch hash by themselves, within some seconds of now by whichever clock, since an operator's last word.
SELECT count(*)
  FROM (SELECT ended_ts, reason, launch_hash FROM instances
         WHERE profile = :profile AND status = 'error' ORDER BY id DESC LIMIT 100)
 WHERE launch_hash IS :launch_hash AND reason <> 'port-taken' AND abs(:now - ended_ts) <= :within_s
   AND ended_ts > coalesce((SELECT max(ts) FROM audit_log
                             WHERE resource_type = 'profile' AND resource_id = :profile
                               AND action IN ('start', 'restart')), 0);

-- name: select_inputs
SELECT binary, inputs FROM instances WHERE id = :id AND inputs IS NOT NULL;

-- name: select_oom_kills
SELECT oom_kills FROM instances WHERE id = :id;

-- name: select_oom
-- The most memory with which launches like this one ran out of it, on whichever card: more than that is needed.
SELECT max(oom_mib) FROM memory_observations
 WHERE model_path = :model_path AND model_size_bytes = :model_size_bytes AND model_mtime_ns = :model_mtime_ns
   AND parameters_hash = :parameters_hash AND build = :build;

-- name: upsert_oom
INSERT INTO memory_observations (model_path, model_size_bytes, model_mtime_ns, parameters_hash, build, gpu, peak_mib,
                                 estimated_mib, n, instance_id, first_ts, last_ts, oom_mib, oom_ts)
VALUES (:model_path, :model_size_bytes, :model_mtime_ns, :parameters_hash, :build, :gpu, :oom_mib, :estimated_mib, 0,
        :instance_id, :ts, :ts, :oom_mib, :ts)
ON CONFLICT (model_path, model_size_bytes, model_mtime_ns, parameters_hash, build, gpu) DO UPDATE
   SET oom_mib = max(coalesce(oom_mib, 0), excluded.oom_mib), oom_ts = excluded.oom_ts, last_ts = excluded.last_ts;

-- name: select_launch_memory
SELECT model_path, model_size_bytes, model_mtime_ns, binary_identity, gpus, gpu_memory_estimated_mib,
       gpu_memory_measured_mib, parameters_hash
  FROM instances WHERE id = :id;
