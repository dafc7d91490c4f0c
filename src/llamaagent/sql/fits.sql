-- The memory projections of models: by llama.cpp's own tool, or from the file's header.

-- name: write_fit
-- One row a model; whatever was projected before is replaced. :profile names a row of `models`.
INSERT INTO model_fit_params (model_id, created_at, updated_at, recommended_ctx_size, recommended_gpu_layers,
                              recommended_tensor_split, file_size_bytes, quantization_type, parameter_count,
                              architecture, context_window, fit_params_analyzed_at, fit_params_success,
                              fit_params_error, fit_params_raw_output, projected_cpu_memory_mb,
                              projected_gpu_memory_mb, source, file_mtime_ns, parameters, arithmetic)
SELECT m.id, :ts, :ts, :context, :gpu_layers, :tensor_split, :file_size_bytes, :quantization, :parameter_count,
       :architecture, :context_length, :ts, :ok, :error, :raw_output, :cpu_mib, :gpu_mib, :source, :file_mtime_ns,
       :parameters, :arithmetic
  FROM models AS m
 WHERE m.name = :profile
ON CONFLICT (model_id) DO UPDATE
   SET updated_at = excluded.updated_at, recommended_ctx_size = excluded.recommended_ctx_size,
       recommended_gpu_layers = excluded.recommended_gpu_layers,
       recommended_tensor_split = excluded.recommended_tensor_split,
       file_size_bytes = excluded.file_size_bytes, quantization_type = excluded.quantization_type,
       parameter_count = excluded.parameter_count, architecture = excluded.architecture,
       context_window = excluded.context_window, fit_params_analyzed_at = excluded.fit_params_analyzed_at,
       fit_params_success = excluded.fit_params_success, fit_params_error = excluded.fit_params_error,
       fit_params_raw_output = excluded.fit_params_raw_output,
       projected_cpu_memory_mb = excluded.projected_cpu_memory_mb,
       projected_gpu_memory_mb = excluded.projected_gpu_memory_mb, source = excluded.source,
       file_mtime_ns = excluded.file_mtime_ns, parameters = excluded.parameters, arithmetic = excluded.arithmetic;

-- name: update_model
UPDATE models
   SET file_size_bytes = coalesce(:file_size_bytes, file_size_bytes), fit_params_available = :ok,
       last_fit_params_check = :ts
 WHERE name = :profile;

-- name: select_fit
SELECT p.source, p.file_size_bytes, p.file_mtime_ns, p.parameters, p.fit_params_success, p.projected_gpu_memory_mb,
       p.projected_cpu_memory_mb, p.fit_params_error, p.recommended_ctx_size, p.recommended_gpu_layers,
       p.recommended_tensor_split
  FROM models AS m
  JOIN model_fit_params AS p ON p.model_id = m.id
 WHERE m.name = :profile;

-- name: list_fits
-- profiles: a JSON array of names.
SELECT * FROM v_model_fit WHERE profile IN (SELECT value FROM json_each(:profiles)) ORDER BY profile;
