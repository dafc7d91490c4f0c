-- Measurements, requests and the log of what the agent did.

-- name: select_last_system
-- The row written last: the newest but when the clock was set back.
SELECT ts, boot_id, cpu_cores, cpu_busy_ticks_total, cpu_ticks_total, disk_read_bytes_total, disk_write_bytes_total,
       network_rx_bytes_total, network_tx_bytes_total
  FROM system_samples
 WHERE ts = coalesce((SELECT CAST(value AS INTEGER) FROM metadata WHERE key = 'last_sample_ts'),
                     (SELECT max(ts) FROM system_samples));

-- name: insert_system
INSERT INTO system_samples (ts, interval_s, boot_id, cpu_cores, cpu_busy_ticks_total, cpu_ticks_total, cpu_permille,
  memory_total_mib, memory_used_mib, memory_available_mib, swap_total_mib, swap_used_mib, load_1min_centi,
  load_5min_centi, load_15min_centi, disk_total_mib, disk_used_mib, disk_read_bytes_total, disk_write_bytes_total,
  network_rx_bytes_total, network_tx_bytes_total, disk_read_bytes, disk_write_bytes, network_rx_bytes,
  network_tx_bytes, active_instances, uptime_s, requests, clock_step_s)
VALUES (:ts, :interval_s, :boot_id, :cpu_cores, :cpu_busy_ticks_total, :cpu_ticks_total, :cpu_permille,
  :memory_total_mib, :memory_used_mib, :memory_available_mib, :swap_total_mib, :swap_used_mib, :load_1min_centi,
  :load_5min_centi, :load_15min_centi, :disk_total_mib, :disk_used_mib, :disk_read_bytes_total,
  :disk_write_bytes_total, :network_rx_bytes_total, :network_tx_bytes_total, :disk_read_bytes, :disk_write_bytes,
  :network_rx_bytes, :network_tx_bytes, :active_instances, :uptime_s, :requests, :clock_step_s)
-- A second pass within a second, or one in a second that the clock comes by again, keeps the first measurement and loses
-- no request and no growth; the next difference is taken from its counters, not from those of back then.
ON CONFLICT (ts) DO UPDATE
   SET requests = coalesce(requests, 0) + coalesce(excluded.requests, 0), boot_id = excluded.boot_id,
       cpu_busy_ticks_total = excluded.cpu_busy_ticks_total, cpu_ticks_total = excluded.cpu_ticks_total,
       disk_read_bytes_total = excluded.disk_read_bytes_total, disk_write_bytes_total = excluded.disk_write_bytes_total,
       network_rx_bytes_total = excluded.network_rx_bytes_total,
       network_tx_bytes_total = excluded.network_tx_bytes_total,
       disk_read_bytes = coalesce(disk_read_bytes + excluded.disk_read_bytes, disk_read_bytes, excluded.disk_read_bytes),
       disk_write_bytes =
           coalesce(disk_write_bytes + excluded.disk_write_bytes, disk_write_bytes, excluded.disk_write_bytes),
       network_rx_bytes =
           coalesce(network_rx_bytes + excluded.network_rx_bytes, network_rx_bytes, excluded.network_rx_bytes),
       network_tx_bytes =
           coalesce(network_tx_bytes + excluded.network_tx_bytes, network_tx_bytes, excluded.network_tx_bytes);

-- name: upsert_gpu
-- failed: why the card gives nothing until it was reset, NULL = it is well.
INSERT INTO gpus (uuid, idx, name, vendor, pci_bus_id, driver, memory_total_mib, first_seen_ts, last_seen_ts,
                  last_boot_id, status, parent_uuid, withheld, failed_reason, failed_ts, recovery_action)
VALUES (:uuid, :idx, :name, :vendor, :pci_bus_id, :driver, :memory_total_mib, :ts, :ts, :boot_id,
        iif(:failed IS NULL, 'present', 'failed'), :parent, :withheld, :failed, iif(:failed IS NULL, NULL, :ts),
        :recovery_action)
ON CONFLICT (uuid) DO UPDATE
   SET idx = excluded.idx, name = excluded.name, pci_bus_id = excluded.pci_bus_id, driver = excluded.driver,
       memory_total_mib = excluded.memory_total_mib, last_seen_ts = excluded.last_seen_ts,
       last_boot_id = excluded.last_boot_id, status = excluded.status, parent_uuid = excluded.parent_uuid,
       withheld = excluded.withheld, failed_reason = excluded.failed_reason,
       failed_ts = iif(excluded.failed_reason IS NULL, NULL, coalesce(failed_ts, excluded.failed_ts)),
       recovery_action = coalesce(excluded.recovery_action, recovery_action);

-- name: mark_gpus_gone
-- seen: a JSON array of the uuids that are there. A card that failed and cannot be seen any more stays a failed one
-- until the next boot.
UPDATE gpus SET status = 'gone', failed_reason = NULL, failed_ts = NULL
 WHERE uuid NOT IN (SELECT value FROM json_each(:seen)) AND (status = 'present' OR (status = 'failed' AND last_boot_id <> :boot_id));

-- name: has_failed_cards
SELECT 1 FROM gpus WHERE status = 'failed' LIMIT 1;

-- name: insert_gpu
-- Of two readings in one second the later one is kept.
INSERT INTO gpu_samples (ts, gpu_id, utilization_percent, memory_utilization_percent, memory_total_mib,
  memory_used_mib, memory_free_mib, temperature_celsius, power_mw, power_limit_mw, sm_clock_mhz, memory_clock_mhz,
  throttle_reasons, ecc_volatile, ecc_aggregate)
SELECT :ts, id, :utilization_percent, :memory_utilization_percent, :memory_total_mib, :memory_used_mib,
  :memory_free_mib, :temperature_celsius, :power_mw, :power_limit_mw, :sm_clock_mhz, :memory_clock_mhz,
  :throttle_reasons, :ecc_volatile, :ecc_aggregate
  FROM gpus WHERE uuid = :uuid
ON CONFLICT (ts, gpu_id) DO UPDATE
   SET utilization_percent = excluded.utilization_percent,
       memory_utilization_percent = excluded.memory_utilization_percent,
       memory_total_mib = excluded.memory_total_mib, memory_used_mib = excluded.memory_used_mib,
       memory_free_mib = excluded.memory_free_mib, temperature_celsius = excluded.temperature_celsius,
       power_mw = excluded.power_mw, power_limit_mw = excluded.power_limit_mw, sm_clock_mhz = excluded.sm_clock_mhz,
       memory_clock_mhz = excluded.memory_clock_mhz, throttle_reasons = excluded.throttle_reasons,
       ecc_volatile = excluded.ecc_volatile, ecc_aggregate = excluded.ecc_aggregate;

-- name: upsert_gpu_holder
INSERT INTO gpu_holders (gpu_id, pid, memory_mib, user, command, instance_id, first_seen_ts, last_seen_ts)
SELECT id, :pid, :memory_mib, :user, :command, :instance_id, :ts, :ts FROM gpus WHERE uuid = :uuid
ON CONFLICT (gpu_id, pid) DO UPDATE
   SET memory_mib = excluded.memory_mib, user = excluded.user, command = excluded.command,
       instance_id = excluded.instance_id, last_seen_ts = excluded.last_seen_ts;

-- name: doubt_gpu_holders
-- Before the holders of a pass are written; who is not written again is deleted, in the same second too.
UPDATE gpu_holders SET last_seen_ts = -1;

-- name: delete_old_gpu_holders
DELETE FROM gpu_holders WHERE last_seen_ts = -1;

-- name: select_last_instances
-- The samples written last.
SELECT s.instance_id, s.ts, s.cpu_ticks_total, s.read_bytes_total, s.write_bytes_total, s.prompt_tokens_total,
       s.predicted_tokens_total, s.prompt_ms_total, s.predicted_ms_total, s.decode_total
  FROM instance_samples AS s
 WHERE s.ts = coalesce((SELECT CAST(value AS INTEGER) FROM metadata WHERE key = 'last_sample_ts'),
                       (SELECT max(ts) FROM instance_samples));

-- name: insert_instance
INSERT INTO instance_samples (ts, instance_id, cpu_ticks_total, cpu_permille, rss_kib, threads, read_bytes_total,
  write_bytes_total, read_bytes, write_bytes, prompt_tokens_total, predicted_tokens_total, prompt_ms_total,
  predicted_ms_total, decode_total, prompt_tokens, predicted_tokens, prompt_ms, predicted_ms, requests_processing,
  requests_deferred, gpu_memory_mib, gpu_utilization_percent, health_ms, network_rx_bytes_total,
  network_tx_bytes_total)
VALUES (:ts, :instance_id, :cpu_ticks_total, :cpu_permille, :rss_kib, :threads, :read_bytes_total,
  :write_bytes_total, :read_bytes, :write_bytes, :prompt_tokens_total, :predicted_tokens_total, :prompt_ms_total,
  :predicted_ms_total, :decode_total, :prompt_tokens, :predicted_tokens, :prompt_ms, :predicted_ms,
  :requests_processing, :requests_deferred, :gpu_memory_mib, :gpu_utilization_percent, :health_ms,
  :network_rx_bytes_total, :network_tx_bytes_total)
ON CONFLICT (ts, instance_id) DO UPDATE
   SET cpu_ticks_total = excluded.cpu_ticks_total, read_bytes_total = excluded.read_bytes_total,
       write_bytes_total = excluded.write_bytes_total, prompt_tokens_total = excluded.prompt_tokens_total,
       predicted_tokens_total = excluded.predicted_tokens_total, prompt_ms_total = excluded.prompt_ms_total,
       predicted_ms_total = excluded.predicted_ms_total, decode_total = excluded.decode_total,
       network_rx_bytes_total = excluded.network_rx_bytes_total,
       network_tx_bytes_total = excluded.network_tx_bytes_total,
       read_bytes = coalesce(read_bytes + excluded.read_bytes, read_bytes, excluded.read_bytes),
       write_bytes = coalesce(write_bytes + excluded.write_bytes, write_bytes, excluded.write_bytes),
       prompt_tokens = coalesce(prompt_tokens + excluded.prompt_tokens, prompt_tokens, excluded.prompt_tokens),
       predicted_tokens =
           coalesce(predicted_tokens + excluded.predicted_tokens, predicted_tokens, excluded.predicted_tokens),
       prompt_ms = coalesce(prompt_ms + excluded.prompt_ms, prompt_ms, excluded.prompt_ms),
       predicted_ms = coalesce(predicted_ms + excluded.predicted_ms, predicted_ms, excluded.predicted_ms);

-- name: insert_generation
INSERT INTO generations (ts, started_ts, instance_id, profile, project, model_path, model_name, slot_id, task_id,
  launch_id, prompt_tokens, cached_tokens, generated_tokens, total_tokens, prompt_time_ms, generation_time_ms,
  total_time_ms, prompt_tokens_per_second, tokens_per_second, draft_tokens, draft_accepted, finish_reason, cache_hit,
  client, is_child, truncated)
SELECT :ts, :started_ts, i.id, i.profile, i.project, coalesce(i.model_path, ''), i.profile, :slot_id, :task_id,
  i.launch_id, :prompt_tokens, :cached_tokens, :generated_tokens, :total_tokens, :prompt_time_ms, :generation_time_ms,
  :total_time_ms, :prompt_tokens_per_second, :tokens_per_second, :draft_tokens, :draft_accepted, :finish_reason, 0,
  'unknown', :is_child, :truncated
  FROM instances AS i WHERE i.id = :instance_id
ON CONFLICT DO NOTHING;

-- name: has_claims
SELECT 1 FROM generation_claims LIMIT 1;

-- name: select_claimed
-- Whether llamaagent itself asked this server: claims that wait for their rows, rows that wait for their requests.
SELECT EXISTS (SELECT 1 FROM generation_claims WHERE instance_id = :instance_id),
       EXISTS (SELECT 1 FROM generations WHERE instance_id = :instance_id AND task_id IS NULL);

-- name: insert_log
INSERT INTO logs (ts, level, source, category, message, context_json)
VALUES (:ts, :level, :source, :category, :message, :context_json);

-- name: get_metadata
SELECT value FROM metadata WHERE key = :key;

-- name: set_metadata
INSERT INTO metadata (key, value, updated_at) VALUES (:key, :value, :ts)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at;

-- name: delete_metadata
DELETE FROM metadata WHERE key = :key;

-- name: count_requests
UPDATE system_samples SET requests = coalesce(requests, 0) + :requests WHERE ts = :ts;

-- name: select_activity
SELECT id, tokens_seen, active_ts, active_boottime_s, probe_tokens FROM instances WHERE status = 'running';

-- name: note_activity
-- Moves only when there is something new: more tokens than before without those of our own probes, or a counter that
-- began anew. One that was never used counts from when it became healthy. Tokens of our own that are stored before the
-- server has counted them are no debt of the users'.
UPDATE instances
   SET active_ts = CASE WHEN active_ts IS NULL AND NOT :used AND coalesce(:tokens - probe_tokens, 0) <= 0
                        THEN coalesce(ready_ts, :ts) ELSE :ts END,
       active_boottime_s = :boottime_s, tokens_seen = coalesce(max(:tokens - probe_tokens, 0), tokens_seen)
 WHERE id = :id
   AND (active_ts IS NULL OR :used
        OR :tokens - probe_tokens > coalesce(tokens_seen, -1) OR :tokens < tokens_seen);

-- name: select_unobserved
-- Launches that were healthy once and took more than is kept of launches like them, or are not counted there yet.
SELECT i.id
  FROM instances AS i
  LEFT JOIN memory_observations AS o
    ON o.model_path = i.model_path AND o.model_size_bytes = i.model_size_bytes AND o.model_mtime_ns = i.model_mtime_ns
   AND o.parameters_hash = i.parameters_hash AND o.build = coalesce(i.binary_identity, '') AND o.gpu = 'host'
 WHERE i.status IN ('running', 'unhealthy') AND i.parameters_hash IS NOT NULL AND i.ready_ts IS NOT NULL
   AND i.model_size_bytes IS NOT NULL
   AND (i.memory_counted < 2 OR i.peak_rss_kib > (o.peak_mib + o.peak_mib / 50 + 16) * 1024)
UNION
SELECT i.id
  FROM instances AS i
  LEFT JOIN memory_observations AS o
    ON o.model_path = i.model_path AND o.model_size_bytes = i.model_size_bytes AND o.model_mtime_ns = i.model_mtime_ns
   AND o.parameters_hash = i.parameters_hash AND o.build = coalesce(i.binary_identity, '')
   AND o.gpu = (SELECT group_concat(value, ',') FROM (SELECT value FROM json_each(i.gpus) ORDER BY value))
 WHERE i.status IN ('running', 'unhealthy') AND i.parameters_hash IS NOT NULL AND i.ready_ts IS NOT NULL
   AND i.model_size_bytes IS NOT NULL AND i.gpu_memory_measured_mib > 0
   AND (i.memory_counted IN (0, 2) OR i.gpu_memory_measured_mib > o.peak_mib);
-- name: select_behind
-- Whether a sample of this time would come after its bucket was rolled up.
SELECT 1 FROM metadata WHERE key = 'rollup_300_ts' AND :ts < CAST(value AS INTEGER);

-- name: select_upkeep_due
-- Whether a bucket is complete or enough is old to be worth the deleting. Nothing here reads more than a row or two.
WITH rolled (ts) AS (
    SELECT coalesce((SELECT CAST(value AS INTEGER) FROM metadata WHERE key = 'rollup_300_ts'), 0)
)
SELECT r.ts + 300 <= :now
    OR EXISTS (SELECT 1 FROM instance_samples AS s WHERE s.ts < min(:instance_ts, r.ts))
    OR EXISTS (SELECT 1 FROM system_samples AS s WHERE s.ts < min(:system_ts, r.ts))
    OR EXISTS (SELECT 1 FROM gpu_samples AS s WHERE s.ts < min(:system_ts, r.ts))
    OR EXISTS (SELECT 1 FROM generations AS s WHERE s.ts < :generation_ts)
    OR EXISTS (SELECT 1 FROM logs AS s WHERE s.ts < :log_ts)
    OR EXISTS (SELECT 1 FROM decisions AS s WHERE s.last_ts < :year_ts)
  FROM rolled AS r;
