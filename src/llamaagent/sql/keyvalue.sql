-- The typed values of `config`, and the small facts of `metadata`.

-- name: select_config
SELECT key, value, value_type, created_ts, updated_ts FROM config WHERE key = :key;

-- name: list_config
SELECT key, value, value_type, created_ts, updated_ts FROM config ORDER BY key;

-- name: upsert_config
INSERT INTO config (key, value, value_type, created_ts, updated_ts) VALUES (:key, :value, :value_type, :ts, :ts)
ON CONFLICT (key) DO UPDATE
   SET value = excluded.value, value_type = excluded.value_type, updated_ts = excluded.updated_ts;

-- name: delete_config
DELETE FROM config WHERE key = :key RETURNING key;

-- name: select_metadata
SELECT value FROM metadata WHERE key = :key;

-- name: list_metadata
SELECT key, value, updated_at FROM metadata ORDER BY key;

-- name: upsert_metadata
INSERT INTO metadata (key, value, updated_at) VALUES (:key, :value, :ts)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at;

-- name: delete_metadata
DELETE FROM metadata WHERE key = :key RETURNING key;

-- name: select_predefined
-- The version of the schema, since when the oldest server that lives runs, and when the last pass measured.
SELECT CAST((SELECT max(version) FROM schema_version) AS TEXT) AS db_version,
       (SELECT min(launched_ts) FROM instances
         WHERE status IN ('loading', 'running', 'unhealthy', 'stopping')) AS server_start_time,
       (SELECT CAST(value AS INTEGER) FROM metadata WHERE key = 'last_sample_ts') AS last_metrics_save;
