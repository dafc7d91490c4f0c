-- What is asked of a database whose tables are not known beforehand: another program's, or any table of ours.

-- name: list_tables
-- Real tables only: a view or a virtual table may run anything.
SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name;

-- name: list_columns
-- Those that are stored; a generated column may compute anything.
SELECT name FROM pragma_table_xinfo(:table) WHERE hidden = 0 ORDER BY cid;

-- name: make_reading
-- The statement that reads a table, oldest row first: by its rowid where it has one.
SELECT format('SELECT %s FROM main."%w"%s',
              (SELECT group_concat(format('"%w"', name), ', ' ORDER BY cid)
                 FROM pragma_table_xinfo(:table) WHERE hidden = 0),
              :table,
              (SELECT iif(wr, '', ' ORDER BY rowid') FROM pragma_table_list WHERE schema = 'main' AND name = :table));

-- name: list_relations
SELECT name, type FROM pragma_table_list
 WHERE schema = 'main' AND type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'
 ORDER BY name;

-- name: list_typed_columns
-- Generated ones too. kind: 0 stored, 2 and 3 generated.
SELECT name, type, hidden AS kind, "notnull" OR pk AS is_known FROM pragma_table_xinfo(:table) WHERE hidden <> 1 ORDER BY cid;

-- name: make_export
-- The statement that reads columns of a table or view; `time` is the column that :since and :until are about, or NULL.
SELECT format('SELECT %s FROM main."%w"%s',
              (SELECT group_concat(format('"%w"', value), ', ' ORDER BY key) FROM json_each(:columns)),
              :table,
              iif(:time IS NULL, '', format(' WHERE "%w" >= :since AND "%w" < :until', :time, :time)));

-- name: make_insert
-- The beginning of the statement that puts a row back.
SELECT format('%s INTO "%w" (%s) VALUES (', :verb, :table,
              (SELECT group_concat(format('"%w"', value), ', ' ORDER BY key) FROM json_each(:columns)));

-- name: list_problems
SELECT quick_check FROM pragma_quick_check LIMIT 1;
