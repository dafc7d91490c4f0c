-- Roll-ups of samples that came from another program's database: added to what a bucket holds already.

-- name: merge_system
INSERT INTO system_rollups AS r (
    resolution_s, ts, n, covered_s, cpu_permille_n, cpu_permille_sum, cpu_permille_min, cpu_permille_max,
    memory_used_mib_n, memory_used_mib_sum, memory_used_mib_min, memory_used_mib_max, memory_available_mib_n,
    memory_available_mib_sum, memory_available_mib_min, memory_available_mib_max, swap_used_mib_n,
    swap_used_mib_sum, swap_used_mib_min, swap_used_mib_max, load_1min_centi_n, load_1min_centi_sum,
    load_1min_centi_min, load_1min_centi_max, disk_used_mib_n, disk_used_mib_sum, disk_used_mib_min,
    disk_used_mib_max, active_instances_n, active_instances_sum, active_instances_min, active_instances_max,
    memory_total_mib, disk_total_mib, requests
)
VALUES (
    :resolution_s, :ts, :n, :covered_s, :cpu_permille_n, :cpu_permille_sum, :cpu_permille_min, :cpu_permille_max,
    :memory_used_mib_n, :memory_used_mib_sum, :memory_used_mib_min, :memory_used_mib_max, :memory_available_mib_n,
    :memory_available_mib_sum, :memory_available_mib_min, :memory_available_mib_max, :swap_used_mib_n,
    :swap_used_mib_sum, :swap_used_mib_min, :swap_used_mib_max, :load_1min_centi_n, :load_1min_centi_sum,
    :load_1min_centi_min, :load_1min_centi_max, :disk_used_mib_n, :disk_used_mib_sum, :disk_used_mib_min,
    :disk_used_mib_max, :active_instances_n, :active_instances_sum, :active_instances_min, :active_instances_max,
    :memory_total_mib, :disk_total_mib, :requests
)
ON CONFLICT (resolution_s, ts) DO UPDATE
   SET n = r.n + excluded.n,
       covered_s = coalesce(r.covered_s + excluded.covered_s, r.covered_s, excluded.covered_s),
       cpu_permille_n = r.cpu_permille_n + excluded.cpu_permille_n,
       cpu_permille_sum =
           coalesce(r.cpu_permille_sum + excluded.cpu_permille_sum, r.cpu_permille_sum, excluded.cpu_permille_sum),
       cpu_permille_min =
           coalesce(min(r.cpu_permille_min, excluded.cpu_permille_min), r.cpu_permille_min,
                    excluded.cpu_permille_min),
       cpu_permille_max =
           coalesce(max(r.cpu_permille_max, excluded.cpu_permille_max), r.cpu_permille_max,
                    excluded.cpu_permille_max),
       memory_used_mib_n = r.memory_used_mib_n + excluded.memory_used_mib_n,
       memory_used_mib_sum =
           coalesce(r.memory_used_mib_sum + excluded.memory_used_mib_sum, r.memory_used_mib_sum,
                    excluded.memory_used_mib_sum),
       memory_used_mib_min =
           coalesce(min(r.memory_used_mib_min, excluded.memory_used_mib_min), r.memory_used_mib_min,
                    excluded.memory_used_mib_min),
       memory_used_mib_max =
           coalesce(max(r.memory_used_mib_max, excluded.memory_used_mib_max), r.memory_used_mib_max,
                    excluded.memory_used_mib_max),
       memory_available_mib_n = r.memory_available_mib_n + excluded.memory_available_mib_n,
       memory_available_mib_sum =
           coalesce(r.memory_available_mib_sum + excluded.memory_available_mib_sum, r.memory_available_mib_sum,
                    excluded.memory_available_mib_sum),
       memory_available_mib_min =
           coalesce(min(r.memory_available_mib_min, excluded.memory_available_mib_min), r.memory_available_mib_min,
                    excluded.memory_available_mib_min),
       memory_available_mib_max =
           coalesce(max(r.memory_available_mib_max, excluded.memory_available_mib_max), r.memory_available_mib_max,
                    excluded.memory_available_mib_max),
       swap_used_mib_n = r.swap_used_mib_n + excluded.swap_used_mib_n,
       swap_used_mib_sum =
           coalesce(r.swap_used_mib_sum + excluded.swap_used_mib_sum, r.swap_used_mib_sum,
                    excluded.swap_used_mib_sum),
       swap_used_mib_min =
           coalesce(min(r.swap_used_mib_min, excluded.swap_used_mib_min), r.swap_used_mib_min,
                    excluded.swap_used_mib_min),
       swap_used_mib_max =
           coalesce(max(r.swap_used_mib_max, excluded.swap_used_mib_max), r.swap_used_mib_max,
                    excluded.swap_used_mib_max),
       load_1min_centi_n = r.load_1min_centi_n + excluded.load_1min_centi_n,
       load_1min_centi_sum =
           coalesce(r.load_1min_centi_sum + excluded.load_1min_centi_sum, r.load_1min_centi_sum,
                    excluded.load_1min_centi_sum),
       load_1min_centi_min =
           coalesce(min(r.load_1min_centi_min, excluded.load_1min_centi_min), r.load_1min_centi_min,
                    excluded.load_1min_centi_min),
       load_1min_centi_max =
           coalesce(max(r.load_1min_centi_max, excluded.load_1min_centi_max), r.load_1min_centi_max,
                    excluded.load_1min_centi_max),
       disk_used_mib_n = r.disk_used_mib_n + excluded.disk_used_mib_n,
       disk_used_mib_sum =
           coalesce(r.disk_used_mib_sum + excluded.disk_used_mib_sum, r.disk_used_mib_sum,
                    excluded.disk_used_mib_sum),
       disk_used_mib_min =
           coalesce(min(r.disk_used_mib_min, excluded.disk_used_mib_min), r.disk_used_mib_min,
                    excluded.disk_used_mib_min),
       disk_used_mib_max =
           coalesce(max(r.disk_used_mib_max, excluded.disk_used_mib_max), r.disk_used_mib_max,
                    excluded.disk_used_mib_max),
       active_instances_n = r.active_instances_n + excluded.active_instances_n,
       active_instances_sum =
           coalesce(r.active_instances_sum + excluded.active_instances_sum, r.active_instances_sum,
                    excluded.active_instances_sum),
       active_instances_min =
           coalesce(min(r.active_instances_min, excluded.active_instances_min), r.active_instances_min,
                    excluded.active_instances_min),
       active_instances_max =
           coalesce(max(r.active_instances_max, excluded.active_instances_max), r.active_instances_max,
                    excluded.active_instances_max),
       memory_total_mib =
           coalesce(max(r.memory_total_mib, excluded.memory_total_mib), r.memory_total_mib,
                    excluded.memory_total_mib),
       disk_total_mib =
           coalesce(max(r.disk_total_mib, excluded.disk_total_mib), r.disk_total_mib, excluded.disk_total_mib),
       requests = coalesce(r.requests + excluded.requests, r.requests, excluded.requests);

-- name: merge_gpu
INSERT INTO gpu_rollups AS r (
    resolution_s, ts, gpu_id, n, covered_s, utilization_percent_n, utilization_percent_sum, utilization_percent_min,
    utilization_percent_max, memory_used_mib_n, memory_used_mib_sum, memory_used_mib_min, memory_used_mib_max,
    temperature_celsius_n, temperature_celsius_sum, temperature_celsius_min, temperature_celsius_max, power_mw_n,
    power_mw_sum, power_mw_min, power_mw_max, memory_total_mib
)
VALUES (
    :resolution_s, :ts, :gpu_id, :n, :covered_s, :utilization_percent_n, :utilization_percent_sum,
    :utilization_percent_min, :utilization_percent_max, :memory_used_mib_n, :memory_used_mib_sum,
    :memory_used_mib_min, :memory_used_mib_max, :temperature_celsius_n, :temperature_celsius_sum,
    :temperature_celsius_min, :temperature_celsius_max, :power_mw_n, :power_mw_sum, :power_mw_min, :power_mw_max,
    :memory_total_mib
)
ON CONFLICT (resolution_s, ts, gpu_id) DO UPDATE
   SET n = r.n + excluded.n,
       covered_s = coalesce(r.covered_s + excluded.covered_s, r.covered_s, excluded.covered_s),
       utilization_percent_n = r.utilization_percent_n + excluded.utilization_percent_n,
       utilization_percent_sum =
           coalesce(r.utilization_percent_sum + excluded.utilization_percent_sum, r.utilization_percent_sum,
                    excluded.utilization_percent_sum),
       utilization_percent_min =
           coalesce(min(r.utilization_percent_min, excluded.utilization_percent_min), r.utilization_percent_min,
                    excluded.utilization_percent_min),
       utilization_percent_max =
           coalesce(max(r.utilization_percent_max, excluded.utilization_percent_max), r.utilization_percent_max,
                    excluded.utilization_percent_max),
       memory_used_mib_n = r.memory_used_mib_n + excluded.memory_used_mib_n,
       memory_used_mib_sum =
           coalesce(r.memory_used_mib_sum + excluded.memory_used_mib_sum, r.memory_used_mib_sum,
                    excluded.memory_used_mib_sum),
       memory_used_mib_min =
           coalesce(min(r.memory_used_mib_min, excluded.memory_used_mib_min), r.memory_used_mib_min,
                    excluded.memory_used_mib_min),
       memory_used_mib_max =
           coalesce(max(r.memory_used_mib_max, excluded.memory_used_mib_max), r.memory_used_mib_max,
                    excluded.memory_used_mib_max),
       temperature_celsius_n = r.temperature_celsius_n + excluded.temperature_celsius_n,
       temperature_celsius_sum =
           coalesce(r.temperature_celsius_sum + excluded.temperature_celsius_sum, r.temperature_celsius_sum,
                    excluded.temperature_celsius_sum),
       temperature_celsius_min =
           coalesce(min(r.temperature_celsius_min, excluded.temperature_celsius_min), r.temperature_celsius_min,
                    excluded.temperature_celsius_min),
       temperature_celsius_max =
           coalesce(max(r.temperature_celsius_max, excluded.temperature_celsius_max), r.temperature_celsius_max,
                    excluded.temperature_celsius_max),
       power_mw_n = r.power_mw_n + excluded.power_mw_n,
       power_mw_sum = coalesce(r.power_mw_sum + excluded.power_mw_sum, r.power_mw_sum, excluded.power_mw_sum),
       power_mw_min = coalesce(min(r.power_mw_min, excluded.power_mw_min), r.power_mw_min, excluded.power_mw_min),
       power_mw_max = coalesce(max(r.power_mw_max, excluded.power_mw_max), r.power_mw_max, excluded.power_mw_max),
       memory_total_mib =
           coalesce(max(r.memory_total_mib, excluded.memory_total_mib), r.memory_total_mib,
                    excluded.memory_total_mib);

-- name: merge_instance
INSERT INTO instance_rollups AS r (
    resolution_s, ts, instance_id, n, covered_s, cpu_permille_n, cpu_permille_sum, cpu_permille_min,
    cpu_permille_max, rss_kib_n, rss_kib_sum, rss_kib_min, rss_kib_max, gpu_memory_mib_n, gpu_memory_mib_sum,
    gpu_memory_mib_min, gpu_memory_mib_max, gpu_utilization_percent_n, gpu_utilization_percent_sum,
    gpu_utilization_percent_min, gpu_utilization_percent_max, read_bytes, write_bytes
)
VALUES (
    :resolution_s, :ts, :instance_id, :n, :covered_s, :cpu_permille_n, :cpu_permille_sum, :cpu_permille_min,
    :cpu_permille_max, :rss_kib_n, :rss_kib_sum, :rss_kib_min, :rss_kib_max, :gpu_memory_mib_n, :gpu_memory_mib_sum,
    :gpu_memory_mib_min, :gpu_memory_mib_max, :gpu_utilization_percent_n, :gpu_utilization_percent_sum,
    :gpu_utilization_percent_min, :gpu_utilization_percent_max, :read_bytes, :write_bytes
)
ON CONFLICT (resolution_s, ts, instance_id) DO UPDATE
   SET n = r.n + excluded.n,
       covered_s = coalesce(r.covered_s + excluded.covered_s, r.covered_s, excluded.covered_s),
       cpu_permille_n = r.cpu_permille_n + excluded.cpu_permille_n,
       cpu_permille_sum =
           coalesce(r.cpu_permille_sum + excluded.cpu_permille_sum, r.cpu_permille_sum, excluded.cpu_permille_sum),
       cpu_permille_min =
           coalesce(min(r.cpu_permille_min, excluded.cpu_permille_min), r.cpu_permille_min,
                    excluded.cpu_permille_min),
       cpu_permille_max =
           coalesce(max(r.cpu_permille_max, excluded.cpu_permille_max), r.cpu_permille_max,
                    excluded.cpu_permille_max),
       rss_kib_n = r.rss_kib_n + excluded.rss_kib_n,
       rss_kib_sum = coalesce(r.rss_kib_sum + excluded.rss_kib_sum, r.rss_kib_sum, excluded.rss_kib_sum),
       rss_kib_min = coalesce(min(r.rss_kib_min, excluded.rss_kib_min), r.rss_kib_min, excluded.rss_kib_min),
       rss_kib_max = coalesce(max(r.rss_kib_max, excluded.rss_kib_max), r.rss_kib_max, excluded.rss_kib_max),
       gpu_memory_mib_n = r.gpu_memory_mib_n + excluded.gpu_memory_mib_n,
       gpu_memory_mib_sum =
           coalesce(r.gpu_memory_mib_sum + excluded.gpu_memory_mib_sum, r.gpu_memory_mib_sum,
                    excluded.gpu_memory_mib_sum),
       gpu_memory_mib_min =
           coalesce(min(r.gpu_memory_mib_min, excluded.gpu_memory_mib_min), r.gpu_memory_mib_min,
                    excluded.gpu_memory_mib_min),
       gpu_memory_mib_max =
           coalesce(max(r.gpu_memory_mib_max, excluded.gpu_memory_mib_max), r.gpu_memory_mib_max,
                    excluded.gpu_memory_mib_max),
       gpu_utilization_percent_n = r.gpu_utilization_percent_n + excluded.gpu_utilization_percent_n,
       gpu_utilization_percent_sum =
           coalesce(r.gpu_utilization_percent_sum + excluded.gpu_utilization_percent_sum, r.gpu_utilization_percent_sum,
                    excluded.gpu_utilization_percent_sum),
       gpu_utilization_percent_min =
           coalesce(min(r.gpu_utilization_percent_min, excluded.gpu_utilization_percent_min), r.gpu_utilization_percent_min,
                    excluded.gpu_utilization_percent_min),
       gpu_utilization_percent_max =
           coalesce(max(r.gpu_utilization_percent_max, excluded.gpu_utilization_percent_max), r.gpu_utilization_percent_max,
                    excluded.gpu_utilization_percent_max),
       read_bytes = coalesce(r.read_bytes + excluded.read_bytes, r.read_bytes, excluded.read_bytes),
       write_bytes = coalesce(r.write_bytes + excluded.write_bytes, r.write_bytes, excluded.write_bytes);
