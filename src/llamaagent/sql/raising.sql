-- From finer roll-ups to coarser ones, one statement a table; the caller has deleted what was there.

-- name: raise_system
INSERT INTO system_rollups (
    resolution_s, ts, n, covered_s, cpu_permille_n, cpu_permille_sum, cpu_permille_min, cpu_permille_max,
    memory_used_mib_n, memory_used_mib_sum, memory_used_mib_min, memory_used_mib_max, memory_available_mib_n,
    memory_available_mib_sum, memory_available_mib_min, memory_available_mib_max, swap_used_mib_n,
    swap_used_mib_sum, swap_used_mib_min, swap_used_mib_max, load_1min_centi_n, load_1min_centi_sum,
    load_1min_centi_min, load_1min_centi_max, disk_used_mib_n, disk_used_mib_sum, disk_used_mib_min,
    disk_used_mib_max, active_instances_n, active_instances_sum, active_instances_min, active_instances_max,
    memory_total_mib, disk_total_mib, disk_read_bytes, disk_write_bytes, network_rx_bytes, network_tx_bytes,
    requests)
SELECT :resolution_s, r.ts / :resolution_s * :resolution_s, sum(r.n), sum(r.covered_s),
       sum(r.cpu_permille_n), sum(r.cpu_permille_sum), min(r.cpu_permille_min), max(r.cpu_permille_max),
       sum(r.memory_used_mib_n), sum(r.memory_used_mib_sum), min(r.memory_used_mib_min), max(r.memory_used_mib_max),
       sum(r.memory_available_mib_n), sum(r.memory_available_mib_sum), min(r.memory_available_mib_min), max(r.memory_available_mib_max),
       sum(r.swap_used_mib_n), sum(r.swap_used_mib_sum), min(r.swap_used_mib_min), max(r.swap_used_mib_max),
       sum(r.load_1min_centi_n), sum(r.load_1min_centi_sum), min(r.load_1min_centi_min), max(r.load_1min_centi_max),
       sum(r.disk_used_mib_n), sum(r.disk_used_mib_sum), min(r.disk_used_mib_min), max(r.disk_used_mib_max),
       sum(r.active_instances_n), sum(r.active_instances_sum), min(r.active_instances_min), max(r.active_instances_max),
       max(r.memory_total_mib), max(r.disk_total_mib), sum(r.disk_read_bytes), sum(r.disk_write_bytes),
       sum(r.network_rx_bytes), sum(r.network_tx_bytes), sum(r.requests)
  FROM system_rollups AS r
 WHERE r.resolution_s = :finer_s AND r.ts >= :from_ts AND r.ts < :to_ts
 GROUP BY r.ts / :resolution_s;

-- name: raise_gpu
INSERT INTO gpu_rollups (
    resolution_s, ts, gpu_id, n, covered_s, utilization_percent_n, utilization_percent_sum,
    utilization_percent_min, utilization_percent_max, memory_used_mib_n, memory_used_mib_sum, memory_used_mib_min,
    memory_used_mib_max, temperature_celsius_n, temperature_celsius_sum, temperature_celsius_min,
    temperature_celsius_max, power_mw_n, power_mw_sum, power_mw_min, power_mw_max, memory_total_mib,
    throttle_reasons, sm_clock_mhz_n, sm_clock_mhz_sum, sm_clock_mhz_min, sm_clock_mhz_max, throttled_n)
SELECT :resolution_s, r.ts / :resolution_s * :resolution_s, r.gpu_id, sum(r.n), sum(r.covered_s),
       sum(r.utilization_percent_n), sum(r.utilization_percent_sum), min(r.utilization_percent_min), max(r.utilization_percent_max),
       sum(r.memory_used_mib_n), sum(r.memory_used_mib_sum), min(r.memory_used_mib_min), max(r.memory_used_mib_max),
       sum(r.temperature_celsius_n), sum(r.temperature_celsius_sum), min(r.temperature_celsius_min), max(r.temperature_celsius_max),
       sum(r.power_mw_n), sum(r.power_mw_sum), min(r.power_mw_min), max(r.power_mw_max),
       max(r.memory_total_mib), (
       max(r.throttle_reasons & 1) | max(r.throttle_reasons & 2) | max(r.throttle_reasons & 4) |
       max(r.throttle_reasons & 8) | max(r.throttle_reasons & 16) | max(r.throttle_reasons & 32) |
       max(r.throttle_reasons & 64) | max(r.throttle_reasons & 128) | max(r.throttle_reasons & 256) |
       max(r.throttle_reasons & 512) | max(r.throttle_reasons & 1024) | max(r.throttle_reasons & 2048) |
       max(r.throttle_reasons & 4096) | max(r.throttle_reasons & 8192) | max(r.throttle_reasons & 16384) |
       max(r.throttle_reasons & 32768)),
       sum(r.sm_clock_mhz_n), sum(r.sm_clock_mhz_sum), min(r.sm_clock_mhz_min), max(r.sm_clock_mhz_max),
       sum(r.throttled_n)
  FROM gpu_rollups AS r
 WHERE r.resolution_s = :finer_s AND r.ts >= :from_ts AND r.ts < :to_ts
 GROUP BY r.ts / :resolution_s, r.gpu_id;

-- name: raise_instance
INSERT INTO instance_rollups (
    resolution_s, ts, instance_id, n, covered_s, cpu_permille_n, cpu_permille_sum, cpu_permille_min,
    cpu_permille_max, rss_kib_n, rss_kib_sum, rss_kib_min, rss_kib_max, requests_processing_n,
    requests_processing_sum, requests_processing_min, requests_processing_max, requests_deferred_n,
    requests_deferred_sum, requests_deferred_min, requests_deferred_max, gpu_memory_mib_n, gpu_memory_mib_sum,
    gpu_memory_mib_min, gpu_memory_mib_max, gpu_utilization_percent_n, gpu_utilization_percent_sum,
    gpu_utilization_percent_min, gpu_utilization_percent_max, health_ms_n, health_ms_sum, health_ms_min,
    health_ms_max, read_bytes, write_bytes, prompt_tokens, predicted_tokens, prompt_ms, predicted_ms)
SELECT :resolution_s, r.ts / :resolution_s * :resolution_s, r.instance_id, sum(r.n), sum(r.covered_s),
       sum(r.cpu_permille_n), sum(r.cpu_permille_sum), min(r.cpu_permille_min), max(r.cpu_permille_max),
       sum(r.rss_kib_n), sum(r.rss_kib_sum), min(r.rss_kib_min), max(r.rss_kib_max),
       sum(r.requests_processing_n), sum(r.requests_processing_sum), min(r.requests_processing_min), max(r.requests_processing_max),
       sum(r.requests_deferred_n), sum(r.requests_deferred_sum), min(r.requests_deferred_min), max(r.requests_deferred_max),
       sum(r.gpu_memory_mib_n), sum(r.gpu_memory_mib_sum), min(r.gpu_memory_mib_min), max(r.gpu_memory_mib_max),
       sum(r.gpu_utilization_percent_n), sum(r.gpu_utilization_percent_sum), min(r.gpu_utilization_percent_min), max(r.gpu_utilization_percent_max),
       sum(r.health_ms_n), sum(r.health_ms_sum), min(r.health_ms_min), max(r.health_ms_max),
       sum(r.read_bytes), sum(r.write_bytes), sum(r.prompt_tokens), sum(r.predicted_tokens), sum(r.prompt_ms),
       sum(r.predicted_ms)
  FROM instance_rollups AS r
 WHERE r.resolution_s = :finer_s AND r.ts >= :from_ts AND r.ts < :to_ts
 GROUP BY r.ts / :resolution_s, r.instance_id;
