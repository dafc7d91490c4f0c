-- What was declared, revision by revision; the newest valid one of a profile is its last good revision.

-- name: select_last_good
SELECT profile, profile_hash, launch_hash, document, source, line
  FROM profile_revisions AS r
 WHERE retired_ts IS NULL
   AND last_seen_ts = (SELECT max(last_seen_ts) FROM profile_revisions WHERE profile = r.profile)
 ORDER BY profile;

-- name: select_changed_since
SELECT min(first_seen_ts) FROM profile_revisions WHERE profile = :profile AND launch_hash = :launch_hash;

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
-- What was refused for the same launch is not any more.
UPDATE profile_revisions
   SET healthy_ts = iif(profile_hash = :profile_hash, :ts, healthy_ts), refused_ts = NULL, refusal = NULL
 WHERE profile = :profile
   AND launch_hash = (SELECT launch_hash FROM profile_revisions
                       WHERE profile = :profile AND profile_hash = :profile_hash);

-- name: mark_refused
UPDATE profile_revisions SET refused_ts = :ts, refusal = :refusal
 WHERE profile = :profile AND launch_hash = :launch_hash AND healthy_ts IS NULL;

-- name: clear_refused
UPDATE profile_revisions SET refused_ts = NULL, refusal = NULL WHERE profile = :profile AND refused_ts IS NOT NULL;

-- name: select_refused
SELECT profile, profile_hash, refusal FROM profile_revisions WHERE refused_ts IS NOT NULL;

-- name: select_healthy_before
-- The newest content of the launch that was healthy last: labels and the like may have changed since without a launch.
SELECT r.profile_hash, r.document, r.source, r.line, datetime(r.first_seen_ts, 'unixepoch')
  FROM profile_revisions AS r
  JOIN (SELECT launch_hash, max(healthy_ts) AS healthy_ts FROM profile_revisions
         WHERE profile = :profile AND healthy_ts IS NOT NULL GROUP BY launch_hash) AS h USING (launch_hash)
 WHERE r.profile = :profile AND r.launch_hash <> :launch_hash AND r.state = 'running'
 ORDER BY h.healthy_ts DESC, r.last_seen_ts DESC
 LIMIT 1;

-- name: select_ever_healthy
SELECT EXISTS (SELECT 1 FROM profile_revisions
                WHERE profile = :profile AND launch_hash = :launch_hash AND healthy_ts IS NOT NULL);

-- name: insert_model
INSERT INTO models (name, origin, model_path, model_url, docker_repo, hf_repo, created_at, updated_at)
VALUES (:name, 'profile', :model_path, :model_url, :docker_repo, :hf_repo, :ts, :ts);

-- name: delete_model
-- Declared once or imported; its configuration goes with it, launches keep their history.
DELETE FROM models WHERE name = :name;

-- name: update_model
UPDATE models
   SET origin = 'profile', model_path = :model_path, model_url = :model_url, docker_repo = :docker_repo,
       hf_repo = :hf_repo, updated_at = :ts
 WHERE name = :name;
