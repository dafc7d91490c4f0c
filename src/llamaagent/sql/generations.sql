-- Askings by llamaagent itself: whom to ask, what became of it, and the response cache. Statements under headings.

-- name: select_server
-- The newest launch of a profile, with the revision that it runs.
SELECT i.id, i.profile, i.project, i.status, i.reason, i.scheme, i.host, i.port, i.api_prefix, i.model_path, i.boot_id,
       i.pid, i.start_ticks, r.document, r.source, r.line
  FROM instances AS i
  LEFT JOIN profile_revisions AS r ON r.profile = i.profile AND r.profile_hash = i.profile_hash
 WHERE i.profile = :profile
 ORDER BY i.id DESC
 LIMIT 1;

-- name: list_asked
-- Profiles that can be asked, those that answer first.
SELECT profile, max(status IN ('running', 'unhealthy')) AS answers
  FROM instances
 WHERE id IN (SELECT max(id) FROM instances GROUP BY profile)
 GROUP BY profile;

-- name: insert_claim
INSERT INTO generation_claims (ts, instance_id, prompt_tokens, cached_tokens, generated_tokens, prompt_time_ms,
  generation_time_ms, total_time_ms, prompt_tokens_per_second, tokens_per_second, first_token_ms, temperature, max_tokens,
  finish_reason, cache_key, session_id)
VALUES (:ts, :instance_id, :prompt_tokens, :cached_tokens, :generated_tokens, :prompt_time_ms, :generation_time_ms,
  :total_time_ms, :prompt_tokens_per_second, :tokens_per_second, :first_token_ms, :temperature, :max_tokens,
  :finish_reason, :cache_key, :session_id);

-- name: insert_answered
-- Answered by nobody but the cache, or by a server of which this database has no launch: no log will tell of it.
INSERT INTO generations (ts, started_ts, profile, project, model_path, model_name, prompt_tokens, cached_tokens,
  generated_tokens, total_tokens, prompt_time_ms, generation_time_ms, total_time_ms, prompt_tokens_per_second,
  tokens_per_second, temperature, max_tokens, finish_reason, cache_hit, cache_key, session_id, client, first_token_ms)
VALUES (:ts, :ts, :profile, :project, :model_path, :profile, :prompt_tokens, :cached_tokens, :generated_tokens,
  :total_tokens, :prompt_time_ms, :generation_time_ms, :total_time_ms, :prompt_tokens_per_second, :tokens_per_second,
  :temperature, :max_tokens, :finish_reason, :cache_hit, :cache_key, :session_id, 'llamaagent', :first_token_ms);

-- name: select_claims
SELECT id, instance_id, passes FROM generation_claims ORDER BY id;

-- name: select_claim
-- The claim of a request that the log prints: the same tokens and times, in hundredths of a millisecond as printed.
SELECT id FROM generation_claims
 WHERE instance_id = :instance_id AND prompt_tokens IS :prompt_tokens AND generated_tokens IS :generated_tokens
   AND prompt_time_ms = :prompt_time_ms AND generation_time_ms IS :generation_time_ms AND finish_reason <> 'cancelled'
 ORDER BY id LIMIT 1;

-- name: select_untimed_claim
-- The same for what the log prints no times of: embeddings, and requests that were cancelled.
SELECT id FROM generation_claims
 WHERE instance_id = :instance_id
   AND CASE WHEN finish_reason = 'cancelled' THEN :finish_reason = 'cancelled' AND abs(ts - :ts) <= 90
            ELSE prompt_time_ms IS NULL AND prompt_tokens IS :prompt_tokens AND :finish_reason IS NOT 'cancelled' END
 ORDER BY abs(ts - :ts), id LIMIT 1;

-- name: join_claim
UPDATE generations
   SET client = 'llamaagent', session_id = c.session_id, cache_key = c.cache_key, temperature = c.temperature,
       max_tokens = c.max_tokens, first_token_ms = c.first_token_ms,
       finish_reason = CASE WHEN generations.finish_reason = 'stop' THEN c.finish_reason ELSE generations.finish_reason END
  FROM generation_claims AS c
 WHERE c.id = :id AND generations.instance_id = :instance_id AND generations.task_id = :task_id
   AND generations.slot_id = :slot_id;

-- name: select_early_row
-- The row of a request whose claim came after it, among the last that were written.
SELECT g.task_id, g.slot_id
  FROM generations AS g JOIN generation_claims AS c ON c.id = :id
 WHERE g.id > (SELECT max(id) FROM generations) - 2000 AND g.instance_id = c.instance_id AND g.client = 'unknown'
   AND CASE WHEN c.finish_reason = 'cancelled' THEN g.finish_reason = 'cancelled' AND abs(g.ts - c.ts) <= 90
            ELSE g.prompt_tokens IS c.prompt_tokens
             AND (c.prompt_time_ms IS NULL OR g.generated_tokens IS c.generated_tokens)
             AND g.prompt_time_ms IS c.prompt_time_ms
             AND (c.prompt_time_ms IS NULL OR g.generation_time_ms IS c.generation_time_ms) END
 ORDER BY abs(g.ts - c.ts), g.id
 LIMIT 1;

-- name: name_claimed
-- A row that was made of a claim, when the log tells of the request after all.
UPDATE OR IGNORE generations
   SET slot_id = :slot_id, task_id = :task_id, started_ts = :started_ts, ts = :ts, draft_tokens = :draft_tokens,
       draft_accepted = :draft_accepted, is_child = :is_child, truncated = :truncated
 WHERE id = (SELECT id FROM generations
              WHERE instance_id = :instance_id AND task_id IS NULL AND client = 'llamaagent'
                AND prompt_tokens IS :prompt_tokens AND generated_tokens IS :generated_tokens
                AND prompt_time_ms IS :prompt_time_ms AND generation_time_ms IS :generation_time_ms
              LIMIT 1);

-- name: delete_claim
DELETE FROM generation_claims WHERE id = :id;

-- name: count_pass
UPDATE generation_claims SET passes = passes + 1 WHERE id = :id;

-- name: insert_claimed
-- No log tells of it: the claim is all there is.
INSERT INTO generations (ts, instance_id, profile, project, model_path, model_name, launch_id, prompt_tokens,
  cached_tokens, generated_tokens, total_tokens, prompt_time_ms, generation_time_ms, total_time_ms,
  prompt_tokens_per_second, tokens_per_second, temperature, max_tokens, finish_reason, cache_hit, cache_key, session_id,
  client, first_token_ms)
SELECT c.ts, i.id, i.profile, i.project, coalesce(i.model_path, ''), i.profile, i.launch_id, c.prompt_tokens,
  c.cached_tokens, c.generated_tokens,
  CASE WHEN c.prompt_tokens IS NOT NULL
       THEN c.prompt_tokens + coalesce(c.cached_tokens, 0) + coalesce(c.generated_tokens, 0) END,
  c.prompt_time_ms, c.generation_time_ms, c.total_time_ms, c.prompt_tokens_per_second, c.tokens_per_second, c.temperature,
  c.max_tokens, c.finish_reason, 0, c.cache_key, c.session_id, 'llamaagent', c.first_token_ms
  FROM generation_claims AS c JOIN instances AS i ON i.id = c.instance_id
 WHERE c.id = :id;

-- name: select_answer
SELECT id, response_text, response_json, finish_reason, tokens_generated
  FROM cache
 WHERE cache_key = :cache_key AND (expires_ts IS NULL OR expires_ts > :ts);

-- name: count_hit
UPDATE cache SET hit_count = hit_count + 1, last_hit_ts = max(:ts, coalesce(last_hit_ts, 0)) WHERE cache_key = :cache_key;

-- name: upsert_answer
INSERT INTO cache (cache_key, prompt, prompt_hash, model_path, config_json, response_text, response_json, finish_reason,
  tokens_generated, tokens_per_second, generation_time_ms, size_bytes, created_ts, expires_ts)
VALUES (:cache_key, :prompt, :prompt_hash, :model_path, :config_json, :response_text, :response_json, :finish_reason,
  :tokens_generated, :tokens_per_second, :generation_time_ms, :size_bytes, :ts, :expires_ts)
ON CONFLICT (cache_key) DO UPDATE
   SET response_text = excluded.response_text, response_json = excluded.response_json,
       finish_reason = excluded.finish_reason, tokens_generated = excluded.tokens_generated,
       tokens_per_second = excluded.tokens_per_second, generation_time_ms = excluded.generation_time_ms,
       size_bytes = excluded.size_bytes, created_ts = excluded.created_ts, expires_ts = excluded.expires_ts;

-- name: delete_expired
DELETE FROM cache WHERE expires_ts <= :ts RETURNING size_bytes;

-- name: sum_sizes
SELECT count(*), coalesce(sum(size_bytes), 0) FROM cache;

-- name: delete_unused
-- What was used last stays, as much of it as fits.
DELETE FROM cache
 WHERE id IN (SELECT id FROM (SELECT id, sum(size_bytes) OVER (ORDER BY coalesce(last_hit_ts, created_ts) DESC, id DESC) AS kept
                                FROM cache)
               WHERE kept > :max_bytes)
RETURNING size_bytes;

-- name: delete_matching
DELETE FROM cache
 WHERE (:prompt_hash IS NULL OR prompt_hash = :prompt_hash)
   AND (:model IS NULL OR model_path = :model OR model_path LIKE '%/' || :model)
   AND (:before_ts IS NULL OR created_ts < :before_ts)
RETURNING size_bytes;

-- name: select_info
SELECT count(*) AS entries, coalesce(sum(size_bytes), 0) AS size_bytes, coalesce(sum(hit_count), 0) AS hits,
       coalesce(sum(expires_ts <= :ts), 0) AS expired, min(created_ts) AS oldest_ts, max(created_ts) AS newest_ts,
       max(last_hit_ts) AS last_hit_ts
  FROM cache;

-- name: list_answers
SELECT cache_key, prompt, model_path, response_text, finish_reason, tokens_generated, tokens_per_second, size_bytes,
       created_ts, expires_ts, hit_count, last_hit_ts
  FROM cache
 ORDER BY coalesce(last_hit_ts, created_ts) DESC, id DESC
 LIMIT :limit;

-- name: list_figures
-- One row for each model, day, ... (:by), or one for all: totals, and mean, median and 95th percentile of what the
-- servers printed. profiles: JSON array of names, NULL = all.
WITH
picked AS (
    SELECT CASE :by WHEN 'model' THEN coalesce(model_name, profile, model_path)
                    WHEN 'day' THEN date(ts, 'unixepoch', 'localtime')
                    WHEN 'project' THEN project
                    WHEN 'session' THEN session_id
                    WHEN 'build' THEN build
                    WHEN 'commit' THEN git_commit
                    WHEN 'gpu' THEN gpus
                    ELSE 'all'
           END AS name, *
      FROM v_generations
     WHERE ts >= :since AND ts < :until
       AND (:profiles IS NULL OR profile IN (SELECT value FROM json_each(:profiles)))
),
speeds AS (
    SELECT name, what, x, row_number() OVER (PARTITION BY name, what ORDER BY x) AS place,
           count(*) OVER (PARTITION BY name, what) AS n
      FROM (SELECT name, 'generation' AS what, nullif(tokens_per_second, 0) AS x FROM picked
            UNION ALL
            SELECT name, 'prompt', nullif(prompt_tokens_per_second, 0) FROM picked
            UNION ALL
            SELECT name, 'first', first_token_ms FROM picked)
     WHERE x IS NOT NULL
),
typical AS (
    SELECT name, what, avg(x) AS mean, avg(x) FILTER (WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS median,
           max(x) FILTER (WHERE place = (n * 95 + 99) / 100) AS high
      FROM speeds
     GROUP BY name, what
)
SELECT p.name, count(*) AS generations, coalesce(sum(p.total_tokens), 0) AS tokens,
       coalesce(sum(p.prompt_tokens), 0) AS prompt_tokens, coalesce(sum(p.cached_tokens), 0) AS cached_tokens,
       coalesce(sum(p.generated_tokens), 0) AS generated_tokens,
       g.mean AS tokens_per_second, g.median AS median_tokens_per_second, g.high AS p95_tokens_per_second,
       q.mean AS prompt_tokens_per_second, q.median AS median_prompt_tokens_per_second,
       q.high AS p95_prompt_tokens_per_second,
       f.mean AS first_token_ms, f.median AS median_first_token_ms, f.high AS p95_first_token_ms,
       avg(p.cache_hit) AS cache_hit_rate, min(p.ts) AS first_ts, max(p.ts) AS last_ts
  FROM picked AS p
  LEFT JOIN typical AS g ON g.name IS p.name AND g.what = 'generation'
  LEFT JOIN typical AS q ON q.name IS p.name AND q.what = 'prompt'
  LEFT JOIN typical AS f ON f.name IS p.name AND f.what = 'first'
 GROUP BY p.name
 ORDER BY min(p.ts), p.name;

-- name: list_history
-- Requests, newest first. before_ts, before_id: the last row of the page before.
SELECT id, ts, profile, project, model_name, client, session_id, prompt_tokens, cached_tokens, generated_tokens,
       total_tokens, prompt_time_ms, generation_time_ms, total_time_ms, prompt_tokens_per_second, tokens_per_second,
       first_token_ms, temperature, max_tokens, finish_reason, cache_hit, build, git_commit, gpus
  FROM v_generations
 WHERE ts >= :since AND ts < :until AND (ts, id) < (:before_ts, :before_id)
   AND (:profiles IS NULL OR profile IN (SELECT value FROM json_each(:profiles)))
   AND (:session IS NULL OR session_id = :session)
 ORDER BY ts DESC, id DESC
 LIMIT :limit;
