-- page: Data
-- The database itself: how large, how far back, when saved, and where samples are missing.

-- name: upkeep
SELECT last_backup ->> '$.ts' AS backup_ts, last_backup ->> '$.path' AS backup_path, backup_next_ts, schema_version,
       migrated_ts, page_count * page_size AS size_bytes, freelist_count * page_size AS free_bytes
  FROM v_upkeep, pragma_page_count, pragma_page_size, pragma_freelist_count;

-- name: rollups
SELECT resolution_s, from_ts, to_ts FROM v_rollups WHERE resolution_s > 0 ORDER BY resolution_s;

-- name: gaps
-- Silences of the last seven days that are longer than 2.5 times the usual time between two samples.
WITH usual AS (
    SELECT max(60, 2.5 * avg(interval_s)) AS longest_s
      FROM (SELECT interval_s FROM v_report_system AS s
             WHERE s.ts >= :week_ts AND interval_s IS NOT NULL ORDER BY interval_s LIMIT 1
            OFFSET (SELECT count(*) / 2 FROM v_report_system AS s WHERE s.ts >= :week_ts AND interval_s IS NOT NULL))
), steps AS (
    SELECT lag(ts) OVER (ORDER BY ts) AS before_ts, ts FROM v_report_system AS s WHERE s.ts >= :week_ts AND s.ts < :to_ts
)
SELECT before_ts AS from_ts, ts AS to_ts, ts - before_ts AS length_s
  FROM steps, usual
 WHERE ts - before_ts > longest_s
 ORDER BY ts DESC
 LIMIT 30;
