-- llamaagent views
--
-- The public way to read the database. The first part bears names and columns that older tools know
-- (dashboards, container managers, generation loggers), so that their queries go on working; the second part,
-- v_*, is what the commands and the report read. All views are dropped and made again when this text changes.
--
--   timestamps   come in the type their readers know: text here, seconds there, milliseconds in metrics_history
--   _gb, _mb     GiB and MiB
--   percent      of the machine: 100 = all of it; of an instance: 100 = one core
--   project_path the profile's project
--   status       container_instances and v_active_containers: what runs in any way reads running


-- ---------------------------------------------------------------------------------------------------------
-- Containers and servers
-- ---------------------------------------------------------------------------------------------------------

-- Our containers, each launch a row. The averages are over its whole life.
CREATE VIEW container_instances AS
SELECT
    i.id,
    i.container_id,
    i.container_name,
    i.image AS image_name,
    i.project AS project_path,
    CASE WHEN i.status IN ('loading', 'running', 'unhealthy', 'stopping') THEN 'running' ELSE i.status END AS status,
    i.cpu_limit_milli / 1000.0 AS cpu_limit,
    i.memory_limit_mib / 1024.0 AS memory_limit_gb,
    (SELECT json_group_array(CAST(d.idx AS TEXT))
       FROM (SELECT g.idx FROM json_each(i.gpus) AS u JOIN gpus AS g ON g.uuid = u.value
              WHERE g.idx IS NOT NULL ORDER BY g.idx) AS d) AS gpu_devices,
    i.port_mappings,
    datetime(i.created_ts, 'unixepoch') AS created_at,
    datetime(i.launched_ts, 'unixepoch') AS started_at,
    datetime(i.ended_ts, 'unixepoch') AS stopped_at,
    i.cpu_permille_sum / 10.0 / nullif(i.sample_n, 0) AS cpu_usage_avg,
    i.rss_kib_sum / 1048576.0 / nullif(i.sample_n, 0) AS memory_usage_avg_gb,
    1.0 * i.gpu_utilization_sum / nullif(i.gpu_utilization_n, 0) AS gpu_utilization_avg,
    i.user_id
FROM instances AS i
WHERE i.kind = 'container';

-- Every llama-server, process or container or watched only, each launch a row. Here `status` is our own word.
-- A container counts when it has a model.
CREATE VIEW model_instances AS
SELECT
    i.id,
    i.model_id,
    i.profile AS model_name,
    coalesce(i.model_path, m.model_path) AS model_path,
    i.kind,
    i.project AS project_path,
    i.status,
    i.reason,
    i.detail,
    i.pid,
    i.container_id,
    i.container_name,
    i.host,
    i.port,
    i.url,
    (SELECT json_group_array(CAST(d.idx AS TEXT))
       FROM (SELECT g.idx FROM json_each(i.gpus) AS u JOIN gpus AS g ON g.uuid = u.value
              WHERE g.idx IS NOT NULL ORDER BY g.idx) AS d) AS gpu_devices,
    i.context_size,
    i.gpu_layers,
    i.build,
    i.cpu_limit_milli / 1000.0 AS cpu_limit,
    i.memory_limit_mib / 1024.0 AS memory_limit_gb,
    datetime(i.created_ts, 'unixepoch') AS created_at,
    datetime(i.launched_ts, 'unixepoch') AS started_at,
    datetime(i.ready_ts, 'unixepoch') AS ready_at,
    datetime(i.ended_ts, 'unixepoch') AS stopped_at,
    i.exit_code,
    i.exit_signal,
    i.cpu_permille_sum / 10.0 / nullif(i.sample_n, 0) AS cpu_usage_avg,
    i.rss_kib_sum / 1048576.0 / nullif(i.sample_n, 0) AS memory_usage_avg_gb,
    1.0 * i.gpu_utilization_sum / nullif(i.gpu_utilization_n, 0) AS gpu_utilization_avg
FROM instances AS i
LEFT JOIN models AS m ON m.id = i.model_id
WHERE i.kind <> 'container'
   OR coalesce(i.model_path, m.model_path, m.model_url, m.hf_repo, m.docker_repo) IS NOT NULL;

-- Samples of our containers. memory_percent is of the container's limit, or of the machine where it has none;
-- disk and network count from the container's start; gpu_metrics has each of its cards as the card was then.
CREATE VIEW resource_metrics AS
SELECT
    s.instance_id * 10000000000 + s.ts AS id,
    i.container_id,
    datetime(s.ts, 'unixepoch') AS timestamp,
    s.cpu_permille / 10.0 AS cpu_percent,
    s.rss_kib / 1048576.0 AS memory_used_gb,
    100.0 * s.rss_kib / 1024.0 / coalesce(
        i.memory_limit_mib, (SELECT y.memory_total_mib FROM system_samples AS y WHERE y.ts = s.ts)) AS memory_percent,
    (SELECT json_group_array(json(d.one))
       FROM (SELECT json_object(
                'gpu_id', g.idx, 'uuid', g.uuid, 'utilization', c.utilization_percent,
                'memory_used', c.memory_used_mib, 'memory_total', c.memory_total_mib,
                'temperature', c.temperature_celsius, 'power_usage', c.power_mw / 1000.0) AS one
             FROM json_each(i.gpus) AS u
             JOIN gpus AS g ON g.uuid = u.value
             JOIN gpu_samples AS c ON c.ts = s.ts AND c.gpu_id = g.id
             ORDER BY g.idx) AS d) AS gpu_metrics,
    s.read_bytes_total / 1048576.0 AS disk_read_mb,
    s.write_bytes_total / 1048576.0 AS disk_write_mb,
    s.network_rx_bytes_total / 1048576.0 AS network_rx_mb,
    s.network_tx_bytes_total / 1048576.0 AS network_tx_mb
FROM instance_samples AS s
JOIN instances AS i ON i.id = s.instance_id
WHERE i.kind = 'container';

-- Containers of ours that run now, with the means of the last five minutes.
CREATE VIEW v_active_containers AS
SELECT
    i.container_name,
    i.image AS image_name,
    i.project AS project_path,
    'running' AS status,
    i.cpu_limit_milli / 1000.0 AS cpu_limit,
    i.memory_limit_mib / 1024.0 AS memory_limit_gb,
    (SELECT json_group_array(CAST(d.idx AS TEXT))
       FROM (SELECT g.idx FROM json_each(i.gpus) AS u JOIN gpus AS g ON g.uuid = u.value
              WHERE g.idx IS NOT NULL ORDER BY g.idx) AS d) AS gpu_devices,
    datetime(i.created_ts, 'unixepoch') AS created_at,
    datetime(i.launched_ts, 'unixepoch') AS started_at,
    round(r.cpu_permille / 10.0, 2) AS avg_cpu,
    round(r.rss_kib / 1048576.0, 2) AS avg_memory_gb
FROM instances AS i
LEFT JOIN (
    SELECT instance_id, avg(cpu_permille) AS cpu_permille, avg(rss_kib) AS rss_kib
    FROM instance_samples
    WHERE ts > unixepoch('now') - 300
    GROUP BY instance_id
) AS r ON r.instance_id = i.id
WHERE i.kind = 'container' AND i.status IN ('loading', 'running', 'unhealthy', 'stopping');


-- ---------------------------------------------------------------------------------------------------------
-- The machine
-- ---------------------------------------------------------------------------------------------------------

CREATE VIEW system_snapshots AS
SELECT
    s.ts AS id,
    datetime(s.ts, 'unixepoch') AS timestamp,
    s.cpu_permille / 10.0 AS cpu_percent,
    s.cpu_cores,
    s.memory_total_mib / 1024.0 AS memory_total_gb,
    s.memory_used_mib / 1024.0 AS memory_used_gb,
    s.memory_available_mib / 1024.0 AS memory_available_gb,
    100.0 * s.memory_used_mib / nullif(s.memory_total_mib, 0) AS memory_percent,
    (SELECT json_group_array(json(d.one))
       FROM (SELECT json_object(
                'gpu_id', g.idx, 'uuid', g.uuid, 'name', g.name, 'utilization', c.utilization_percent,
                'memory_used', c.memory_used_mib, 'memory_total', c.memory_total_mib,
                'temperature', c.temperature_celsius, 'power_usage', c.power_mw / 1000.0) AS one
             FROM gpu_samples AS c JOIN gpus AS g ON g.id = c.gpu_id
            WHERE c.ts = s.ts
             ORDER BY g.idx) AS d) AS gpu_stats,
    s.load_1min_centi / 100.0 AS load_1min,
    s.load_5min_centi / 100.0 AS load_5min,
    s.load_15min_centi / 100.0 AS load_15min
FROM system_samples AS s;

-- The last hour in one row.
CREATE VIEW v_system_summary AS
SELECT
    round(avg(cpu_permille) / 10.0, 2) AS avg_cpu_percent,
    round(max(cpu_permille) / 10.0, 2) AS max_cpu_percent,
    round(avg(100.0 * memory_used_mib / nullif(memory_total_mib, 0)), 2) AS avg_memory_percent,
    round(max(100.0 * memory_used_mib / nullif(memory_total_mib, 0)), 2) AS max_memory_percent,
    round(avg(memory_available_mib) / 1024.0, 2) AS avg_available_gb,
    count(*) AS snapshot_count
FROM system_samples
WHERE ts > unixepoch('now') - 3600;

-- Every sample kept. Several cards: mean use, sums of memory; 0 without a card, NULL where a card does not say.
CREATE VIEW metrics AS
SELECT
    s.ts AS id,
    s.cpu_permille / 10.0 AS cpu_usage,
    100.0 * s.memory_used_mib / nullif(s.memory_total_mib, 0) AS memory_usage,
    100.0 * s.disk_used_mib / nullif(s.disk_total_mib, 0) AS disk_usage,
    s.active_instances AS active_models,
    CAST(s.uptime_s AS REAL) AS uptime,
    (SELECT iif(count(*) = 0, 0.0, avg(c.utilization_percent))
       FROM gpu_samples AS c WHERE c.ts = s.ts) AS gpu_usage,
    (SELECT iif(count(*) = 0, 0.0, CAST(sum(c.memory_used_mib) AS REAL))
       FROM gpu_samples AS c WHERE c.ts = s.ts) AS gpu_memory_used,
    (SELECT iif(count(*) = 0, 0.0, CAST(sum(c.memory_total_mib) AS REAL))
       FROM gpu_samples AS c WHERE c.ts = s.ts) AS gpu_memory_total,
    iif(s.swap_total_mib = 0, 0.0, 100.0 * s.swap_used_mib / s.swap_total_mib) AS swap_usage,
    s.ts AS timestamp
FROM system_samples AS s;

-- The last ten minutes. `timestamp` is in milliseconds, `created_at` in seconds; the highest temperature,
-- sums of memory (MiB) and power (watts).
CREATE VIEW metrics_history AS
SELECT
    s.ts AS id,
    s.ts * 1000 AS timestamp,
    s.cpu_permille / 10.0 AS cpu_usage,
    100.0 * s.memory_used_mib / nullif(s.memory_total_mib, 0) AS memory_usage,
    100.0 * s.disk_used_mib / nullif(s.disk_total_mib, 0) AS disk_usage,
    (SELECT iif(count(*) = 0, 0.0, avg(c.utilization_percent))
       FROM gpu_samples AS c WHERE c.ts = s.ts) AS gpu_usage,
    (SELECT iif(count(*) = 0, 0.0, CAST(max(c.temperature_celsius) AS REAL))
       FROM gpu_samples AS c WHERE c.ts = s.ts) AS gpu_temperature,
    (SELECT iif(count(*) = 0, 0.0, CAST(sum(c.memory_used_mib) AS REAL))
       FROM gpu_samples AS c WHERE c.ts = s.ts) AS gpu_memory_used,
    (SELECT iif(count(*) = 0, 0.0, CAST(sum(c.memory_total_mib) AS REAL))
       FROM gpu_samples AS c WHERE c.ts = s.ts) AS gpu_memory_total,
    (SELECT iif(count(*) = 0, 0.0, sum(c.power_mw) / 1000.0)
       FROM gpu_samples AS c WHERE c.ts = s.ts) AS gpu_power_usage,
    s.active_instances AS active_models,
    s.uptime_s AS uptime,
    s.requests * 60.0 / nullif(s.interval_s, 0) AS requests_per_minute,
    s.ts AS created_at
FROM system_samples AS s
WHERE s.ts > unixepoch('now') - 600;


-- ---------------------------------------------------------------------------------------------------------
-- Cards and quotas
-- ---------------------------------------------------------------------------------------------------------

-- Cards held now, in whole or in part, by containers, processes or leases.
CREATE VIEW gpu_allocations AS
SELECT
    min(r.id) AS id,
    g.idx AS gpu_id,
    coalesce(i.container_name, r.holder) AS container_name,
    datetime(min(r.created_ts), 'unixepoch') AS allocated_at
FROM reservations AS r
JOIN gpus AS g ON g.id = r.gpu_id
LEFT JOIN instances AS i ON i.id = r.instance_id
WHERE r.released_ts IS NULL
  AND (r.expires_ts IS NULL OR r.expires_ts > unixepoch('now'))
  AND g.idx IS NOT NULL AND g.status <> 'gone'
GROUP BY g.idx, coalesce(i.container_name, r.holder);

-- The limit in force of each project and resource: an override until its time is up, else the settings'.
CREATE VIEW v_quotas AS
SELECT
    q.id,
    q.project,
    q.resource,
    q.amount,
    q.window_s,
    q.origin,
    q.reason,
    q.username,
    q.created_ts,
    q.until_ts,
    (SELECT s.amount FROM quotas AS s
      WHERE s.project = q.project AND s.resource = q.resource AND s.origin = 'settings') AS settings_amount
FROM quotas AS q
WHERE (q.origin = 'override' AND (q.until_ts IS NULL OR q.until_ts > unixepoch('now')))
   OR (q.origin = 'settings' AND NOT EXISTS (
        SELECT 1 FROM quotas AS o
         WHERE o.project = q.project AND o.resource = q.resource AND o.origin = 'override'
           AND (o.until_ts IS NULL OR o.until_ts > unixepoch('now'))));

-- Limits beside what runs now, containers and processes alike. No limit is NULL. current_gpus counts cards held
-- in whole or in part, each once.
CREATE VIEW project_quotas AS
WITH
current (project, id, cpu_limit_milli, memory_limit_mib, gpus) AS (
    SELECT project, id, cpu_limit_milli, memory_limit_mib, gpus FROM instances
    WHERE status IN ('loading', 'running', 'unhealthy', 'stopping')
),
used (project, containers, cpu_milli, memory_mib) AS (
    SELECT project, count(*), sum(cpu_limit_milli), sum(memory_limit_mib) FROM current GROUP BY project
),
held (project, gpu_id) AS (
    SELECT c.project, r.gpu_id
      FROM reservations AS r JOIN current AS c ON c.id = r.instance_id
     WHERE r.released_ts IS NULL AND (r.expires_ts IS NULL OR r.expires_ts > unixepoch('now'))
    UNION
    SELECT r.project, r.gpu_id
      FROM reservations AS r
     WHERE r.kind = 'lease' AND r.released_ts IS NULL
       AND (r.expires_ts IS NULL OR r.expires_ts > unixepoch('now'))
    UNION
    SELECT c.project, g.id FROM current AS c, json_each(c.gpus) AS u JOIN gpus AS g ON g.uuid = u.value
),
cards (project, gpus) AS (SELECT project, count(*) FROM held GROUP BY project),
limits (project, id, instances, cpus, memory, gpus) AS (
    SELECT
        project,
        min(id),
        max(amount) FILTER (WHERE resource = 'instances'),
        max(amount) FILTER (WHERE resource = 'cpus'),
        max(amount) FILTER (WHERE resource = 'memory'),
        max(amount) FILTER (WHERE resource = 'gpus')
    FROM v_quotas
    GROUP BY project
),
names (project) AS (
    SELECT project FROM limits UNION SELECT project FROM used UNION SELECT project FROM cards
)
SELECT
    l.id,
    n.project AS project_path,
    l.instances AS max_containers,
    l.cpus / 1000.0 AS max_cpu_cores,
    l.memory / 1024.0 AS max_memory_gb,
    l.gpus AS max_gpus,
    coalesce(u.containers, 0) AS current_containers,
    coalesce(u.cpu_milli, 0) / 1000.0 AS current_cpu_cores,
    coalesce(u.memory_mib, 0) / 1024.0 AS current_memory_gb,
    coalesce(c.gpus, 0) AS current_gpus
FROM names AS n
LEFT JOIN limits AS l ON l.project = n.project
LEFT JOIN used AS u ON u.project = n.project
LEFT JOIN cards AS c ON c.project = n.project;


-- ---------------------------------------------------------------------------------------------------------
-- Models, requests, configuration
-- ---------------------------------------------------------------------------------------------------------

-- Everything known of a model: a row for each row of `models`, and one for each GGUF file that none of them
-- names. `status` in the words loaded, loading, error, idle. Where a profile leaves the context size to the
-- model, it is the model's.
CREATE VIEW v_models AS
WITH joined AS (
    SELECT m.id AS model_id, f.id AS file_id
      FROM models AS m LEFT JOIN model_files AS f ON f.path = m.model_path
    UNION ALL
    SELECT NULL, f.id
      FROM model_files AS f
     WHERE NOT EXISTS (SELECT 1 FROM models AS m WHERE m.model_path = f.path)
)
SELECT
    coalesce('model_' || m.id, 'file_' || f.id) AS id,
    m.id AS model_id,
    f.id AS file_id,
    coalesce(m.name, f.filename) AS name,
    coalesce(f.architecture, m.type) AS type,
    CASE m.status WHEN 'running' THEN 'loaded' WHEN 'loading' THEN 'loading' WHEN 'error' THEN 'error'
                  ELSE 'idle' END AS status,
    m.origin,
    m.status AS model_status,
    json_patch('{}', json_object(
        'temperature', s.temperature, 'top_k', s.top_k, 'top_p', s.top_p, 'min_p', s.min_p,
        'typical_p', s.typical_p, 'repeat_last_n', s.repeat_last_n, 'repeat_penalty', s.repeat_penalty,
        'presence_penalty', s.presence_penalty, 'frequency_penalty', s.frequency_penalty,
        'mirostat', s.mirostat, 'seed', s.seed, 'flash_attn', s.flash_attn,
        'predict', m.predict, 'gpu_layers', g.gpu_layers)) AS parameters,
    coalesce(m.model_path, f.path) AS model_path,
    coalesce(f.size_bytes, m.file_size_bytes, p.file_size_bytes) AS file_size,
    iif(f.id IS NULL, NULL, json_patch('{}', json_object(
        'vocab_size', f.vocab_size, 'hidden_size', f.embedding_size, 'intermediate_size', f.ffn_dim,
        'num_attention_heads', f.head_count, 'num_key_value_heads', f.head_count_kv,
        'num_hidden_layers', f.block_count))) AS params,
    coalesce(f.quantization, p.quantization_type) AS quantization,
    coalesce(nullif(m.ctx_size, 0), f.context_length, p.context_window) AS ctx_size,
    f.embedding_size,
    f.block_count,
    f.head_count,
    f.head_count_kv,
    f.ffn_dim,
    f.file_type,
    m.batch_size,
    m.threads,
    max(coalesce(m.favorite, 0), coalesce(f.favorite, 0)) AS favorite,
    coalesce(m.created_at, f.first_seen_ts) AS created_at,
    coalesce(m.updated_at, f.last_seen_ts) AS updated_at,
    coalesce(m.model_path, f.path) AS path,
    f.filename,
    coalesce(f.size_bytes, m.file_size_bytes, p.file_size_bytes) AS size_bytes,
    f.format,
    coalesce(f.architecture, p.architecture) AS architecture,
    coalesce(f.size_label, CAST(coalesce(f.parameter_count, p.parameter_count) AS TEXT)) AS parameter_count,
    coalesce(f.context_length, p.context_window) AS context_length,
    f.vocab_size,
    f.chat_template,
    f.metadata_json,
    datetime(f.first_seen_ts, 'unixepoch') AS first_seen_at,
    datetime(f.last_used_ts, 'unixepoch') AS last_used_at,
    f.missing_ts,
    f.sha256,
    p.projected_cpu_memory_mb,
    p.projected_gpu_memory_mb
FROM joined AS j
LEFT JOIN models AS m ON m.id = j.model_id
LEFT JOIN model_files AS f ON f.id = j.file_id
LEFT JOIN model_sampling_config AS s ON s.model_id = m.id
LEFT JOIN model_gpu_config AS g ON g.model_id = m.id
LEFT JOIN model_fit_params AS p ON p.model_id = m.id;

-- The last memory projection of each profile. source: `fit-params` (llama.cpp's own tool) or `estimate` (from the
-- file's header); context: tokens in all; gpu_layers: -1 = the server's choice, -2 = all; arithmetic: the summands.
CREATE VIEW v_model_fit AS
SELECT
    m.name AS profile,
    p.source,
    p.recommended_ctx_size AS context,
    p.recommended_gpu_layers AS gpu_layers,
    p.recommended_tensor_split AS tensor_split,
    CAST(ceil(p.projected_gpu_memory_mb) AS INTEGER) AS gpu_memory_mib,
    CAST(ceil(p.projected_cpu_memory_mb) AS INTEGER) AS memory_mib,
    p.fit_params_success AS ok,
    p.fit_params_error AS error,
    m.model_path,
    p.file_size_bytes,
    p.file_mtime_ns,
    p.architecture,
    p.quantization_type AS quantization,
    p.parameter_count,
    p.context_window AS context_length,
    p.fit_params_analyzed_at AS analyzed_ts,
    p.parameters,
    p.arithmetic,
    p.fit_params_raw_output AS raw_output
FROM model_fit_params AS p
JOIN models AS m ON m.id = p.model_id;

CREATE VIEW stats AS
SELECT
    id,
    session_id,
    model_path,
    model_name,
    prompt_tokens,
    generated_tokens,
    total_tokens,
    prompt_time_ms,
    generation_time_ms,
    total_time_ms,
    tokens_per_second,
    temperature,
    max_tokens,
    finish_reason,
    cache_hit,
    created_at
FROM generations;

CREATE VIEW server_config AS
SELECT key, value FROM config;


-- ---------------------------------------------------------------------------------------------------------
-- What commands and reports read
-- ---------------------------------------------------------------------------------------------------------

-- Declared profiles and those with a live instance, one row each, with the instance that is live or was last.
-- Without any instance, status is stopped. memory_mib, gpu_memory_mib: the newest sample of a live instance;
-- tokens_per_second: generated over the last five minutes, NULL when nothing was.
CREATE VIEW v_profiles AS
WITH
names (profile) AS (
    SELECT r.profile FROM profile_revisions AS r
     WHERE r.retired_ts IS NULL
       AND NOT EXISTS (SELECT 1 FROM profile_revisions AS newer
                        WHERE newer.profile = r.profile
                          AND (newer.last_seen_ts, newer.id) > (r.last_seen_ts, r.id))
    UNION
    SELECT profile FROM instances WHERE status IN ('created', 'loading', 'running', 'unhealthy', 'stopping')
),
chosen (profile, instance_id, revision_id) AS (
    SELECT
        n.profile,
        coalesce(
            (SELECT i.id FROM instances AS i
              WHERE i.profile = n.profile AND i.status IN ('created', 'loading', 'running', 'unhealthy', 'stopping')),
            (SELECT max(i.id) FROM instances AS i WHERE i.profile = n.profile)),
        (SELECT r.id FROM profile_revisions AS r
          WHERE r.profile = n.profile ORDER BY r.last_seen_ts DESC, r.id DESC LIMIT 1)
    FROM names AS n
)
SELECT
    c.profile,
    coalesce(i.kind, r.kind) AS kind,
    coalesce(i.status, 'stopped') AS status,
    coalesce(i.wanted, 0) AS wanted,
    i.reason,
    i.detail,
    coalesce(i.since_ts, r.first_seen_ts) AS since_ts,
    i.retry_ts,
    o.action AS override,
    o.until_ts AS override_until_ts,
    o.username AS override_by,
    (SELECT h.status FROM health_checks AS h
      WHERE h.instance_id = i.id ORDER BY h.ts DESC, h.id DESC LIMIT 1) AS health,
    i.id AS instance_id,
    i.pid,
    i.container_id,
    i.container_name,
    i.host,
    i.port,
    i.url,
    i.gpus,
    i.context_size,
    i.gpu_layers,
    s.rss_kib / 1024 AS memory_mib,
    s.gpu_memory_mib,
    i.gpu_memory_declared_mib,
    i.gpu_memory_estimated_mib,
    i.gpu_memory_measured_mib,
    s.cpu_permille,
    s.requests_processing,
    s.requests_deferred,
    (SELECT sum(t.predicted_tokens) * 1000.0 / nullif(sum(t.predicted_ms), 0) FROM instance_samples AS t
      WHERE t.ts > unixepoch('now') - 300 AND t.instance_id = i.id) AS tokens_per_second,
    i.created_ts,
    i.launched_ts,
    i.ready_ts,
    i.last_seen_ts,
    i.ended_ts,
    i.exit_code,
    i.exit_signal,
    i.next_signal,
    i.next_signal_ts,
    i.failures,
    i.restarts,
    i.binary,
    i.build,
    i.git_commit,
    i.git_dirty,
    i.launch_hash,
    i.profile_hash,
    coalesce(i.model_path, r.document ->> '$.model.path') AS model_path,
    i.log_path,
    coalesce(r.project, i.project) AS project,
    r.priority,
    r.labels,
    r.state AS declared_state,
    r.source,
    r.profile_hash AS declared_profile_hash,
    r.launch_hash AS declared_launch_hash,
    r.retired_ts,
    i.gave_up_ts
FROM chosen AS c
LEFT JOIN instances AS i ON i.id = c.instance_id
LEFT JOIN profile_revisions AS r ON r.id = c.revision_id
LEFT JOIN overrides AS o ON o.profile = c.profile
LEFT JOIN instance_samples AS s
    ON i.status IN ('loading', 'running', 'unhealthy', 'stopping')
   AND s.instance_id = i.id
   AND s.ts = (SELECT n.ts FROM instance_samples AS n
                WHERE n.ts >= max(coalesce(i.launched_ts, i.created_ts), unixepoch('now') - 86400)
                  AND n.instance_id = i.id
                ORDER BY n.ts DESC LIMIT 1);

-- Every launch.
CREATE VIEW v_history AS
SELECT
    i.id AS instance_id,
    i.profile,
    i.kind,
    i.project,
    i.status,
    i.reason,
    i.detail,
    i.stop_reason,
    i.since_ts,
    i.created_ts,
    i.launched_ts,
    i.ready_ts,
    i.ended_ts,
    i.ended_ts - i.launched_ts AS lived_s,
    i.ready_ts - i.launched_ts AS load_s,
    i.exit_code,
    i.exit_signal,
    i.restarts,
    i.pid,
    i.container_id,
    i.container_name,
    i.host,
    i.port,
    i.url,
    i.gpus,
    i.model_path,
    i.context_size,
    i.gpu_layers,
    i.gpu_memory_declared_mib,
    i.gpu_memory_estimated_mib,
    i.gpu_memory_measured_mib,
    i.peak_rss_kib / 1024 AS peak_memory_mib,
    i.cpu_permille_sum / 10.0 / nullif(i.sample_n, 0) AS cpu_percent_avg,
    i.rss_kib_sum / 1024.0 / nullif(i.sample_n, 0) AS memory_mib_avg,
    1.0 * i.gpu_utilization_sum / nullif(i.gpu_utilization_n, 0) AS gpu_percent_avg,
    i.binary,
    i.build,
    i.image,
    i.image_digest,
    i.git_commit,
    i.git_dirty,
    i.launch_id,
    i.launch_hash,
    i.profile_hash,
    i.log_path,
    u.username AS started_by
FROM instances AS i
LEFT JOIN users AS u ON u.id = i.user_id;

-- The journal; arithmetic is a JSON object.
CREATE VIEW v_decisions AS
SELECT
    d.id,
    d.ts,
    d.last_ts,
    d.count,
    d.profile,
    d.instance_id,
    d.action,
    d.reason,
    d.detail,
    d.arithmetic,
    d.pass_id,
    i.status AS instance_status,
    i.git_commit
FROM decisions AS d
LEFT JOIN instances AS i ON i.id = d.instance_id;

-- What the agent did and said.
CREATE VIEW v_events AS
SELECT
    id,
    ts,
    level,
    source,
    category,
    profile,
    instance_id,
    message,
    context_json AS context,
    error_type,
    error_message,
    pass_id,
    stack_trace,
    model_path,
    prompt_preview
FROM logs;

-- Cards with their newest sample, who holds memory on them, and what is reserved. throttle: why the clocks are not
-- higher. xids: the newest ten, newest first; with xid_source not-available an empty list means nothing.
CREATE VIEW v_gpus AS
SELECT
    g.id AS gpu_id,
    g.idx,
    g.uuid,
    g.name,
    g.vendor,
    g.pci_bus_id,
    g.driver,
    g.status,
    g.first_seen_ts,
    g.last_seen_ts,
    s.ts AS sample_ts,
    coalesce(s.memory_total_mib, g.memory_total_mib) AS memory_total_mib,
    s.memory_used_mib,
    s.memory_free_mib,
    s.utilization_percent,
    s.memory_utilization_percent,
    s.temperature_celsius,
    s.power_mw,
    s.power_limit_mw,
    s.sm_clock_mhz,
    s.memory_clock_mhz,
    s.throttle_reasons,
    (SELECT json_group_array(json(d.one))
       FROM (SELECT json_object(
                'pid', h.pid, 'memory_mib', h.memory_mib, 'user', h.user, 'command', h.command,
                'instance_id', h.instance_id, 'profile', i.profile, 'first_seen_ts', h.first_seen_ts) AS one
             FROM gpu_holders AS h LEFT JOIN instances AS i ON i.id = h.instance_id
            WHERE h.gpu_id = g.id
             ORDER BY h.pid) AS d) AS holders,
    (SELECT json_group_array(json(d.one))
       FROM (SELECT json_object(
                'id', r.id, 'kind', r.kind, 'holder', r.holder, 'project', r.project, 'memory_mib', r.memory_mib,
                'exclusive', json(iif(r.exclusive, 'true', 'false')), 'instance_id', r.instance_id,
                'reason', r.reason, 'created_ts', r.created_ts, 'expires_ts', r.expires_ts,
                'lease_id', r.lease_id) AS one
             FROM reservations AS r
            WHERE r.gpu_id = g.id AND r.released_ts IS NULL
              AND (r.expires_ts IS NULL OR r.expires_ts > unixepoch('now'))
             ORDER BY r.id) AS d) AS reservations,
    (SELECT sum(r.memory_mib) FROM reservations AS r
      WHERE r.gpu_id = g.id AND r.released_ts IS NULL
        AND (r.expires_ts IS NULL OR r.expires_ts > unixepoch('now'))) AS reserved_mib,
    g.parent_uuid,
    g.withheld,
    g.failed_reason,
    g.failed_ts,
    g.recovery_action,
    s.ecc_volatile,
    s.ecc_aggregate,
    (SELECT json_group_array(t.word)
       FROM (SELECT 1 AS bit, 'idle' AS word
             UNION ALL VALUES (2, 'clocks set'), (4, 'power cap'), (8, 'hardware slowdown'), (16, 'sync boost'),
                              (32, 'warm'), (64, 'too hot'), (128, 'power brake'), (256, 'display clocks'),
                              (512, 'board limit'), (1024, 'reliability')) AS t
      WHERE s.throttle_reasons & t.bit) AS throttle,
    iif(g.vendor = 'nvidia', coalesce((SELECT value FROM metadata WHERE key = 'xid_source'), 'not-available'), NULL)
        AS xid_source,
    (SELECT json_group_array(json(d.one))
       FROM (SELECT json_object('ts', x.ts, 'xid', x.xid, 'pid', x.pid, 'message', x.message, 'source', x.source) AS one
               FROM gpu_xids AS x
              WHERE x.gpu_id = g.id
              ORDER BY x.id DESC
              LIMIT 10) AS d) AS xids
FROM gpus AS g
LEFT JOIN gpu_samples AS s
    ON s.gpu_id = g.id
   AND s.ts = (SELECT n.ts FROM gpu_samples AS n
                WHERE n.ts > unixepoch('now') - 86400 AND n.gpu_id = g.id
                ORDER BY n.ts DESC LIMIT 1);

-- Finished requests, with what launched the server that answered.
CREATE VIEW v_generations AS
SELECT
    r.id,
    r.ts,
    r.started_ts,
    r.instance_id,
    r.profile,
    r.project,
    r.model_name,
    r.model_path,
    r.slot_id,
    r.task_id,
    r.prompt_tokens,
    r.cached_tokens,
    r.generated_tokens,
    r.total_tokens,
    r.prompt_time_ms,
    r.generation_time_ms,
    r.total_time_ms,
    r.prompt_tokens_per_second,
    r.tokens_per_second,
    r.draft_tokens,
    r.draft_accepted,
    r.temperature,
    r.max_tokens,
    r.finish_reason,
    r.cache_hit,
    r.is_child,
    r.truncated,
    r.session_id,
    r.client,
    i.build,
    i.git_commit,
    i.gpus,
    r.cache_key,
    r.first_token_ms
FROM generations AS r
LEFT JOIN instances AS i ON i.id = r.instance_id;

-- The newest sample of the machine.
CREATE VIEW v_system_latest AS
SELECT
    s.ts,
    s.interval_s,
    s.cpu_cores,
    s.cpu_permille / 10.0 AS cpu_percent,
    s.memory_total_mib,
    s.memory_used_mib,
    s.memory_available_mib,
    100.0 * s.memory_used_mib / nullif(s.memory_total_mib, 0) AS memory_percent,
    s.swap_total_mib,
    s.swap_used_mib,
    s.load_1min_centi / 100.0 AS load_1min,
    s.load_5min_centi / 100.0 AS load_5min,
    s.load_15min_centi / 100.0 AS load_15min,
    s.disk_total_mib,
    s.disk_used_mib,
    s.disk_total_mib - s.disk_used_mib AS disk_free_mib,
    100.0 * s.disk_used_mib / nullif(s.disk_total_mib, 0) AS disk_percent,
    s.disk_read_bytes / nullif(s.interval_s, 0) AS disk_read_bytes_per_s,
    s.disk_write_bytes / nullif(s.interval_s, 0) AS disk_write_bytes_per_s,
    s.network_rx_bytes / nullif(s.interval_s, 0) AS network_rx_bytes_per_s,
    s.network_tx_bytes / nullif(s.interval_s, 0) AS network_tx_bytes_per_s,
    s.active_instances,
    s.uptime_s,
    s.requests * 60.0 / nullif(s.interval_s, 0) AS requests_per_minute
FROM system_samples AS s
WHERE s.ts = (SELECT max(ts) FROM system_samples);

-- Live instances with the health they last showed.
CREATE VIEW v_health AS
SELECT
    i.id AS instance_id,
    i.profile,
    i.status,
    i.since_ts,
    i.failures,
    h.status AS health,
    h.ts AS health_since_ts,
    h.last_ts AS health_last_ts,
    h.count AS health_count,
    h.http_status,
    h.latency_ms,
    h.detail
FROM instances AS i
LEFT JOIN health_checks AS h
    ON h.id = (SELECT n.id FROM health_checks AS n
                WHERE n.instance_id = i.id ORDER BY n.ts DESC, n.id DESC LIMIT 1)
WHERE i.status IN ('loading', 'running', 'unhealthy', 'stopping');


-- ---------------------------------------------------------------------------------------------------------
-- report
-- ---------------------------------------------------------------------------------------------------------
-- Samples in the units that are drawn; a range of `ts` in a query reaches the table's key. Nothing here looks
-- at the time of day: the same database and the same range give the same page.

CREATE VIEW v_report_system AS
SELECT
    ts,
    interval_s,
    cpu_cores,
    cpu_permille / 10.0 AS cpu_percent,
    load_1min_centi / 100.0 AS load_1min,
    memory_used_mib,
    memory_total_mib,
    swap_used_mib,
    swap_total_mib,
    disk_used_mib,
    disk_total_mib,
    1.0 * disk_read_bytes / nullif(interval_s, 0) AS disk_read_bytes_per_s,
    1.0 * disk_write_bytes / nullif(interval_s, 0) AS disk_write_bytes_per_s,
    1.0 * network_rx_bytes / nullif(interval_s, 0) AS network_rx_bytes_per_s,
    1.0 * network_tx_bytes / nullif(interval_s, 0) AS network_tx_bytes_per_s,
    active_instances
FROM system_samples;

-- throttled_percent: 100 while something holds the clocks back (power cap, heat, power brake, slowdown), else 0.
CREATE VIEW v_report_gpu AS
SELECT
    s.ts,
    g.uuid,
    s.utilization_percent,
    s.memory_used_mib,
    s.memory_total_mib,
    s.temperature_celsius,
    s.power_mw / 1000.0 AS power_watts,
    s.power_limit_mw / 1000.0 AS power_limit_watts,
    s.sm_clock_mhz,
    iif(s.throttle_reasons IS NULL, NULL, iif(s.throttle_reasons & 1772, 100.0, 0.0)) AS throttled_percent
FROM gpu_samples AS s
JOIN gpus AS g ON g.id = s.gpu_id;

-- A server counts tokens when a request ends, so these rates are those of ended requests.
CREATE VIEW v_report_instance AS
SELECT
    s.ts,
    i.profile,
    s.instance_id,
    s.cpu_permille / 10.0 AS cpu_percent,
    s.rss_kib / 1024.0 AS memory_mib,
    s.gpu_memory_mib,
    1.0 * s.prompt_tokens / nullif(y.interval_s, 0) AS prompt_tokens_per_s,
    1.0 * s.predicted_tokens / nullif(y.interval_s, 0) AS generated_tokens_per_s,
    s.requests_processing,
    s.requests_deferred,
    s.health_ms
FROM instance_samples AS s
JOIN instances AS i ON i.id = s.instance_id
LEFT JOIN system_samples AS y ON y.ts = s.ts;

-- v_profiles, and beside it what the file says and the command line of the newest launch.
CREATE VIEW v_report_profiles AS
SELECT
    p.*,
    r.document,
    r.line,
    r.git_commit AS declared_commit,
    r.git_dirty AS declared_dirty,
    r.refused_ts,
    r.refusal,
    i.argv,
    i.model_size_bytes,
    i.memory_limit_mib,
    i.peak_rss_kib / 1024.0 AS peak_memory_mib
FROM v_profiles AS p
LEFT JOIN instances AS i ON i.id = p.instance_id
LEFT JOIN profile_revisions AS r
    ON r.id = (SELECT n.id FROM profile_revisions AS n
                WHERE n.profile = p.profile ORDER BY n.last_seen_ts DESC, n.id DESC LIMIT 1);

-- Roll-ups in the units that are drawn. resolution_s: 300, 3600 or 86400. `_avg` is a bucket's mean, `_min` and `_max`
-- its extremes; a rate is growth over the seconds that the bucket stands for. Which resolution reaches how far: v_rollups.
CREATE VIEW v_report_system_rollups AS
SELECT
    resolution_s,
    ts,
    n,
    cpu_permille_sum / 10.0 / nullif(cpu_permille_n, 0) AS cpu_percent_avg,
    cpu_permille_min / 10.0 AS cpu_percent_min,
    cpu_permille_max / 10.0 AS cpu_percent_max,
    load_1min_centi_sum / 100.0 / nullif(load_1min_centi_n, 0) AS load_1min_avg,
    load_1min_centi_min / 100.0 AS load_1min_min,
    load_1min_centi_max / 100.0 AS load_1min_max,
    1.0 * memory_used_mib_sum / nullif(memory_used_mib_n, 0) AS memory_used_mib_avg,
    memory_used_mib_min,
    memory_used_mib_max,
    memory_total_mib,
    1.0 * swap_used_mib_sum / nullif(swap_used_mib_n, 0) AS swap_used_mib_avg,
    swap_used_mib_min,
    swap_used_mib_max,
    1.0 * disk_used_mib_sum / nullif(disk_used_mib_n, 0) AS disk_used_mib_avg,
    disk_total_mib,
    1.0 * disk_read_bytes / nullif(covered_s, 0) AS disk_read_bytes_per_s,
    1.0 * disk_write_bytes / nullif(covered_s, 0) AS disk_write_bytes_per_s,
    1.0 * network_rx_bytes / nullif(covered_s, 0) AS network_rx_bytes_per_s,
    1.0 * network_tx_bytes / nullif(covered_s, 0) AS network_tx_bytes_per_s,
    requests * 60.0 / nullif(covered_s, 0) AS requests_per_minute,
    1.0 * active_instances_sum / nullif(active_instances_n, 0) AS active_instances_avg,
    covered_s
FROM system_rollups
WHERE resolution_s IN (300, 3600, 86400);  -- all there are: said so that a range of ts alone reaches the key

CREATE VIEW v_report_gpu_rollups AS
SELECT
    r.resolution_s,
    r.ts,
    g.uuid,
    r.n,
    1.0 * r.utilization_percent_sum / nullif(r.utilization_percent_n, 0) AS utilization_percent_avg,
    r.utilization_percent_min,
    r.utilization_percent_max,
    1.0 * r.memory_used_mib_sum / nullif(r.memory_used_mib_n, 0) AS memory_used_mib_avg,
    r.memory_used_mib_min,
    r.memory_used_mib_max,
    r.memory_total_mib,
    1.0 * r.temperature_celsius_sum / nullif(r.temperature_celsius_n, 0) AS temperature_celsius_avg,
    r.temperature_celsius_min,
    r.temperature_celsius_max,
    r.power_mw_sum / 1000.0 / nullif(r.power_mw_n, 0) AS power_watts_avg,
    r.power_mw_min / 1000.0 AS power_watts_min,
    r.power_mw_max / 1000.0 AS power_watts_max,
    r.covered_s,
    -- a roll-up of version 1 knows only whether it happened
    iif(r.throttle_reasons IS NULL, NULL,
        iif(r.throttle_reasons & 1772, coalesce(100.0 * nullif(r.throttled_n, 0) / r.n, 100.0), 0.0)) AS throttled_percent,
    1.0 * r.sm_clock_mhz_sum / nullif(r.sm_clock_mhz_n, 0) AS sm_clock_mhz_avg,
    r.sm_clock_mhz_min,
    r.sm_clock_mhz_max
FROM gpu_rollups AS r
JOIN gpus AS g ON g.id = r.gpu_id
WHERE r.resolution_s IN (300, 3600, 86400);

CREATE VIEW v_report_instance_rollups AS
SELECT
    r.resolution_s,
    r.ts,
    i.profile,
    i.project,
    r.instance_id,
    r.n,
    r.cpu_permille_sum / 10.0 / nullif(r.cpu_permille_n, 0) AS cpu_percent_avg,
    r.cpu_permille_min / 10.0 AS cpu_percent_min,
    r.cpu_permille_max / 10.0 AS cpu_percent_max,
    r.rss_kib_sum / 1024.0 / nullif(r.rss_kib_n, 0) AS memory_mib_avg,
    r.rss_kib_min / 1024.0 AS memory_mib_min,
    r.rss_kib_max / 1024.0 AS memory_mib_max,
    1.0 * r.gpu_memory_mib_sum / nullif(r.gpu_memory_mib_n, 0) AS gpu_memory_mib_avg,
    r.gpu_memory_mib_min,
    r.gpu_memory_mib_max,
    1.0 * r.predicted_tokens / nullif(r.covered_s, 0) AS generated_tokens_per_s,
    1.0 * r.prompt_tokens / nullif(r.covered_s, 0) AS prompt_tokens_per_s,
    1.0 * r.requests_processing_sum / nullif(r.requests_processing_n, 0) AS requests_processing_avg,
    r.requests_processing_min,
    r.requests_processing_max,
    1.0 * r.requests_deferred_sum / nullif(r.requests_deferred_n, 0) AS requests_deferred_avg,
    r.requests_deferred_min,
    r.requests_deferred_max,
    r.covered_s,
    1.0 * r.health_ms_sum / nullif(r.health_ms_n, 0) AS health_ms_avg,
    r.health_ms_min,
    r.health_ms_max,
    1000.0 * r.predicted_tokens / nullif(r.predicted_ms, 0) AS generation_speed,
    1000.0 * r.prompt_tokens / nullif(r.prompt_ms, 0) AS prompt_speed
FROM instance_rollups AS r
JOIN instances AS i ON i.id = r.instance_id
WHERE r.resolution_s IN (300, 3600, 86400);

-- How far each resolution reaches: its first bucket, and the end of the last that is complete. 0: the samples.
CREATE VIEW v_rollups AS
WITH reach (resolution_s, from_ts, to_ts) AS (
    SELECT 0, max((SELECT min(ts) FROM system_samples), (SELECT min(ts) FROM instance_samples)),
           (SELECT max(ts) + 1 FROM system_samples)
    UNION ALL
    SELECT r.resolution_s,
           (SELECT min(s.ts) FROM system_rollups AS s WHERE s.resolution_s = r.resolution_s),
           (SELECT CAST(m.value AS INTEGER) FROM metadata AS m WHERE m.key = 'rollup_' || r.resolution_s || '_ts')
      FROM (SELECT 300 AS resolution_s UNION ALL SELECT 3600 UNION ALL SELECT 86400) AS r
)
SELECT resolution_s, from_ts, to_ts FROM reach WHERE from_ts IS NOT NULL AND to_ts IS NOT NULL;

-- Seconds for which servers held cards, by project: each bucket of a server counts once for each of its cards.
CREATE VIEW v_gpu_seconds AS
SELECT
    r.resolution_s,
    r.ts,
    i.project,
    i.profile,
    min(coalesce(r.covered_s, 0), r.resolution_s) * json_array_length(i.gpus) AS card_s
FROM instance_rollups AS r
JOIN instances AS i ON i.id = r.instance_id
WHERE i.gpus IS NOT NULL AND r.resolution_s IN (300, 3600, 86400);


-- ---------------------------------------------------------------------------------------------------------
-- The catalogue of images
-- ---------------------------------------------------------------------------------------------------------

-- Every image. image: as a container engine calls it, without a tag.
CREATE VIEW v_images AS
SELECT
    i.id,
    i.registry || '/' || iif(i.organization = '', '', i.organization || '/') || iif(i.team = '', '', i.team || '/')
        || i.name AS image,
    i.registry,
    i.organization,
    i.team,
    i.name,
    i.display_name,
    i.category,
    i.description,
    i.created_ts,
    i.updated_ts,
    i.last_synced_ts,
    (SELECT count(DISTINCT v.tag) FROM image_versions AS v WHERE v.image_id = i.id) AS tags,
    EXISTS (SELECT 1 FROM image_versions AS v WHERE v.image_id = i.id AND v.is_cached) AS is_cached
FROM ngc_images AS i;

-- Every architecture of every tag.
CREATE VIEW v_image_versions AS
SELECT
    v.id,
    v.image_id,
    i.image,
    i.category,
    v.tag,
    v.architecture,
    v.cuda_version,
    v.python_version,
    v.framework_version,
    v.size_bytes,
    v.created_ts,
    v.digest,
    v.index_digest,
    v.is_cached,
    v.synced_ts
FROM image_versions AS v
JOIN v_images AS i ON i.id = v.image_id;


-- ---------------------------------------------------------------------------------------------------------
-- report: what the pages tell beside samples
-- ---------------------------------------------------------------------------------------------------------

-- Memory of a card by the profile that holds it; what a server has on several cards is divided evenly among them.
CREATE VIEW v_report_gpu_memory AS
SELECT
    s.ts,
    u.value AS uuid,
    i.profile,
    1.0 * s.gpu_memory_mib / json_array_length(i.gpus) AS memory_mib
FROM instance_samples AS s
CROSS JOIN instances AS i ON i.id = s.instance_id
CROSS JOIN json_each(i.gpus) AS u
WHERE s.gpu_memory_mib > 0 AND json_array_length(i.gpus) > 0;

CREATE VIEW v_report_gpu_memory_rollups AS
SELECT
    r.resolution_s,
    r.ts,
    u.value AS uuid,
    i.profile,
    r.instance_id,
    r.gpu_memory_mib_n AS n,
    1.0 * r.gpu_memory_mib_sum / nullif(r.gpu_memory_mib_n, 0) / json_array_length(i.gpus) AS memory_mib_avg,
    1.0 * r.gpu_memory_mib_max / json_array_length(i.gpus) AS memory_mib_max,
    r.covered_s
FROM instance_rollups AS r
CROSS JOIN instances AS i ON i.id = r.instance_id
CROSS JOIN json_each(i.gpus) AS u
WHERE r.resolution_s IN (300, 3600, 86400) AND r.gpu_memory_mib_max > 0 AND json_array_length(i.gpus) > 0;

-- Energy of a card: its mean power over the seconds that a bucket stands for.
CREATE VIEW v_energy AS
SELECT
    r.resolution_s,
    r.ts,
    g.uuid,
    min(r.covered_s, r.resolution_s) AS covered_s,
    r.power_mw_sum / 1000.0 / r.power_mw_n * min(r.covered_s, r.resolution_s) / 3600.0 AS energy_wh
FROM gpu_rollups AS r
JOIN gpus AS g ON g.id = r.gpu_id
WHERE r.power_mw_n > 0 AND r.covered_s > 0 AND r.resolution_s IN (300, 3600, 86400);

-- Every content that a profile had, from when to when it was declared.
CREATE VIEW v_revisions AS
SELECT
    id AS revision_id,
    profile,
    profile_hash,
    document,
    project,
    state,
    priority,
    source,
    line,
    git_commit,
    git_dirty,
    first_seen_ts,
    last_seen_ts,
    applied_ts,
    healthy_ts,
    refused_ts,
    refusal,
    retired_ts
FROM profile_revisions;

-- The last lines that a launch wrote before its end.
CREATE VIEW v_log_tails AS
SELECT t.instance_id, i.profile, t.ts AS taken_ts, t.lines FROM log_tails AS t JOIN instances AS i ON i.id = t.instance_id;

-- Answers to health probes: a row for each change of the answer.
CREATE VIEW v_health_history AS
SELECT
    h.id,
    h.instance_id,
    i.profile,
    h.ts,
    h.last_ts,
    h.count,
    h.status,
    h.http_status,
    h.latency_ms,
    h.detail
FROM health_checks AS h
JOIN instances AS i ON i.id = h.instance_id;

-- Memory as it was measured, by file, options, build and card, beside what had been estimated.
CREATE VIEW v_memory_observations AS
SELECT
    o.id,
    i.profile,
    o.model_path,
    o.build,
    o.gpu,
    o.gpu_name,
    o.estimated_mib,
    o.peak_mib,
    o.oom_mib,
    o.n,
    o.first_ts,
    o.last_ts
FROM memory_observations AS o
LEFT JOIN instances AS i ON i.id = o.instance_id;

-- The response cache without what was asked and answered.
CREATE VIEW v_cache AS
SELECT
    id,
    model_path,
    tokens_generated,
    tokens_per_second,
    generation_time_ms,
    size_bytes,
    created_ts,
    expires_ts,
    hit_count,
    last_hit_ts
FROM cache;

-- Cards reserved, from when to when; open ones have no end. A machine that went down held its cards until last seen.
CREATE VIEW v_card_time AS
SELECT
    r.id,
    r.project,
    r.holder,
    r.kind,
    r.gpu_id,
    g.uuid,
    g.idx,
    r.memory_mib,
    r.created_ts AS from_ts,
    min(coalesce(r.expires_ts, 9223372036854775807),
        coalesce(iif(i.reason = 'reboot', i.last_seen_ts, NULL), r.released_ts, 9223372036854775807)) AS to_ts,
    r.reason
FROM reservations AS r
JOIN gpus AS g ON g.id = r.gpu_id
LEFT JOIN instances AS i ON i.id = r.instance_id;

-- Readings of the power of cards, with the time that each stands for.
CREATE VIEW v_card_power AS
SELECT g.ts, g.gpu_id, g.power_mw, s.interval_s, g.memory_total_mib
FROM gpu_samples AS g
CROSS JOIN system_samples AS s ON s.ts = g.ts;

-- Who did what by hand.
CREATE VIEW v_audit AS
SELECT a.id, a.ts, u.username, a.action, a.resource_type, a.resource_id, a.details
FROM audit_log AS a
LEFT JOIN users AS u ON u.id = a.user_id;

-- Facts that the program keeps about itself and that readers may want; NULL: not known yet.
CREATE VIEW v_upkeep AS
SELECT
    (SELECT value FROM metadata WHERE key = 'last_backup') AS last_backup,
    (SELECT CAST(value AS INTEGER) FROM metadata WHERE key = 'backup_next_ts') AS backup_next_ts,
    (SELECT CAST(value AS INTEGER) FROM metadata WHERE key = 'report_ts') AS report_ts,
    (SELECT max(version) FROM schema_version) AS schema_version,
    (SELECT max(applied_ts) FROM schema_version) AS migrated_ts;

-- The tables that grow, with what the oldest and the newest row tell of.
CREATE VIEW v_table_reach AS
SELECT * FROM (
    SELECT 'system_samples' AS name, (SELECT count(*) FROM system_samples) AS row_count,
           (SELECT min(ts) FROM system_samples) AS from_ts, (SELECT max(ts) FROM system_samples) AS to_ts,
           'retention.system_samples' AS kept_by
    UNION ALL
    SELECT 'instance_samples', (SELECT count(*) FROM instance_samples),
           (SELECT min(ts) FROM instance_samples), (SELECT max(ts) FROM instance_samples), 'retention.instance_samples'
    UNION ALL
    SELECT 'gpu_samples', (SELECT count(*) FROM gpu_samples),
           (SELECT min(ts) FROM gpu_samples), (SELECT max(ts) FROM gpu_samples), 'retention.system_samples'
    UNION ALL
    SELECT 'generations', (SELECT count(*) FROM generations),
           (SELECT min(ts) FROM generations), (SELECT max(ts) FROM generations), 'retention.generations'
    UNION ALL
    SELECT 'logs', (SELECT count(*) FROM logs),
           (SELECT min(ts) FROM logs), (SELECT max(ts) FROM logs), 'retention.logs'
    UNION ALL
    SELECT 'decisions', (SELECT count(*) FROM decisions),
           (SELECT min(ts) FROM decisions), (SELECT max(last_ts) FROM decisions), NULL
    UNION ALL
    SELECT 'instances', (SELECT count(*) FROM instances),
           (SELECT min(created_ts) FROM instances), (SELECT max(since_ts) FROM instances), NULL
) WHERE row_count > 0;
