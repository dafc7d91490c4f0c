-- What `notify` is told. One statement under each heading; :names are bound.

-- name: insert_notice
INSERT INTO notifications (ts, event, profile, payload) VALUES (:ts, :event, :profile, :payload);

-- name: delete_old
-- The newest thousand are kept, whatever the clock says.
DELETE FROM notifications WHERE id <= (SELECT max(id) FROM notifications) - 1000;

-- name: select_waiting
SELECT id, ts, event, profile, payload, attempts, tried_ts
  FROM notifications
 WHERE sent_ts IS NULL AND gave_up_ts IS NULL
 ORDER BY id;

-- name: select_any
SELECT EXISTS (SELECT 1 FROM notifications WHERE sent_ts IS NULL AND gave_up_ts IS NULL);

-- name: update_tried
-- Before it is sent: an agent that is killed while it sends has tried.
UPDATE notifications SET attempts = attempts + 1, tried_ts = :ts WHERE id = :id AND sent_ts IS NULL;

-- name: update_sent
UPDATE notifications SET sent_ts = :ts, error = NULL WHERE id = :id;

-- name: update_failed
UPDATE notifications SET error = :error WHERE id = :id;

-- name: update_gave_up
UPDATE notifications SET gave_up_ts = :ts WHERE id = :id;
