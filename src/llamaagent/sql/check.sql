-- Whether a database is what it should be, and what is asked before one takes another's place.

-- name: check_integrity_once
SELECT integrity_check FROM pragma_integrity_check LIMIT 1;

-- name: check_integrity
SELECT integrity_check FROM pragma_integrity_check LIMIT 20;

-- name: check_pages
SELECT quick_check FROM pragma_quick_check LIMIT 20;

-- name: check_references
SELECT "table", rowid, parent, fkid FROM pragma_foreign_key_check;

-- name: lock_for_exchange
BEGIN EXCLUSIVE;

-- name: list_definitions
SELECT type, name, sql FROM sqlite_schema
 WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*' AND name NOT GLOB '_litestream*';
