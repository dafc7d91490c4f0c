-- Reading what is left of a damaged database into a fresh one.

-- name: select_reading
-- How a table is read in the order of its key: columns, types of the key, and the statements forward and backward
-- between two keys. A key is as many values as there are key columns; both ends are left out.
WITH stored AS (SELECT name, type, pk, cid FROM pragma_table_xinfo(:name) WHERE hidden = 0),
kept AS (SELECT (SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = :name) AS without_rowid),
named AS (SELECT name, type, pk FROM stored WHERE pk > 0 AND (SELECT without_rowid FROM kept)
          UNION ALL SELECT 'rowid', 'INTEGER', 1 WHERE NOT (SELECT without_rowid FROM kept)),
parts AS (
    SELECT (SELECT json_group_array(name ORDER BY cid) FROM stored) AS columns,
           (SELECT group_concat(format('"%w"', name), ', ' ORDER BY cid) FROM stored) AS list,
           (SELECT json_group_array(type ORDER BY pk) FROM named) AS types,
           (SELECT group_concat(format('"%w"', name), ', ' ORDER BY pk) FROM named) AS key,
           (SELECT group_concat(format('"%w" DESC', name), ', ' ORDER BY pk) FROM named) AS downward,
           (SELECT group_concat('?', ', ') FROM named) AS marks),
text AS (
    SELECT columns, types, downward, key,
           format('SELECT %s, %s FROM "%w" NOT INDEXED WHERE (%s) > (%s) AND (%s) < (%s) ORDER BY ',
                  key, list, :name, key, marks, key, marks) AS reading
      FROM parts)
SELECT columns, types, reading || key AS forward, reading || downward AS backward FROM text;

-- name: select_insertion
-- The statement that puts a row into the fresh database, and the places of its values among the columns read.
SELECT json_group_array(read.key ORDER BY read.key) AS places,
       format('INSERT INTO "%w" (%s) VALUES (%s)', :name,
              group_concat(format('"%w"', here.name), ', ' ORDER BY read.key), group_concat('?', ', ')) AS text
  FROM pragma_table_xinfo(:name) AS here
  JOIN json_each(:columns) AS read ON read.value = here.name
 WHERE here.hidden = 0;

-- name: list_tables
-- Types in the order in which a row stores them: with the key in front where there is no rowid.
SELECT s.name, s.sql, t.wr AS without_rowid,
       (SELECT json_group_array(c.type ORDER BY t.wr = 0 OR c.pk = 0, iif(t.wr, c.pk, 0), c.cid)
          FROM pragma_table_info(s.name) AS c) AS types
  FROM sqlite_schema AS s
  JOIN pragma_table_list AS t ON t.schema = 'main' AND t.name = s.name
 WHERE s.type = 'table' AND s.name NOT GLOB 'sqlite_*'
 ORDER BY s.rowid;

-- name: forget_versions
-- They come from the damaged database, by whose first version its copies are known.
DELETE FROM schema_version;

-- name: list_broken
SELECT DISTINCT "table", parent, fkid FROM pragma_foreign_key_check;

-- name: select_reference
-- The column that a broken reference stands in, and whether it may be NULL.
SELECT f."from" AS name, (SELECT "notnull" OR pk FROM pragma_table_info(:name) WHERE name = f."from") AS needed,
       format('UPDATE "%w" SET "%w" = NULL WHERE "%w" NOT IN (SELECT id FROM "%w")',
              :name, f."from", f."from", f."table") AS clearing,
       format('SELECT DISTINCT "%w" FROM "%w" WHERE "%w" NOT IN (SELECT id FROM "%w")',
              f."from", :name, f."from", f."table") AS missing
  FROM pragma_foreign_key_list(:name) AS f WHERE f.id = :id;

-- name: stand_in_instances
INSERT INTO instances (id, profile, kind, status, reason, detail, since_ts, created_ts, wanted)
VALUES (:id, 'lost', 'process', 'deleted', 'lost', 'its row was lost with a damaged page', 0, 0, 0);

-- name: stand_in_models
INSERT INTO models (id, name, origin, status, created_at, updated_at)
VALUES (:id, format('lost-%d', :id), 'import', 'stopped', 0, 0);

-- name: stand_in_gpus
INSERT INTO gpus (id, uuid, name, first_seen_ts, last_seen_ts) VALUES (:id, format('lost-%d', :id), 'lost', 0, 0);

-- name: stand_in_ngc_images
INSERT INTO ngc_images (id, name, organization) VALUES (:id, format('lost-%d', :id), 'lost');

-- name: select_counting
-- The statement that counts the rows of a table.
SELECT format('SELECT count(*) FROM "%w"', :name);
