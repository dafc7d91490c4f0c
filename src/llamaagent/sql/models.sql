-- Model files: what a scan stores, and what the commands about them read.

-- name: select_known
SELECT id, path, size_bytes, parts, mtime_ns, inode, error, missing_ts FROM model_files ORDER BY path;

-- name: upsert_file
INSERT INTO model_files (path, filename, size_bytes, parts, mtime_ns, inode, format, name, architecture, parameter_count,
                         size_label, quantization, file_type, context_length, vocab_size, embedding_size, block_count,
                         head_count, head_count_kv, ffn_dim, chat_template, metadata_json, sha256, error,
                         first_seen_ts, last_seen_ts)
VALUES (:path, :filename, :size_bytes, :parts, :mtime_ns, :inode, :format, :name, :architecture, :parameter_count,
        :size_label, :quantization, :file_type, :context_length, :vocab_size, :embedding_size, :block_count,
        :head_count, :head_count_kv, :ffn_dim, :chat_template, :metadata_json, :sha256, :error, :ts, :ts)
ON CONFLICT (path) DO UPDATE
   SET filename = excluded.filename, size_bytes = excluded.size_bytes, parts = excluded.parts,
       mtime_ns = excluded.mtime_ns, inode = excluded.inode, format = excluded.format, name = excluded.name,
       architecture = excluded.architecture, parameter_count = excluded.parameter_count,
       size_label = excluded.size_label, quantization = excluded.quantization, file_type = excluded.file_type,
       context_length = excluded.context_length, vocab_size = excluded.vocab_size,
       embedding_size = excluded.embedding_size, block_count = excluded.block_count,
       head_count = excluded.head_count, head_count_kv = excluded.head_count_kv, ffn_dim = excluded.ffn_dim,
       chat_template = excluded.chat_template, metadata_json = excluded.metadata_json, sha256 = excluded.sha256,
       error = excluded.error, last_seen_ts = excluded.last_seen_ts, missing_ts = NULL;

-- name: update_seen
-- ids: a JSON array.
UPDATE model_files SET last_seen_ts = :ts, missing_ts = NULL WHERE id IN (SELECT value FROM json_each(:ids));

-- name: update_missing
UPDATE model_files SET missing_ts = :ts
 WHERE missing_ts IS NULL AND id IN (SELECT value FROM json_each(:ids));

-- name: update_used
-- A model that runs is used now; else it was used when its last launch ended, or was made.
UPDATE model_files
   SET last_used_ts = max(coalesce(last_used_ts, 0), used.ts)
  FROM (SELECT model_path,
               max(CASE WHEN status IN ('loading', 'running', 'unhealthy', 'stopping') THEN :ts
                        ELSE coalesce(ended_ts, launched_ts) END) AS ts
          FROM instances
         WHERE model_path IS NOT NULL AND launched_ts IS NOT NULL
         GROUP BY model_path) AS used
 WHERE used.model_path = model_files.path AND used.ts IS NOT NULL;

-- name: update_favorite
UPDATE model_files SET favorite = :favorite WHERE id = :id AND favorite <> :favorite RETURNING id;

-- name: delete_files
DELETE FROM model_files WHERE id IN (SELECT value FROM json_each(:ids));

-- name: list_files
SELECT f.id, f.path, f.filename, f.name, f.architecture, f.parameter_count, f.size_label, f.quantization,
       f.context_length, f.size_bytes, f.parts, f.favorite, f.first_seen_ts, f.last_seen_ts, f.last_used_ts,
       f.missing_ts, f.error,
       (SELECT json_group_array(m.name) FROM models AS m WHERE m.model_path = f.path) AS profiles
  FROM model_files AS f
 ORDER BY f.favorite DESC, f.path;

-- name: select_file
SELECT f.*, (SELECT json_group_array(m.name) FROM models AS m WHERE m.model_path = f.path) AS profiles
  FROM model_files AS f
 WHERE f.id = :id;
