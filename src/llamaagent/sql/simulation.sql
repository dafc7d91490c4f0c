-- Made-up history for measuring: figures that rise and fall with the day and the week, the same for the same time.
-- `:seed` tells subjects apart; the hash by multiplication is enough of a die.

-- name: insert_gpu_cards
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :count)
INSERT INTO gpus (id, uuid, idx, name, driver, memory_total_mib, first_seen_ts, last_seen_ts, status)
SELECT i + 1, printf('GPU-00000000-0000-4000-8000-%012d', i), i, 'Simulated 24G', '0', 24576, :from_ts, :to_ts, 'present'
  FROM n WHERE :count > 0;

-- name: insert_launches
-- Each profile is launched anew every nine days; the last launch lives. Every fourth is a container.
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :count),
starts(ts) AS (SELECT :from_ts UNION ALL SELECT ts + 777600 FROM starts WHERE ts + 777600 < :to_ts)
INSERT INTO instances (profile, kind, project, status, reason, since_ts, launch_id, container_id, container_name, image,
  host, port, model_path, gpus, created_ts, launched_ts, ready_ts, ended_ts, exit_code, build)
SELECT printf('sim-%02d', i), iif(i % 4 = 3, 'container', 'process'),
       CASE i % 3 WHEN 0 THEN 'default' WHEN 1 THEN 'research' ELSE 'chat' END,
       iif(ts + 777600 < :to_ts, 'stopped', 'running'), 'simulated', ts, printf('sim-%d-%d', i, ts),
       iif(i % 4 = 3, printf('%012x', i * 7919 + ts), NULL), iif(i % 4 = 3, printf('sim-%02d', i), NULL),
       iif(i % 4 = 3, 'simulated:1', NULL),
       '127.0.0.1', 8100 + i, printf('/simulated/model-%d.gguf', i % 7),
       iif(:cards > 0, json_array(printf('GPU-00000000-0000-4000-8000-%012d', i % :cards)), NULL),
       ts, ts, ts + 20, iif(ts + 777600 < :to_ts, ts + 777590, NULL), iif(ts + 777600 < :to_ts, 0, NULL), 'simulated'
  FROM starts, n WHERE :count > 0
 ORDER BY ts, i;

-- name: insert_system
WITH RECURSIVE t(ts) AS (SELECT :from_ts UNION ALL SELECT ts + :step_s FROM t WHERE ts + :step_s < :to_ts),
busy(ts, load, die) AS (
    SELECT ts, (1.0 + sin(ts % 86400 / 13751.0 - 2.0)) / 2 * iif(ts / 86400 % 7 IN (2, 3), 0.4, 1.0),
           (ts * 2654435761) % 1000 / 1000.0
      FROM t
)
INSERT INTO system_samples (ts, interval_s, boot_id, cpu_cores, cpu_permille, memory_total_mib, memory_used_mib,
  memory_available_mib, swap_total_mib, swap_used_mib, load_1min_centi, load_5min_centi, load_15min_centi,
  disk_total_mib, disk_used_mib, disk_read_bytes, disk_write_bytes, network_rx_bytes, network_tx_bytes,
  active_instances, uptime_s, requests)
SELECT ts, iif(ts = :first_ts, NULL, :step_s), 'simulated', 64, CAST(100 + 700 * load + 100 * die AS INTEGER), 262144,
       CAST(60000 + 90000 * load + 3000 * die AS INTEGER), CAST(190000 - 90000 * load - 3000 * die AS INTEGER), 8192, 0,
       CAST(6400 * load + 300 * die AS INTEGER), CAST(6400 * load AS INTEGER), CAST(6400 * load AS INTEGER), 3800000,
       1900000 + ts / 86400 % 900 * 800, CAST(:step_s * 2000000 * load * die AS INTEGER),
       CAST(:step_s * 300000 * die AS INTEGER), CAST(:step_s * 90000 * load AS INTEGER),
       CAST(:step_s * 400000 * load * die AS INTEGER), :count, ts % 777600, CAST(:count * load * die * :step_s / 60 AS INTEGER)
  FROM busy;

-- name: insert_gpu
WITH RECURSIVE t(ts) AS (SELECT :from_ts UNION ALL SELECT ts + :step_s FROM t WHERE ts + :step_s < :to_ts),
busy(ts, load) AS (
    SELECT ts, (1.0 + sin(ts % 86400 / 13751.0 - 2.0)) / 2 * iif(ts / 86400 % 7 IN (2, 3), 0.4, 1.0) FROM t
)
INSERT INTO gpu_samples (ts, gpu_id, utilization_percent, memory_utilization_percent, memory_total_mib, memory_used_mib,
  memory_free_mib, temperature_celsius, power_mw, power_limit_mw, sm_clock_mhz, memory_clock_mhz, throttle_reasons)
SELECT ts, g.id, CAST(95 * load * ((ts * 2654435761 + g.id * 40503) % 100) / 100 AS INTEGER), CAST(40 * load AS INTEGER),
       24576, 14000 + g.id * 700, 10576 - g.id * 700, CAST(38 + 35 * load AS INTEGER), CAST(60000 + 220000 * load AS INTEGER),
       350000, 1755 - CAST(180 * load AS INTEGER), 9751, iif(load > 0.9 AND ts % 900 < 300, 4, 0)
  FROM busy, gpus AS g;

-- name: insert_instance
WITH RECURSIVE t(ts) AS (SELECT :from_ts UNION ALL SELECT ts + :step_s FROM t WHERE ts + :step_s < :to_ts),
busy(ts, load) AS (
    SELECT ts, (1.0 + sin(ts % 86400 / 13751.0 - 2.0)) / 2 * iif(ts / 86400 % 7 IN (2, 3), 0.4, 1.0) FROM t
)
INSERT INTO instance_samples (ts, instance_id, cpu_ticks_total, cpu_permille, rss_kib, threads, read_bytes_total,
  write_bytes_total, read_bytes, write_bytes, prompt_tokens_total, predicted_tokens_total, prompt_ms_total,
  predicted_ms_total, decode_total, prompt_tokens, predicted_tokens, prompt_ms, predicted_ms, requests_processing,
  requests_deferred, gpu_memory_mib, gpu_utilization_percent, health_ms)
SELECT ts, i.id, (ts - i.created_ts) * 60, CAST(1500 * load * ((ts * 2654435761 + i.id * 40503) % 100) / 100 AS INTEGER),
       3000000 + i.id % 20 * 90000, 40, (ts - i.created_ts) * 1000, (ts - i.created_ts) * 100, :step_s * 1000, :step_s * 100,
       (ts - i.created_ts) * 80, (ts - i.created_ts) * 20, (ts - i.created_ts) * 60, (ts - i.created_ts) * 400,
       (ts - i.created_ts) * 21, CAST(:step_s * 80 * load AS INTEGER), CAST(:step_s * 20 * load AS INTEGER),
       CAST(:step_s * 60 * load AS INTEGER), CAST(:step_s * 400 * load AS INTEGER), (ts / 30 + i.id) % 3, 0,
       6000 + i.id % 20 * 100, CAST(90 * load AS INTEGER), 2 + (ts + i.id) % 5
  FROM busy, instances AS i
 WHERE ts >= i.launched_ts AND (i.ended_ts IS NULL OR ts < i.ended_ts);

-- name: insert_generations
-- A request of each live launch every :step_s seconds.
WITH RECURSIVE t(ts) AS (SELECT :from_ts UNION ALL SELECT ts + :step_s FROM t WHERE ts + :step_s < :to_ts)
INSERT INTO generations (ts, started_ts, instance_id, profile, project, model_path, model_name, launch_id, slot_id, task_id,
  prompt_tokens, cached_tokens, generated_tokens, total_tokens, prompt_time_ms, generation_time_ms, total_time_ms,
  prompt_tokens_per_second, tokens_per_second, finish_reason, client)
SELECT t.ts + i.id % 60, t.ts + i.id % 60 - 8, i.id, i.profile, i.project, i.model_path, i.profile, i.launch_id,
       t.ts / :step_s % 4, (t.ts - i.launched_ts) / :step_s, 400 + (t.ts + i.id) % 900, (t.ts + i.id) % 300,
       80 + (t.ts * 7 + i.id) % 400, 900, 310.5, 6100.25, 6410.75, 1288.4, 28.0 + (t.ts + i.id * 3) % 20, 'stop', 'unknown'
  FROM t, instances AS i
 WHERE t.ts >= i.launched_ts AND (i.ended_ts IS NULL OR t.ts + 60 < i.ended_ts)
 ORDER BY t.ts;

-- name: insert_logs
WITH RECURSIVE t(ts) AS (SELECT :from_ts UNION ALL SELECT ts + :step_s FROM t WHERE ts + :step_s < :to_ts)
INSERT INTO logs (ts, level, source, category, message)
SELECT ts, iif(ts / :step_s % 50 = 0, 'warning', 'info'), printf('sim-%02d', ts / :step_s % 20), 'simulated',
       printf('a made-up line number %d about slot %d', ts / :step_s, ts % 4)
  FROM t;

-- name: insert_decisions
INSERT INTO decisions (ts, last_ts, profile, instance_id, action, reason, detail)
SELECT launched_ts, launched_ts, profile, id, 'start', 'declared', 'simulated' FROM instances
 WHERE launched_ts >= :from_ts AND launched_ts < :to_ts;

-- name: count_rows
SELECT (SELECT count(*) FROM (SELECT 1 FROM system_samples LIMIT 1)) + (SELECT count(*) FROM (SELECT 1 FROM instances LIMIT 1))
     + (SELECT count(*) FROM (SELECT 1 FROM generations LIMIT 1)) + (SELECT count(*) FROM (SELECT 1 FROM models LIMIT 1))
     + (SELECT count(*) FROM (SELECT 1 FROM profile_revisions LIMIT 1)) + (SELECT count(*) FROM (SELECT 1 FROM logs LIMIT 1));
