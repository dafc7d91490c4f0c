-- Fixed loads, and real requests before and after a change.

-- name: insert_benchmark
INSERT INTO benchmarks (ts, tool, profile, instance_id, profile_hash, launch_hash, git_commit, build, binary_identity,
  model_path, gpus, prompt_tokens, generated_tokens, concurrency, requests, failed, duration_ms,
  prompt_tokens_per_second, tokens_per_second, total_tokens_per_second, first_token_ms, first_token_p95_ms)
SELECT :ts, :tool, :profile, i.id, i.profile_hash, i.launch_hash, i.git_commit, i.build, i.binary_identity, i.model_path,
  i.gpus, :prompt_tokens, :generated_tokens, :concurrency, :requests, :failed, :duration_ms, :prompt_tokens_per_second,
  :tokens_per_second, :total_tokens_per_second, :first_token_ms, :first_token_p95_ms
  FROM (SELECT 1) LEFT JOIN instances AS i ON i.id = :instance_id;

-- name: list_benchmarks
SELECT ts, tool, profile, prompt_tokens, generated_tokens, concurrency, requests, failed, duration_ms,
       prompt_tokens_per_second, tokens_per_second, total_tokens_per_second, first_token_ms, first_token_p95_ms, build,
       git_commit, profile_hash, gpus, instance_id
  FROM benchmarks
 WHERE :profile IS NULL OR profile = :profile
 ORDER BY ts DESC, id DESC
 LIMIT :limit;

-- name: select_launch_tools
-- The program of a launch, and what of its options a bench of the same build must have too.
SELECT binary, model_path, context_size FROM instances WHERE id = :id;

-- name: list_compared
-- Requests of a profile that were computed to their end, each with the side it is on: 0 before, 1 after, by build,
-- commit or time. Sizes in powers of two, so that like is compared with like.
SELECT CASE WHEN :by = 'build' THEN CASE r.build WHEN :first THEN 0 WHEN :second THEN 1 END
            WHEN :by = 'commit' THEN CASE WHEN r.git_commit GLOB :first || '*' THEN 0
                                          WHEN r.git_commit GLOB :second || '*' THEN 1 END
            ELSE r.ts >= CAST(:first AS INTEGER) END AS side,
       CAST(log2(max(1, coalesce(r.prompt_tokens, 0))) AS INTEGER) AS prompt_size,
       CAST(log2(max(1, coalesce(r.generated_tokens, 0))) AS INTEGER) AS generated_size,
       r.tokens_per_second, r.prompt_tokens_per_second
  FROM v_generations AS r
 WHERE r.profile = :profile AND NOT r.cache_hit AND r.finish_reason IN ('stop', 'length') AND r.generated_tokens > 1
   AND r.ts >= :since;

-- name: list_compared_launches
-- The launches on each side: memory at its most, how long until healthy, and whether it ended by itself.
SELECT CASE WHEN :by = 'build' THEN CASE build WHEN :first THEN 0 WHEN :second THEN 1 END
            WHEN :by = 'commit' THEN CASE WHEN git_commit GLOB :first || '*' THEN 0
                                          WHEN git_commit GLOB :second || '*' THEN 1 END
            ELSE launched_ts >= CAST(:first AS INTEGER) END AS side,
       max(peak_rss_kib) / 1024.0 AS memory_mib, max(gpu_memory_measured_mib) AS gpu_memory_mib,
       avg(ready_ts - launched_ts) AS load_s, sum(status = 'error') AS crashes, count(*) AS launches
  FROM instances
 WHERE profile = :profile AND launched_ts IS NOT NULL
 GROUP BY 1;

-- name: list_sides
-- What there is to compare: builds or commits of a profile with requests, the newest first.
SELECT CASE :by WHEN 'build' THEN build ELSE git_commit END AS name, count(*) AS requests
  FROM v_generations
 WHERE profile = :profile AND NOT cache_hit
 GROUP BY 1 HAVING name IS NOT NULL
 ORDER BY max(ts) DESC LIMIT 10;
