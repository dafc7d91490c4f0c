-- Instances, their decisions and reservations. One statement under each heading; :names are bound.

-- name: select_newest
-- The newest row of each profile, which is the live one if there is any. The names are found one by one in the index,
-- so that a year of launches costs a pass no more than a day of them.
WITH RECURSIVE names (profile) AS (
  SELECT min(profile) FROM instances
  UNION ALL
  SELECT (SELECT min(i.profile) FROM instances AS i WHERE i.profile > names.profile) FROM names
   WHERE names.profile IS NOT NULL
)
SELECT id, profile, kind, project, status, reason, detail, since_ts, launch_id, launch_hash, profile_hash, host, port,
       boot_id, wrapper_pid, wrapper_start_ticks, pid, start_ticks, log_path, exit_path, created_ts, launched_ts,
       ready_ts, last_seen_ts, stop_reason, next_signal, next_signal_ts, signals_sent, ended_ts, exit_code, exit_signal, failures,
       restarts, retry_ts, git_commit, git_dirty, build, gpus, gave_up_ts, progress_bytes,
       progress_boottime_s, container_id, container_name, engine
  FROM instances
 WHERE id IN (SELECT (SELECT max(i.id) FROM instances AS i WHERE i.profile = names.profile) FROM names)
 ORDER BY profile;

-- name: select_one
SELECT id, profile, kind, project, status, reason, detail, since_ts, launch_id, launch_hash, profile_hash, host, port,
       boot_id, wrapper_pid, wrapper_start_ticks, pid, start_ticks, log_path, exit_path, created_ts, launched_ts,
       ready_ts, last_seen_ts, stop_reason, next_signal, next_signal_ts, signals_sent, ended_ts, exit_code, exit_signal, failures,
       restarts, retry_ts, git_commit, git_dirty, build, gpus, gave_up_ts, progress_bytes,
       progress_boottime_s, container_id, container_name, engine
  FROM instances
 WHERE id = :id;

-- name: select_profile_history
SELECT id, profile, kind, project, status, reason, detail, since_ts, launch_id, launch_hash, profile_hash, host, port,
       boot_id, wrapper_pid, wrapper_start_ticks, pid, start_ticks, log_path, exit_path, created_ts, launched_ts,
       ready_ts, last_seen_ts, stop_reason, next_signal, next_signal_ts, signals_sent, ended_ts, exit_code, exit_signal, failures,
       restarts, retry_ts, git_commit, git_dirty, build, gpus, gave_up_ts, progress_bytes,
       progress_boottime_s, container_id, container_name, engine
  FROM instances
 WHERE profile = :profile
 ORDER BY id DESC
 LIMIT :limit;

-- name: select_ports
-- The port each profile used last.
SELECT profile, port
  FROM instances
 WHERE id IN (SELECT max(id) FROM instances WHERE port IS NOT NULL GROUP BY profile);

-- name: select_launch
SELECT id FROM instances WHERE launch_id = :launch_id;

-- name: update_detached
UPDATE instances
   SET status = 'stopped', reason = 'detached', detail = 'forgotten, left running', since_ts = :ts, ended_ts = :ts
 WHERE profile = :profile AND status IN ('created', 'loading', 'running', 'unhealthy', 'stopping');

-- name: release_of_profile
UPDATE reservations SET released_ts = :ts
 WHERE released_ts IS NULL AND instance_id IN (SELECT id FROM instances WHERE profile = :profile);

-- name: insert_held
INSERT INTO instances (profile, kind, project, status, reason, detail, since_ts, profile_hash, launch_hash, created_ts,
                       restarts, model_path, model_id)
VALUES (:profile, :kind, :project, 'created', :reason, :detail, :ts, :profile_hash, :launch_hash, :ts,
        :restarts, :model_path, (SELECT id FROM models WHERE name = :profile))
RETURNING id;

-- name: update_held
-- Who waits for room keeps its place in the line, whatever stands in its way just now.
UPDATE instances
   SET since_ts = CASE WHEN reason IS :reason OR (reason IN ('gpu-memory', 'gpu-releasing', 'memory', 'cpu', 'evicted', 'queued')
                                                  AND :reason IN ('gpu-memory', 'gpu-releasing', 'memory', 'cpu', 'evicted', 'queued'))
                       THEN since_ts ELSE :ts END,
       reason = :reason, detail = :detail, profile_hash = :profile_hash, launch_hash = :launch_hash
 WHERE id = :id AND status = 'created' AND (reason IS NOT :reason OR detail IS NOT :detail);

-- name: update_intent
-- The held row becomes the launch: after this commit a process of ours may exist.
UPDATE instances
   SET status = 'loading', reason = :reason, detail = :detail, since_ts = :ts, launch_id = :launch_id,
       launch_hash = :launch_hash, profile_hash = :profile_hash, host = :host, port = :port, boot_id = :boot_id,
       log_path = :log_path, exit_path = :exit_path, launched_ts = :ts, last_seen_ts = :ts, git_commit = :git_commit,
       git_dirty = :git_dirty, gpus = :gpus, model_path = :model_path, model_size_bytes = :model_size_bytes,
       model_mtime_ns = :model_mtime_ns, binary = :binary, binary_identity = :binary_identity, argv = :argv,
       environment = :environment, working_directory = :working_directory, api_prefix = :api_prefix, scheme = :scheme,
       gpu_memory_declared_mib = :gpu_memory_declared_mib, gpu_memory_estimated_mib = :gpu_memory_estimated_mib,
       memory_limit_mib = :memory_limit_mib, cpu_limit_milli = :cpu_limit_milli, project = :project,
       kind = :kind, failures = 0, log_offset_bytes = 0, inputs = :inputs, oom_kills = :oom_kills,
       sized_context = :sized_context, sized_gpu_layers = :sized_gpu_layers,
       sized_tensor_split = :sized_tensor_split, parameters_hash = :parameters_hash,
       container_id = NULL, container_name = :container_name, image = :image, image_digest = :image_digest,
       port_mappings = :port_mappings, engine = :engine, engine_log = NULL,
       user_id = iif(:reason = 'override', (SELECT u.id FROM overrides AS o JOIN users AS u ON u.username = o.username
                                             WHERE o.profile = instances.profile), NULL)
 WHERE id = :id AND status = 'created';

-- name: update_spawned
UPDATE instances
   SET boot_id = :boot_id, wrapper_pid = :wrapper_pid, wrapper_start_ticks = :wrapper_start_ticks,
       pid = :pid, start_ticks = :start_ticks, last_seen_ts = :ts
 WHERE id = :id AND status IN ('loading', 'running', 'unhealthy', 'stopping');

-- name: insert_adopted
-- A live server of this site whose row is lost: the row is written again from what /proc and its environment say.
INSERT INTO instances (profile, kind, project, status, reason, detail, since_ts, launch_id, launch_hash, profile_hash,
                       host, port, boot_id, wrapper_pid, wrapper_start_ticks, pid, start_ticks, log_path, exit_path,
                       created_ts, launched_ts, last_seen_ts, argv, model_path, gpus, log_offset_bytes, model_id,
                       container_id, container_name, image, image_digest, port_mappings, engine, memory_limit_mib,
                       cpu_limit_milli)
VALUES (:profile, :kind, :project, 'loading', 'adopted', :detail, :ts, :launch_id, :launch_hash, :profile_hash,
        :host, :port, :boot_id, :wrapper_pid, :wrapper_start_ticks, :pid, :start_ticks, :log_path, :exit_path,
        :ts, :launched_ts, :ts, :argv, :model_path, :gpus, 0, (SELECT id FROM models WHERE name = :profile),
        :container_id, :container_name, :image, :image_digest, :port_mappings, :engine, :memory_limit_mib,
        :cpu_limit_milli)
RETURNING id;

-- name: update_found
-- A live server that we did not launch: what is known of it becomes the launch of the held row.
UPDATE instances
   SET status = 'loading', kind = :kind, project = :project, reason = :reason, detail = :detail, since_ts = :ts,
       launch_hash = :launch_hash, profile_hash = :profile_hash, host = :host, port = :port, boot_id = :boot_id,
       pid = :pid, start_ticks = :start_ticks, log_path = :log_path, log_inode = :log_inode,
       log_offset_bytes = :log_offset_bytes, launched_ts = :launched_ts, last_seen_ts = :ts, argv = :argv,
       environment = :environment, working_directory = :working_directory, binary = :binary,
       binary_identity = :binary_identity, model_path = :model_path, model_size_bytes = :model_size_bytes,
       model_mtime_ns = :model_mtime_ns, gpus = :gpus, git_commit = :git_commit, git_dirty = :git_dirty,
       api_prefix = :api_prefix, scheme = :scheme, failures = 0
 WHERE id = :id AND status = 'created';

-- name: update_status
UPDATE instances
   SET status = :status, reason = :reason, detail = :detail, since_ts = :ts, last_seen_ts = :ts, failures = :failures
 WHERE id = :id AND status IN ('loading', 'running', 'unhealthy');

-- name: update_ready
UPDATE instances
   SET status = 'running', reason = :reason, detail = :detail, since_ts = :ts, ready_ts = :ts, last_seen_ts = :ts,
       failures = 0
 WHERE id = :id AND status = 'loading';

-- name: update_failures
UPDATE instances SET failures = :failures WHERE id = :id;

-- name: update_stopping
UPDATE instances
   SET status = 'stopping', reason = :reason, detail = :detail, since_ts = :ts, stop_reason = :reason,
       next_signal = 'TERM', next_signal_ts = :next_signal_ts, signals_sent = 0
 WHERE id = :id AND status IN ('loading', 'running', 'unhealthy');

-- name: update_next_signal
UPDATE instances SET next_signal = :next_signal, next_signal_ts = :next_signal_ts, signals_sent = signals_sent + 1
 WHERE id = :id AND status = 'stopping';

-- name: update_ended
UPDATE instances
   SET status = :status, reason = :reason, detail = :detail, since_ts = :ts, ended_ts = :ended_ts,
       exit_code = :exit_code, exit_signal = :exit_signal, retry_ts = :retry_ts, next_signal = NULL,
       next_signal_ts = NULL, restarts = coalesce(:restarts, restarts)
 WHERE id = :id AND status IN ('created', 'loading', 'running', 'unhealthy', 'stopping');

-- name: update_build
UPDATE instances SET build = :build WHERE id = :id;

-- name: update_effective
UPDATE instances SET context_size = coalesce(:context_size, context_size), gpu_layers = coalesce(:gpu_layers, gpu_layers)
 WHERE id = :id;

-- name: update_deleted
UPDATE instances SET status = 'deleted' WHERE profile = :profile AND status IN ('stopped', 'error');

-- name: update_log
UPDATE instances SET log_inode = :log_inode, log_offset_bytes = :log_offset_bytes, log_state = :log_state WHERE id = :id;

-- name: select_log_positions
SELECT id, log_path, log_inode, log_offset_bytes, log_state, launched_ts
  FROM instances
 WHERE status IN ('loading', 'running', 'unhealthy', 'stopping') AND log_path IS NOT NULL;

-- name: select_log_position
SELECT id, log_path, log_inode, log_offset_bytes, log_state, launched_ts FROM instances WHERE id = :id;

-- name: add_to_averages
UPDATE instances
   SET sample_n = sample_n + (:cpu_permille IS NOT NULL AND :rss_kib IS NOT NULL),
       cpu_permille_sum = cpu_permille_sum + iif(:cpu_permille IS NULL OR :rss_kib IS NULL, 0, :cpu_permille),
       rss_kib_sum = rss_kib_sum + iif(:cpu_permille IS NULL OR :rss_kib IS NULL, 0, :rss_kib),
       gpu_utilization_n = gpu_utilization_n + (:gpu_utilization_percent IS NOT NULL),
       gpu_utilization_sum = gpu_utilization_sum + coalesce(:gpu_utilization_percent, 0),
       peak_rss_kib = nullif(max(coalesce(peak_rss_kib, 0), coalesce(:rss_kib, 0)), 0),
       gpu_memory_measured_mib = iif(:gpu_memory_mib IS NULL, gpu_memory_measured_mib,
                                     max(coalesce(gpu_memory_measured_mib, 0), :gpu_memory_mib)),
       last_seen_ts = :ts
 WHERE id = :instance_id;

-- name: select_decision
-- The newest decision about a profile: repeated, it is counted, not written again.
SELECT id, action, reason, detail, instance_id FROM decisions WHERE profile = :profile ORDER BY id DESC LIMIT 1;

-- name: insert_decision
INSERT INTO decisions (ts, last_ts, count, profile, instance_id, action, reason, detail, arithmetic)
VALUES (:ts, :ts, 1, :profile, :instance_id, :action, :reason, :detail, :arithmetic);

-- name: update_decision
UPDATE decisions SET last_ts = :ts, count = count + 1, arithmetic = :arithmetic WHERE id = :id;

-- name: insert_reservation
INSERT INTO reservations (instance_id, gpu_id, memory_mib, exclusive, kind, holder, project, reason, created_ts)
SELECT :instance_id, id, :memory_mib, :exclusive, 'instance', :holder, :project, :reason, :ts FROM gpus WHERE uuid = :uuid;

-- name: release_reservations
UPDATE reservations SET released_ts = :ts WHERE instance_id = :instance_id AND released_ts IS NULL;

-- name: select_reservations
SELECT r.instance_id, g.uuid, r.memory_mib, r.exclusive, r.holder,
       iif(r.kind = 'lease', coalesce(r.lease_id, r.id), NULL)
  FROM reservations AS r JOIN gpus AS g ON g.id = r.gpu_id
 WHERE r.released_ts IS NULL AND (r.expires_ts IS NULL OR r.expires_ts > unixepoch('now'));

-- name: select_any_lease
SELECT 1 FROM reservations WHERE kind = 'lease' AND released_ts IS NULL LIMIT 1;

-- name: insert_health
INSERT INTO health_checks (instance_id, ts, last_ts, count, status, http_status, latency_ms, detail)
VALUES (:instance_id, :ts, :ts, 1, :status, :http_status, :latency_ms, :detail);

-- name: select_health
SELECT id, status FROM health_checks WHERE instance_id = :instance_id ORDER BY id DESC LIMIT 1;

-- name: update_health
UPDATE health_checks
   SET last_ts = :ts, count = count + 1, http_status = :http_status, latency_ms = :latency_ms, detail = :detail
 WHERE id = :id;

-- name: select_newest_decision
SELECT max(id) FROM decisions;

-- name: select_bad_ends
-- A port that was taken is tried again at once elsewhere, and is nobody's trouble.
SELECT d.profile, coalesce(d.reason, 'crash'), d.detail, i.ready_ts IS NOT NULL AS was_healthy, max(d.id)
  FROM decisions AS d
  JOIN instances AS i ON i.id = d.instance_id
 WHERE d.id > :after AND d.action = 'end' AND i.status = 'error' AND d.reason IS NOT 'port-taken'
 GROUP BY d.profile;
