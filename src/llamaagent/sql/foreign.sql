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

-- name: list_problems
SELECT quick_check FROM pragma_quick_check LIMIT 1;
