-- Table `logs`: what the agent and programs that use its library had to say.
-- Each search goes by one index. `+` keeps the planner from taking another one than the statement is written for.

-- name: list_events
-- By time. levels and words: JSON arrays; each word must stand somewhere in a row. before_*: the row to go on from.
SELECT id, ts, level, source, category, message, context, profile, instance_id, error_type, error_message, stack_trace,
       model_path, prompt_preview, pass_id
  FROM v_events
 WHERE ts >= :since AND ts < :until AND (ts, id) < (:before_ts, :before_id)
   AND +level IN (SELECT value FROM json_each(:levels))
   AND (:category IS NULL OR category = :category)
   AND (:grep IS NULL OR instr(lower(message), lower(:grep)))
   AND NOT EXISTS (
        SELECT 1 FROM json_each(:words) AS w
         WHERE NOT instr(lower(concat_ws(' ', message, source, category, context, error_type, error_message, stack_trace)),
                         lower(w.value)))
 ORDER BY ts DESC, id DESC
 LIMIT :limit;

-- name: list_events_of_source
SELECT id, ts, level, source, category, message, context, profile, instance_id, error_type, error_message, stack_trace,
       model_path, prompt_preview, pass_id
  FROM v_events
 WHERE source = :source AND ts >= :since AND ts < :until AND (ts, id) < (:before_ts, :before_id)
   AND +level IN (SELECT value FROM json_each(:levels))
   AND (:category IS NULL OR category = :category)
   AND (:grep IS NULL OR instr(lower(message), lower(:grep)))
   AND NOT EXISTS (
        SELECT 1 FROM json_each(:words) AS w
         WHERE NOT instr(lower(concat_ws(' ', message, source, category, context, error_type, error_message, stack_trace)),
                         lower(w.value)))
 ORDER BY ts DESC, id DESC
 LIMIT :limit;

-- name: list_events_of_levels
-- For warnings and worse: they are few among many.
SELECT id, ts, level, source, category, message, context, profile, instance_id, error_type, error_message, stack_trace,
       model_path, prompt_preview, pass_id
  FROM v_events
 WHERE level IN (SELECT value FROM json_each(:levels)) AND ts >= :since AND ts < :until
   AND (ts, id) < (:before_ts, :before_id)
   AND (:category IS NULL OR category = :category)
   AND (:grep IS NULL OR instr(lower(message), lower(:grep)))
   AND NOT EXISTS (
        SELECT 1 FROM json_each(:words) AS w
         WHERE NOT instr(lower(concat_ws(' ', message, source, category, context, error_type, error_message, stack_trace)),
                         lower(w.value)))
 ORDER BY ts DESC, id DESC
 LIMIT :limit;

-- name: select_event
SELECT ts FROM logs WHERE id = :id;

-- name: insert_event
INSERT INTO logs (ts, level, source, category, message, context_json, model_path, prompt_preview, error_type,
                  error_message, stack_trace)
VALUES (:ts, :level, :source, :category, :message, :context, :model_path, :prompt_preview, :error_type,
        :error_message, :stack_trace);

-- name: count_events
SELECT count(*) FROM logs;

-- name: delete_events
-- The oldest so many of those before a time.
DELETE FROM logs WHERE id IN (SELECT id FROM logs WHERE ts < :until ORDER BY ts LIMIT :limit) RETURNING id;
