-- The database about itself: what opening and upgrading ask and write. One statement under each heading.

-- name: count_objects
-- An empty file has none. What a replication tool keeps in our file is not ours to judge.
SELECT count(*) FROM sqlite_schema WHERE name NOT GLOB 'sqlite_*' AND name NOT GLOB '_litestream*';

-- name: select_metadata
SELECT value FROM metadata WHERE key = :key;

-- name: upsert_metadata
INSERT INTO metadata (key, value, updated_at) VALUES (:key, :value, unixepoch('now'))
ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at;

-- name: insert_version
INSERT INTO schema_version (version, name, sha256, program_version, applied_ts)
VALUES (:version, :name, :sha256, :program_version, unixepoch('now'));

-- name: select_view_removals
-- Each row is a statement that removes one view. A rebuilt table cannot be renamed while a view reads it.
SELECT format('DROP VIEW "%w"', name) FROM sqlite_schema WHERE type = 'view';

-- name: begin_snapshot
BEGIN DEFERRED;

-- name: end_snapshot
ROLLBACK;

-- name: check_quickly
PRAGMA quick_check(1);

-- name: select_origin
-- By this a database is known in its copies: when its schema was first made.
SELECT version, applied_ts FROM schema_version ORDER BY version LIMIT 1;

-- name: select_version_row
SELECT version, name, sha256, program_version, applied_ts FROM schema_version;

-- name: insert_version_row
INSERT INTO schema_version (version, name, sha256, program_version, applied_ts) VALUES (?, ?, ?, ?, ?);

-- name: vacuum
VACUUM;

-- name: analyze
ANALYZE;
