-- Containers: what the rows of instances say of them.

-- name: update_contained
-- The container of a launch is there; its name was written before.
UPDATE instances SET container_id = :container_id
 WHERE id = :id AND status IN ('loading', 'running', 'unhealthy', 'stopping');

-- name: select_engine_log
SELECT engine_log FROM instances WHERE id = :id;

-- name: update_engine_log
UPDATE instances SET engine_log = :engine_log WHERE id = :id;

-- name: select_images
-- Of what runs in any way.
SELECT profile, image, image_digest, engine FROM instances
 WHERE kind = 'container' AND status IN ('loading', 'running', 'unhealthy') AND image IS NOT NULL AND engine IS NOT NULL
 ORDER BY profile;

-- name: select_launches
-- Of launch ids, those that have a row; and whether they are over. launches: a JSON array.
SELECT launch_id, status IN ('stopped', 'error', 'deleted') AND reason IS NOT 'detached'
  FROM instances WHERE launch_id IN (SELECT value FROM json_each(:launches));
