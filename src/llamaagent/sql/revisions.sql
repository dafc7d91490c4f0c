-- What was declared, revision by revision; the newest valid one of a profile is its last good revision.

-- name: select_last_good
SELECT profile, profile_hash, launch_hash, document, source, line
  FROM profile_revisions AS r
 WHERE retired_ts IS NULL
   AND last_seen_ts = (SELECT max(last_seen_ts) FROM profile_revisions WHERE profile = r.profile)
 ORDER BY profile;

-- name: select_last_hashes
-- An empty hash: what this revision configures does not stand in `models` and its tables, which an older program did
-- not fill; so it is declared once more.
SELECT profile,
       iif(EXISTS (SELECT 1 FROM models AS m JOIN model_advanced_config AS c ON c.model_id = m.id
                    WHERE m.name = r.profile), profile_hash, '') AS profile_hash,
       source
  FROM profile_revisions AS r
 WHERE retired_ts IS NULL
   AND last_seen_ts = (SELECT max(last_seen_ts) FROM profile_revisions WHERE profile = r.profile);

-- name: upsert_revision
-- The newest revision of a profile is the one seen last; two changes within a second keep their order.
INSERT INTO profile_revisions (profile, profile_hash, launch_hash, document, kind, project, state, priority, labels,
                               source, line, git_commit, git_dirty, first_seen_ts, last_seen_ts)
VALUES (:profile, :profile_hash, :launch_hash, :document, :kind, :project, :state, :priority, :labels,
        :source, :line, :git_commit, :git_dirty, :ts,
        max(:ts, 1 + coalesce((SELECT max(last_seen_ts) FROM profile_revisions WHERE profile = :profile), 0)))
ON CONFLICT (profile, profile_hash) DO UPDATE
   SET last_seen_ts = excluded.last_seen_ts, source = excluded.source, line = excluded.line,
       git_commit = excluded.git_commit, git_dirty = excluded.git_dirty, retired_ts = NULL;

-- name: retire_revisions
UPDATE profile_revisions SET retired_ts = :ts WHERE profile = :profile AND retired_ts IS NULL;

-- name: mark_healthy
UPDATE profile_revisions SET healthy_ts = :ts WHERE profile = :profile AND profile_hash = :profile_hash;

-- name: insert_model
INSERT INTO models (name, origin, model_path, model_url, docker_repo, hf_repo, created_at, updated_at)
VALUES (:name, 'profile', :model_path, :model_url, :docker_repo, :hf_repo, :ts, :ts);

-- name: delete_model
-- Its configuration goes with it; launches keep their history.
DELETE FROM models WHERE name = :name AND origin = 'profile';

-- name: update_model
UPDATE models
   SET origin = 'profile', model_path = :model_path, model_url = :model_url, docker_repo = :docker_repo,
       hf_repo = :hf_repo, updated_at = :ts
 WHERE name = :name;
