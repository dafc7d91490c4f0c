-- What `db info` tells beside the sizes of tables.

-- name: select_sample_span
SELECT min(ts) AS first_ts, max(ts) AS last_ts FROM system_samples;

-- name: select_migrated
SELECT max(applied_ts) FROM schema_version;
