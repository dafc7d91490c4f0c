-- The catalogue of images, and the answers of registries that it came from.

-- name: select_answer
SELECT endpoint, response, etag, cached_ts, expires_ts, link FROM api_cache
 WHERE endpoint = :endpoint AND response IS NOT NULL;

-- name: upsert_answer
INSERT INTO api_cache (endpoint, response, etag, cached_ts, expires_ts, link)
VALUES (:endpoint, :response, :etag, :cached_ts, :expires_ts, :link)
ON CONFLICT (endpoint) DO UPDATE
   SET response = excluded.response, etag = excluded.etag, cached_ts = excluded.cached_ts,
       expires_ts = excluded.expires_ts, link = excluded.link;

-- name: upsert_image
-- What is not known now stays as it was.
INSERT INTO ngc_images (registry, organization, team, name, display_name, category, description, created_ts, updated_ts,
                        last_synced_ts)
VALUES (:registry, :organization, :team, :name, :display_name, :category, :description, :created_ts, :updated_ts, :ts)
ON CONFLICT (registry, organization, team, name) DO UPDATE
   SET display_name = coalesce(excluded.display_name, display_name),
       category = coalesce(excluded.category, category),
       description = coalesce(excluded.description, description),
       created_ts = coalesce(excluded.created_ts, created_ts),
       updated_ts = coalesce(excluded.updated_ts, updated_ts),
       last_synced_ts = excluded.last_synced_ts
RETURNING id, category;

-- name: select_images
SELECT registry, organization, team, name, display_name, category, description, created_ts, updated_ts,
       EXISTS (SELECT 1 FROM image_versions AS v WHERE v.image_id = ngc_images.id) AS has_versions
  FROM ngc_images ORDER BY registry, organization, team, name;

-- name: select_tags
-- What each tag named when it was last read whole.
SELECT tag, coalesce(min(index_digest), min(digest)) FROM image_versions
 WHERE image_id = :image_id AND manifest_json IS NOT NULL AND synced_ts IS NOT NULL
 GROUP BY tag;

-- name: select_by_digest
SELECT tag, architecture, digest, index_digest, size_bytes, created_ts, cuda_version, python_version, framework_version,
       manifest_json
  FROM image_versions
 WHERE digest = :digest AND manifest_json IS NOT NULL AND synced_ts IS NOT NULL
 LIMIT 1;

-- name: select_version
SELECT digest, index_digest FROM image_versions
 WHERE image_id = :image_id AND tag = :tag AND architecture = :architecture;

-- name: upsert_version
-- NULLs of a listing that says less do not erase what the image itself said, as long as it is the same image.
INSERT INTO image_versions (image_id, tag, architecture, digest, index_digest, size_bytes, created_ts, cuda_version,
                            python_version, framework_version, manifest_json, synced_ts)
VALUES (:image_id, :tag, :architecture, :digest, :index_digest, :size_bytes, :created_ts, :cuda_version,
        :python_version, :framework_version, iif(json_valid(:manifest_json), :manifest_json, NULL), :ts)
ON CONFLICT (image_id, tag, architecture) DO UPDATE
   SET size_bytes = iif(digest IS excluded.digest, coalesce(excluded.size_bytes, size_bytes), excluded.size_bytes),
       created_ts = iif(digest IS excluded.digest, coalesce(excluded.created_ts, created_ts), excluded.created_ts),
       cuda_version = iif(digest IS excluded.digest, coalesce(excluded.cuda_version, cuda_version),
                          excluded.cuda_version),
       python_version = iif(digest IS excluded.digest, coalesce(excluded.python_version, python_version),
                            excluded.python_version),
       framework_version = iif(digest IS excluded.digest, coalesce(excluded.framework_version, framework_version),
                               excluded.framework_version),
       manifest_json = iif(digest IS excluded.digest, coalesce(excluded.manifest_json, manifest_json),
                           excluded.manifest_json),
       is_cached = iif(digest IS excluded.digest, is_cached, 0),
       digest = excluded.digest,
       index_digest = excluded.index_digest,
       synced_ts = excluded.synced_ts;

-- name: delete_other_architectures
DELETE FROM image_versions
 WHERE image_id = :image_id AND tag = :tag AND architecture NOT IN (SELECT value FROM json_each(:architectures));

-- name: update_confirmed
UPDATE image_versions SET synced_ts = :ts WHERE image_id = :image_id AND tag = :tag RETURNING id;

-- name: delete_gone_tags
DELETE FROM image_versions
 WHERE image_id = :image_id AND tag NOT IN (SELECT value FROM json_each(:tags))
RETURNING tag;

-- name: select_marks
SELECT v.id, i.registry, i.organization, i.team, i.name, v.tag, v.digest, v.index_digest, v.architecture, v.is_cached
  FROM image_versions AS v JOIN ngc_images AS i ON i.id = v.image_id;

-- name: update_mark
UPDATE image_versions SET is_cached = :is_cached WHERE id = :id;

-- name: list_images
SELECT * FROM v_images;

-- name: list_versions
SELECT * FROM v_image_versions;
