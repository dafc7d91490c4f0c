-- What operators said, who they are, and the record of it.

-- name: select_overrides
SELECT profile, action, created_ts, until_ts, state_seen, username, done_ts FROM overrides;

-- name: upsert_override
INSERT INTO overrides (profile, action, created_ts, until_ts, username, uid, note, state_seen, done_ts)
VALUES (:profile, :action, :ts, :until_ts, :user, :uid, :note, :state_seen, NULL)
ON CONFLICT (profile) DO UPDATE
   SET action = excluded.action, created_ts = excluded.created_ts, until_ts = excluded.until_ts, username = excluded.username,
       uid = excluded.uid, note = excluded.note, state_seen = excluded.state_seen, done_ts = NULL;

-- name: finish_override
UPDATE overrides SET done_ts = :ts WHERE profile = :profile AND done_ts IS NULL;

-- name: delete_override
DELETE FROM overrides WHERE profile = :profile;

-- name: upsert_user
INSERT INTO users (username, uid, first_seen_ts, last_seen_ts) VALUES (:username, :uid, :ts, :ts)
ON CONFLICT (username) DO UPDATE SET uid = excluded.uid, last_seen_ts = excluded.last_seen_ts
RETURNING id;

-- name: insert_audit
INSERT INTO audit_log (ts, user_id, action, resource_type, resource_id, details)
VALUES (:ts, :user_id, :action, :resource_type, :resource_id, :details);
