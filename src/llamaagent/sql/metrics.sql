-- What `metrics` prints. Each row is one series' labels and values; a column named like a family is its value, NULL
-- leaves the series out.

-- name: list_program
SELECT max(version) AS schema_version FROM schema_version;

-- name: list_passes
SELECT max(ts) AS last_pass_timestamp_seconds FROM system_samples WHERE boot_id IS NOT NULL;

-- name: list_system
SELECT cpu_cores AS system_cpu_cores, cpu_percent / 100 AS system_cpu_utilization_ratio,
       memory_total_mib * 1048576 AS system_memory_total_bytes, memory_used_mib * 1048576 AS system_memory_used_bytes,
       memory_available_mib * 1048576 AS system_memory_available_bytes,
       swap_total_mib * 1048576 AS system_swap_total_bytes, swap_used_mib * 1048576 AS system_swap_used_bytes,
       load_1min AS system_load1, disk_total_mib * 1048576 AS system_disk_total_bytes,
       disk_used_mib * 1048576 AS system_disk_used_bytes
  FROM v_system_latest;

-- name: list_system_counters
SELECT disk_read_bytes_total AS system_disk_read_bytes_total, disk_write_bytes_total AS system_disk_written_bytes_total,
       network_rx_bytes_total AS system_network_receive_bytes_total,
       network_tx_bytes_total AS system_network_transmit_bytes_total
  FROM system_samples WHERE ts = (SELECT max(ts) FROM system_samples);

-- name: list_gpus
SELECT uuid, coalesce(CAST(idx AS TEXT), '') AS "index", coalesce(name, '') AS name, status = 'present' AS gpu_present,
       iif(status = 'present', utilization_percent / 100.0, NULL) AS gpu_utilization_ratio,
       memory_total_mib * 1048576 AS gpu_memory_total_bytes,
       iif(status = 'present', memory_used_mib * 1048576, NULL) AS gpu_memory_used_bytes,
       reserved_mib * 1048576 AS gpu_memory_reserved_bytes,
       iif(status = 'present', temperature_celsius, NULL) AS gpu_temperature_celsius,
       iif(status = 'present', power_mw / 1000.0, NULL) AS gpu_power_watts
  FROM v_gpus WHERE vendor <> 'imported' ORDER BY idx, uuid;

-- name: list_instances
-- One row for each profile that is declared or alive.
SELECT profile, coalesce(project, 'default') AS project, kind, status,
       status = 'running' AS instance_up, wanted AS instance_wanted, restarts AS instance_failures,
       iif(status IN ('loading', 'running', 'unhealthy', 'stopping'), launched_ts, NULL)
           AS instance_start_timestamp_seconds,
       memory_mib * 1048576 AS instance_memory_bytes, gpu_memory_mib * 1048576 AS instance_gpu_memory_bytes,
       cpu_permille / 1000.0 AS instance_cpu_cores, requests_processing AS instance_requests_processing,
       requests_deferred AS instance_requests_deferred
  FROM v_profiles ORDER BY profile;

-- name: list_totals
-- Over every launch there was: launches are kept for ever, so these only grow.
SELECT profile, sum(launched_ts IS NOT NULL) AS launches_total, sum(requests_total) AS requests_total,
       sum(prompt_tokens_total) AS prompt_tokens_total, sum(cached_tokens_total) AS cached_tokens_total,
       sum(generated_tokens_total) AS generated_tokens_total
  FROM instances WHERE coalesce(reason, '') <> 'imported' GROUP BY profile ORDER BY profile;
