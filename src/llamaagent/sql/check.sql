-- Whether a database is what it should be, and what is asked before one takes another's place.

-- name: check_integrity_once
PRAGMA integrity_check(1);

-- name: check_integrity
PRAGMA integrity_check(20);

-- name: check_pages
PRAGMA quick_check(20);

-- name: check_references
PRAGMA foreign_key_check;

-- name: lock_for_exchange
BEGIN EXCLUSIVE;

-- name: list_definitions
SELECT type, name, sql FROM sqlite_schema
 WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*' AND name NOT GLOB '_litestream*';
