-- llamaagent schema, version 2
--
-- The whole database, readable from top to bottom. It is made by this file and views.sql; the files in
-- migrations/ lead from one released version to the next. No other file defines tables.
--
-- How to read it
--   *_ts                  whole seconds since 1970 in UTC, INTEGER.
--   *_at TEXT             the same moment as text for people and for older queries; always generated from a *_ts.
--                         (The model tables keep the INTEGER created_at and updated_at under which they are known.)
--   _mib _kib _bytes      sizes: 1 MiB = 1048576 bytes. _ms, _s: durations. _mhz, _mw, _celsius: as they say.
--   _permille             1000 = all of it (of the machine's cores) or one core (of a process). _centi: times 100.
--   _milli                times 1000: 1500 CPU milli are one and a half cores.
--   _total                a counter as its source counts it; the same name without _total: the growth since the last row.
--   NULL                  not known or not set. Never 0, -1 or "N/A" for that.
--   JSON                  kept as text, checked by json_valid().
-- Whoever writes must open with foreign_keys on (llamaagent does). Read through the views: they stay, tables may change.


-- ---------------------------------------------------------------------------------------------------------
-- The database about itself, settings kept in it, and who did what
-- ---------------------------------------------------------------------------------------------------------

-- One row for each version this file has had. PRAGMA user_version holds the highest of them.
CREATE TABLE schema_version (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,                      -- "schema" for a fresh file, else the name of the migration
    sha256 TEXT,                             -- of the text that was run
    program_version TEXT,
    applied_ts INTEGER NOT NULL,
    applied_at TEXT AS (datetime(applied_ts, 'unixepoch')) VIRTUAL
) STRICT;

-- Small facts, the value as JSON (an import may bring plain text): site, min_reader_version, views_fingerprint,
-- roll-up watermarks, times of backups.
CREATE TABLE metadata (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `llamaagent config`: typed values that people and programs put here. What steers the agent is in its YAML.
CREATE TABLE config (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL CHECK (json_valid(value)),
    value_type TEXT NOT NULL CHECK (value_type IN ('str', 'int', 'float', 'bool', 'json')),
    created_ts INTEGER NOT NULL,
    updated_ts INTEGER NOT NULL,
    created_at TEXT AS (datetime(created_ts, 'unixepoch')) VIRTUAL,
    updated_at TEXT AS (datetime(updated_ts, 'unixepoch')) VIRTUAL
) STRICT, WITHOUT ROWID;

-- What the agent and programs that use its library had to say. `level = 'ERROR'` finds 'error' too.
CREATE TABLE logs (
    id INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,
    level TEXT NOT NULL COLLATE NOCASE
        CHECK (level COLLATE BINARY IN ('debug', 'info', 'warning', 'error', 'critical')),
    source TEXT,                             -- the component, or the name of the profile it is about
    category TEXT,
    message TEXT NOT NULL,
    context_json TEXT CHECK (json_valid(context_json)),
    profile TEXT,
    instance_id INTEGER REFERENCES instances (id) ON DELETE SET NULL,
    pass_id TEXT,
    model_path TEXT,
    prompt_preview TEXT,
    error_type TEXT,
    error_message TEXT,
    stack_trace TEXT,
    timestamp INTEGER AS (ts) VIRTUAL,
    created_at TEXT AS (datetime(ts, 'unixepoch')) VIRTUAL
) STRICT;
CREATE INDEX logs_ts ON logs (ts);
CREATE INDEX logs_level ON logs (level, ts);
CREATE INDEX logs_source ON logs (source, ts);
CREATE INDEX logs_profile ON logs (profile, ts) WHERE profile IS NOT NULL;
CREATE INDEX logs_instance ON logs (instance_id) WHERE instance_id IS NOT NULL;

-- People, seen by the account with which they gave a command.
CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    email TEXT,
    quota_profile_id INTEGER,
    uid INTEGER,
    first_seen_ts INTEGER,
    last_seen_ts INTEGER
) STRICT;

-- Every command by which somebody changed something. Kept for ever.
CREATE TABLE audit_log (
    id INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,
    user_id INTEGER REFERENCES users (id) ON DELETE SET NULL,
    action TEXT NOT NULL,                    -- start, stop, quota set, db restore, ...
    resource_type TEXT,                      -- profile, instance, gpu, quota, config, database, ...
    resource_id TEXT,
    details TEXT CHECK (json_valid(details)),
    timestamp TEXT AS (datetime(ts, 'unixepoch')) VIRTUAL
) STRICT;
CREATE INDEX audit_log_ts ON audit_log (ts);
CREATE INDEX audit_log_resource ON audit_log (resource_type, resource_id);
CREATE INDEX audit_log_user ON audit_log (user_id) WHERE user_id IS NOT NULL;


-- ---------------------------------------------------------------------------------------------------------
-- Profiles and models: what was asked for
-- ---------------------------------------------------------------------------------------------------------

-- Every content a profile has had. The newest one seen of a profile is what is in force when its file is
-- broken or gone; `healthy_ts` marks what a roll-back may return to, `refused_ts` what is not to be tried again.
CREATE TABLE profile_revisions (
    id INTEGER PRIMARY KEY,
    profile TEXT NOT NULL,
    profile_hash TEXT NOT NULL,
    launch_hash TEXT NOT NULL,
    document TEXT NOT NULL CHECK (json_valid(document)),  -- merged, units resolved, secrets as references
    kind TEXT NOT NULL DEFAULT 'process' CHECK (kind IN ('process', 'container', 'external')),
    project TEXT NOT NULL DEFAULT 'default',
    state TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'stopped')),
    priority INTEGER NOT NULL DEFAULT 0,
    labels TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(labels)),
    source TEXT,                             -- absolute path of the file
    line INTEGER,
    git_commit TEXT,
    git_dirty INTEGER CHECK (git_dirty IN (0, 1)),
    first_seen_ts INTEGER NOT NULL,
    last_seen_ts INTEGER NOT NULL,           -- moves while a pass finds this content declared
    applied_ts INTEGER,                      -- last launch with it
    healthy_ts INTEGER,                      -- last time an instance of it was healthy
    refused_ts INTEGER,                      -- it never became healthy, or was refused
    refusal TEXT,
    retired_ts INTEGER,                      -- no file declares the profile any more
    UNIQUE (profile, profile_hash)
) STRICT;
CREATE INDEX profile_revisions_newest ON profile_revisions (profile, last_seen_ts);
CREATE INDEX profile_revisions_refused ON profile_revisions (profile) WHERE refused_ts IS NOT NULL;

-- GGUF files on disk.
CREATE TABLE model_files (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,               -- absolute; the first part of a split model
    filename TEXT NOT NULL,
    size_bytes INTEGER,                      -- of all parts
    parts INTEGER NOT NULL DEFAULT 1,
    mtime_ns INTEGER,
    inode INTEGER,
    format TEXT,                             -- gguf
    name TEXT,                               -- general.name
    architecture TEXT,
    parameter_count INTEGER,
    size_label TEXT,                         -- "7B", as the file says it
    quantization TEXT,                       -- "Q4_K_M"
    file_type INTEGER,                       -- general.file_type
    context_length INTEGER,
    vocab_size INTEGER,
    embedding_size INTEGER,
    block_count INTEGER,
    head_count INTEGER,
    head_count_kv INTEGER,
    ffn_dim INTEGER,
    chat_template TEXT,
    metadata_json TEXT CHECK (json_valid(metadata_json)),
    sha256 TEXT,
    error TEXT,                              -- why its header could not be read
    favorite INTEGER NOT NULL DEFAULT 0 CHECK (favorite IN (0, 1)),
    first_seen_ts INTEGER NOT NULL,
    last_seen_ts INTEGER,
    last_used_ts INTEGER,
    missing_ts INTEGER                       -- since when it is not there any more
) STRICT;
CREATE INDEX model_files_size ON model_files (size_bytes);

-- What was last applied for each profile, or imported from elsewhere: one column for each llama-server option,
-- here and in the tables below. NULL = not set, so not passed; 0 = switched off. `status` follows the newest
-- instance (triggers behind `instances`): loading and error stay, what runs in any way is running, else stopped.
CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,               -- the profile's
    type TEXT NOT NULL DEFAULT 'llama',      -- architecture
    status TEXT NOT NULL DEFAULT 'stopped' CHECK (status IN ('running', 'stopped', 'loading', 'error')),
    origin TEXT NOT NULL DEFAULT 'profile' CHECK (origin IN ('profile', 'import')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision_id INTEGER REFERENCES profile_revisions (id) ON DELETE SET NULL,
    model_path TEXT,  -- --model
    model_url TEXT,
    docker_repo TEXT,
    hf_repo TEXT,
    hf_repo_draft TEXT,  -- --spec-draft-hf
    hf_file TEXT,
    hf_file_v TEXT,  -- no longer an option
    hf_token TEXT CHECK (hf_token GLOB 'env:?*' OR hf_token GLOB 'file:?*'),  -- a reference, never the token
    ctx_size INTEGER,
    predict INTEGER,
    batch_size INTEGER,
    ubatch_size INTEGER,
    n_parallel INTEGER,  -- --parallel
    cont_batching INTEGER CHECK (cont_batching IN (0, 1)),
    threads INTEGER,
    threads_batch INTEGER,
    cpu_mask TEXT,
    cpu_range TEXT,
    cpu_strict INTEGER,  -- takes 0 or 1
    cpu_mask_batch TEXT,
    cpu_range_batch TEXT,
    cpu_strict_batch INTEGER,  -- takes 0 or 1
    priority INTEGER,  -- --prio, of the process; not the priority of the profile
    priority_batch INTEGER,  -- --prio-batch
    file_size_bytes INTEGER,
    fit_params_available INTEGER NOT NULL DEFAULT 0 CHECK (fit_params_available IN (0, 1)),
    last_fit_params_check INTEGER,           -- epoch seconds
    favorite INTEGER NOT NULL DEFAULT 0 CHECK (favorite IN (0, 1))
) STRICT;
CREATE INDEX models_status ON models (status);
CREATE INDEX models_path ON models (model_path) WHERE model_path IS NOT NULL;
CREATE INDEX models_revision ON models (revision_id) WHERE revision_id IS NOT NULL;

CREATE TABLE model_sampling_config (
    id INTEGER PRIMARY KEY,
    model_id INTEGER NOT NULL UNIQUE REFERENCES models (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    temperature REAL,  -- --temp
    top_k INTEGER,
    top_p REAL,
    min_p REAL,
    top_nsigma REAL,
    xtc_probability REAL,
    xtc_threshold REAL,
    typical_p REAL,  -- --typical
    repeat_last_n INTEGER,
    repeat_penalty REAL,
    presence_penalty REAL,
    frequency_penalty REAL,
    dry_multiplier REAL,
    dry_base REAL,
    dry_allowed_length INTEGER,
    dry_penalty_last_n INTEGER,
    dry_sequence_breaker TEXT,  -- JSON array where it is given more than once
    dynatemp_range REAL,
    dynatemp_exp REAL,
    mirostat INTEGER,
    mirostat_lr REAL,
    mirostat_ent REAL,
    samplers TEXT,
    sampler_seq TEXT,
    seed INTEGER,
    grammar TEXT,
    grammar_file TEXT,
    json_schema TEXT,
    json_schema_file TEXT,
    ignore_eos INTEGER CHECK (ignore_eos IN (0, 1)),
    "escape" INTEGER CHECK ("escape" IN (0, 1)),  -- --escape
    rope_scaling_type TEXT,  -- --rope-scaling
    rope_scale REAL,
    rope_freq_base REAL,
    rope_freq_scale REAL,
    yarn_orig_ctx INTEGER,
    yarn_ext_factor REAL,
    yarn_attn_factor REAL,
    yarn_beta_slow REAL,
    yarn_beta_fast REAL,
    flash_attn TEXT,  -- on, off or auto
    logit_bias TEXT  -- JSON array where it is given more than once
) STRICT;

CREATE TABLE model_memory_config (
    id INTEGER PRIMARY KEY,
    model_id INTEGER NOT NULL UNIQUE REFERENCES models (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    cache_ram INTEGER,  -- MiB
    cache_type_k TEXT,
    cache_type_v TEXT,
    mmap INTEGER CHECK (mmap IN (0, 1)),  -- part of --load-mode
    mlock INTEGER CHECK (mlock IN (0, 1)),  -- part of --load-mode
    numa TEXT,
    defrag_thold TEXT  -- deprecated: accepted and ignored
) STRICT;

CREATE TABLE model_gpu_config (
    id INTEGER PRIMARY KEY,
    model_id INTEGER NOT NULL UNIQUE REFERENCES models (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    device TEXT,
    list_devices INTEGER CHECK (list_devices IN (0, 1)),  -- a question, never part of a launch
    gpu_layers TEXT,  -- a number, auto or all
    split_mode TEXT,
    tensor_split TEXT,
    main_gpu INTEGER,
    kv_offload INTEGER CHECK (kv_offload IN (0, 1)),
    repack INTEGER CHECK (repack IN (0, 1)),
    no_host INTEGER CHECK (no_host IN (0, 1))
) STRICT;

CREATE TABLE model_advanced_config (
    id INTEGER PRIMARY KEY,
    model_id INTEGER NOT NULL UNIQUE REFERENCES models (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    swa_full INTEGER CHECK (swa_full IN (0, 1)),
    override_tensor TEXT,  -- JSON array where it is given more than once
    cpu_moe INTEGER CHECK (cpu_moe IN (0, 1)),
    n_cpu_moe INTEGER,
    kv_unified INTEGER CHECK (kv_unified IN (0, 1)),
    pooling TEXT,
    context_shift INTEGER CHECK (context_shift IN (0, 1)),
    rpc TEXT,  -- JSON array where it is given more than once
    offline INTEGER CHECK (offline IN (0, 1)),
    override_kv TEXT,  -- JSON array where it is given more than once
    op_offload INTEGER CHECK (op_offload IN (0, 1)),
    fit TEXT,
    fit_target TEXT,  -- MiB, one for each device
    fit_ctx INTEGER,
    check_tensors INTEGER CHECK (check_tensors IN (0, 1)),
    sleep_idle_seconds INTEGER,
    polling INTEGER,  -- --poll
    polling_batch INTEGER,  -- --poll-batch
    reasoning_format TEXT,
    reasoning_budget INTEGER,
    -- JSON object: long option name -> value, for every option that has no column here.
    custom_params TEXT CHECK (json_valid(custom_params))
) STRICT;

CREATE TABLE model_lora_config (
    id INTEGER PRIMARY KEY,
    model_id INTEGER NOT NULL UNIQUE REFERENCES models (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    lora TEXT,  -- JSON array where it is given more than once
    lora_scaled TEXT,  -- JSON array where it is given more than once
    control_vector TEXT,
    control_vector_scaled TEXT,  -- JSON array where it is given more than once
    control_vector_layer_range TEXT,  -- JSON array of two
    model_draft TEXT,  -- --spec-draft-model
    model_url_draft TEXT,  -- not an option of llama-server
    ctx_size_draft INTEGER,  -- no longer an option
    threads_draft INTEGER,  -- --spec-draft-threads
    threads_batch_draft INTEGER,  -- --spec-draft-threads-batch
    draft_max INTEGER,  -- --spec-draft-n-max
    draft_min INTEGER,  -- --spec-draft-n-min
    draft_p_min REAL,  -- --spec-draft-p-min
    cache_type_k_draft TEXT,  -- --spec-draft-type-k
    cache_type_v_draft TEXT,  -- --spec-draft-type-v
    cpu_moe_draft INTEGER CHECK (cpu_moe_draft IN (0, 1)),  -- --spec-draft-cpu-moe
    n_cpu_moe_draft INTEGER,  -- --spec-draft-n-cpu-moe
    n_gpu_layers_draft TEXT,  -- --spec-draft-ngl: a number, auto or all
    device_draft TEXT,  -- --spec-draft-device
    spec_replace TEXT  -- no longer an option
) STRICT;

CREATE TABLE model_multimodal_config (
    id INTEGER PRIMARY KEY,
    model_id INTEGER NOT NULL UNIQUE REFERENCES models (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    mmproj TEXT,
    mmproj_url TEXT,
    mmproj_auto INTEGER CHECK (mmproj_auto IN (0, 1)),
    mmproj_offload INTEGER CHECK (mmproj_offload IN (0, 1)),
    image_min_tokens INTEGER,
    image_max_tokens INTEGER
) STRICT;

-- The memory projection of a model: by llama-server's own fit tool, or from the file's header.
CREATE TABLE model_fit_params (
    id INTEGER PRIMARY KEY,
    model_id INTEGER NOT NULL UNIQUE REFERENCES models (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    recommended_ctx_size INTEGER,
    recommended_gpu_layers INTEGER,
    recommended_tensor_split TEXT,
    file_size_bytes INTEGER,
    quantization_type TEXT,
    parameter_count INTEGER,
    architecture TEXT,
    context_window INTEGER,
    fit_params_analyzed_at INTEGER,          -- epoch seconds
    fit_params_success INTEGER NOT NULL DEFAULT 0 CHECK (fit_params_success IN (0, 1)),
    fit_params_error TEXT,
    fit_params_raw_output TEXT,
    projected_cpu_memory_mb REAL,            -- MiB
    projected_gpu_memory_mb REAL,            -- MiB
    source TEXT CHECK (source IN ('fit-params', 'estimate')),
    file_mtime_ns INTEGER,                   -- with file_size_bytes: the file that was looked at
    parameters TEXT CHECK (json_valid(parameters)),  -- what it was asked for: model, options, cards
    arithmetic TEXT CHECK (json_valid(arithmetic))   -- summands: [{name, place, size_bytes, how}]
) STRICT;

-- One row at most: the settings' `defaults.args`, which hold for every profile. No model points here.
CREATE TABLE model_server_config (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    host TEXT,  -- JSON array where it is given more than once
    port INTEGER,
    api_prefix TEXT,
    path TEXT,
    webui TEXT,  -- --ui-config
    webui_config_file TEXT,  -- --ui-config-file
    no_webui INTEGER CHECK (no_webui IN (0, 1)),  -- 1 = --no-ui
    embeddings INTEGER CHECK (embeddings IN (0, 1)),  -- --embedding
    reranking INTEGER CHECK (reranking IN (0, 1)),  -- --rerank
    metrics_enabled INTEGER CHECK (metrics_enabled IN (0, 1)),  -- --metrics
    props_enabled INTEGER CHECK (props_enabled IN (0, 1)),  -- --props
    slots_enabled INTEGER CHECK (slots_enabled IN (0, 1)),  -- --slots
    api_key TEXT CHECK (api_key GLOB 'env:?*' OR api_key GLOB 'file:?*'),  -- a reference, never the key
    api_key_file TEXT,  -- JSON array where it is given more than once
    ssl_key_file TEXT,
    ssl_cert_file TEXT,
    timeout INTEGER,  -- seconds
    threads_http INTEGER,
    cache_reuse INTEGER,
    slot_save_path TEXT,
    media_path TEXT,
    models_dir TEXT,
    models_preset TEXT,
    models_max INTEGER,
    models_autoload INTEGER CHECK (models_autoload IN (0, 1)),
    jinja INTEGER CHECK (jinja IN (0, 1)),
    chat_template TEXT,
    chat_template_file TEXT,
    chat_template_kwargs TEXT,  -- JSON array where it is given more than once
    prefill_assistant INTEGER CHECK (prefill_assistant IN (0, 1)),
    ctx_checkpoints INTEGER,
    verbose_prompt INTEGER CHECK (verbose_prompt IN (0, 1)),  -- not an option of llama-server
    warmup INTEGER CHECK (warmup IN (0, 1)),
    spm_infill INTEGER CHECK (spm_infill IN (0, 1)),
    log_disable INTEGER CHECK (log_disable IN (0, 1)),
    log_file TEXT,
    log_colors TEXT,
    log_verbose INTEGER,  -- --verbosity
    log_prefix INTEGER CHECK (log_prefix IN (0, 1)),
    log_timestamps INTEGER CHECK (log_timestamps IN (0, 1)),
    -- JSON object: long option name -> value, for every option that has no column here.
    custom_params TEXT CHECK (json_valid(custom_params))
) STRICT;


-- ---------------------------------------------------------------------------------------------------------
-- Instances: what was launched, what became of it, and why
-- ---------------------------------------------------------------------------------------------------------

-- One row for each launch of a profile, kept for ever.
--   created    wanted, not launched: held, see `reason`. No launch id yet; the row becomes the launch.
--   loading    launched, not healthy yet. With a launch id and no pid: the intent is written, the start is not
--              known to have happened.
--   running    healthy.            unhealthy  was running, its health fails.
--   stopping   being stopped: `next_signal` is due at `next_signal_ts`.
--   stopped    ended because it was asked to, was idle, or is outside its schedule.
--   error      ended by itself, or gave up.       deleted  forgotten on request.
-- A process is known again by boot_id + pid + start_ticks (field 22 of /proc/PID/stat), never by its pid alone.
CREATE TABLE instances (
    id INTEGER PRIMARY KEY AUTOINCREMENT,    -- never used twice
    profile TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('process', 'container', 'external')),
    project TEXT NOT NULL DEFAULT 'default',
    status TEXT NOT NULL CHECK (status IN
        ('created', 'loading', 'running', 'unhealthy', 'stopping', 'stopped', 'error', 'deleted')),
    reason TEXT,                             -- one stable word: quota, gpu-memory, crash, oom-gpu, idle, ...
    detail TEXT,                             -- the same in prose
    since_ts INTEGER NOT NULL,               -- of this status
    wanted INTEGER NOT NULL DEFAULT 1 CHECK (wanted IN (0, 1)),
    override TEXT CHECK (override IN ('start', 'stop', 'restart', 'detach')),  -- in force when last decided on

    -- what was launched
    model_id INTEGER REFERENCES models (id) ON DELETE SET NULL,
    model_path TEXT,
    model_size_bytes INTEGER,
    model_mtime_ns INTEGER,
    launch_id TEXT UNIQUE,                   -- in the server's environment too; written before the start
    launch_hash TEXT,
    profile_hash TEXT,
    git_commit TEXT,
    git_dirty INTEGER CHECK (git_dirty IN (0, 1)),
    binary TEXT,                             -- absolute path, or "embedded"
    binary_identity TEXT,                    -- size, mtime and inode of that file when it was started
    build TEXT,                              -- what the server says of itself
    argv TEXT CHECK (json_valid(argv)),      -- JSON array; no secret is ever in it
    environment TEXT CHECK (json_valid(environment)),  -- JSON object, secrets as env:NAME or file:/path
    working_directory TEXT,
    user_id INTEGER REFERENCES users (id) ON DELETE SET NULL,  -- who asked for it, if a person did

    -- where clients reach it
    scheme TEXT NOT NULL DEFAULT 'http' CHECK (scheme IN ('http', 'https')),
    host TEXT,
    port INTEGER CHECK (port BETWEEN 1 AND 65535),
    api_prefix TEXT,
    url TEXT AS (
        scheme || '://'
        || CASE WHEN host IN ('0.0.0.0', '*', '') THEN '127.0.0.1'
                WHEN host = '::' THEN '[::1]'
                WHEN instr(host, ':') > 0 THEN '[' || host || ']'
                ELSE host END
        || ':' || port || coalesce(api_prefix, '')
    ) VIRTUAL,

    -- the process
    boot_id TEXT,
    wrapper_pid INTEGER,                     -- the shell that waits for the server and keeps its exit status
    wrapper_start_ticks INTEGER,
    pid INTEGER,
    start_ticks INTEGER,
    log_path TEXT,
    exit_path TEXT,                          -- where the wrapper leaves the exit status

    -- the container
    container_id TEXT,
    container_name TEXT,
    image TEXT,
    image_digest TEXT,
    port_mappings TEXT CHECK (json_valid(port_mappings)),  -- JSON object, {"8888": "8888"}: inside -> host

    -- what it may use, is reckoned to use, and used
    gpus TEXT CHECK (json_valid(gpus)),      -- JSON array of the uuids it may use
    cpu_limit_milli INTEGER,                 -- limit of a container, claim of a process
    memory_limit_mib INTEGER,
    context_size INTEGER,                    -- effective
    gpu_layers INTEGER,                      -- effective
    gpu_memory_declared_mib INTEGER,
    gpu_memory_estimated_mib INTEGER,
    gpu_memory_measured_mib INTEGER,         -- peak
    peak_rss_kib INTEGER,
    sample_n INTEGER NOT NULL DEFAULT 0,     -- samples that have both CPU and RSS; the sums are over these
    cpu_permille_sum INTEGER NOT NULL DEFAULT 0,
    rss_kib_sum INTEGER NOT NULL DEFAULT 0,
    gpu_utilization_n INTEGER NOT NULL DEFAULT 0,
    gpu_utilization_sum INTEGER NOT NULL DEFAULT 0,

    -- its life
    created_ts INTEGER NOT NULL,
    launched_ts INTEGER,
    ready_ts INTEGER,                        -- first healthy
    last_seen_ts INTEGER,
    stop_reason TEXT,                        -- why it is being, or was, stopped
    next_signal TEXT CHECK (next_signal IN ('TERM', 'KILL')),
    next_signal_ts INTEGER,
    signals_sent INTEGER NOT NULL DEFAULT 0,
    ended_ts INTEGER,
    exit_code INTEGER,
    exit_signal INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,     -- health probes failed in a row
    restarts INTEGER NOT NULL DEFAULT 0,     -- launches in a row that ended by themselves before this one
    retry_ts INTEGER,                        -- not launched before this

    -- how far its log is read; moves in the transaction that adds the rows read
    log_inode INTEGER,
    log_offset_bytes INTEGER NOT NULL DEFAULT 0,
    log_state TEXT CHECK (json_valid(log_state)),

    -- what supervision remembers from pass to pass; *_boottime_s count from the boot, so that no clock step counts
    gave_up_ts INTEGER,                      -- too many failures: not launched again until something changes
    progress_bytes INTEGER,                  -- read, mapped or downloaded while it loads
    progress_boottime_s INTEGER,             -- when that last grew
    tokens_seen INTEGER,                     -- its token counters when they last moved
    active_ts INTEGER,                       -- when they last moved, or a request was in progress
    active_boottime_s INTEGER,
    stalled_boottime_s INTEGER,              -- busy without a new token since
    probe_due TEXT CHECK (probe_due IN ('start', 'error', 'stuck', 'period')),  -- a completion is to be asked for
    log_freed_bytes INTEGER NOT NULL DEFAULT 0,  -- given back to the file system at the log's start
    inputs TEXT CHECK (json_valid(inputs)),  -- JSON object: each file that the launch depends on -> size, times, inode
    oom_kills TEXT,                          -- where the kernel counts its kills for memory, and the count at the launch
    probe_tokens INTEGER NOT NULL DEFAULT 0,  -- of the server's token counters, what our own probes used
    probe_state TEXT CHECK (json_valid(probe_state)),  -- own requests that its log has not shown yet

    -- what it was sized to for the memory reserved, as it was told on its command line; NULL = left to the server
    sized_context INTEGER,                   -- tokens over all slots
    sized_gpu_layers INTEGER,
    sized_tensor_split TEXT,
    parameters_hash TEXT,                    -- of memory_observations
    memory_counted INTEGER NOT NULL DEFAULT 0 CHECK (memory_counted IN (0, 1, 2, 3)),  -- in n there: 1 cards, 2 host

    -- what it answered, counted by a trigger behind `generations`, whose rows are pruned one day: these only grow.
    requests_total INTEGER NOT NULL DEFAULT 0,
    prompt_tokens_total INTEGER NOT NULL DEFAULT 0,
    cached_tokens_total INTEGER NOT NULL DEFAULT 0,
    generated_tokens_total INTEGER NOT NULL DEFAULT 0,

    -- of a container, beyond what the seeds know
    engine TEXT,                             -- address of its engine, as in DOCKER_HOST
    engine_log TEXT CHECK (json_valid(engine_log)),  -- JSON array: how far it is copied (store/containers.py, LogCursor)

    CHECK (status <> 'created' OR launch_id IS NULL)
) STRICT;
CREATE UNIQUE INDEX instances_one_live ON instances (profile)
    WHERE status IN ('created', 'loading', 'running', 'unhealthy', 'stopping');
CREATE INDEX instances_profile ON instances (profile, id);
CREATE INDEX instances_status ON instances (status);
CREATE INDEX instances_project ON instances (project, status);
CREATE INDEX instances_model ON instances (model_id) WHERE model_id IS NOT NULL;
CREATE INDEX instances_container ON instances (container_id) WHERE container_id IS NOT NULL;
CREATE INDEX instances_user ON instances (user_id) WHERE user_id IS NOT NULL;

CREATE TRIGGER instances_new_model_status AFTER INSERT ON instances WHEN NEW.model_id IS NOT NULL
BEGIN
    UPDATE models
       SET status = CASE WHEN NEW.status IN ('loading', 'error') THEN NEW.status
                         WHEN NEW.status IN ('running', 'unhealthy', 'stopping') THEN 'running'
                         ELSE 'stopped' END,
           updated_at = max(updated_at, NEW.since_ts)
     WHERE id = NEW.model_id;
END;

CREATE TRIGGER instances_model_status AFTER UPDATE OF status, model_id ON instances WHEN NEW.model_id IS NOT NULL
BEGIN
    UPDATE models
       SET status = CASE WHEN NEW.status IN ('loading', 'error') THEN NEW.status
                         WHEN NEW.status IN ('running', 'unhealthy', 'stopping') THEN 'running'
                         ELSE 'stopped' END,
           updated_at = max(updated_at, NEW.since_ts)
     WHERE id = NEW.model_id
       AND NOT EXISTS (SELECT 1 FROM instances AS newer WHERE newer.model_id = NEW.model_id AND newer.id > NEW.id);
END;

-- The last lines of a server's log before its launch ended.
CREATE TABLE log_tails (
    instance_id INTEGER PRIMARY KEY REFERENCES instances (id) ON DELETE CASCADE,
    ts INTEGER NOT NULL,
    lines TEXT NOT NULL                      -- at most 200 lines
) STRICT;

-- What `notify` is told: one row for each change, tried again by later passes until it is sent (sent_ts) or too old
-- (gave_up_ts). The newest thousand are kept.
CREATE TABLE notifications (
    id INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,
    event TEXT NOT NULL,
    profile TEXT,
    payload TEXT NOT NULL CHECK (json_valid(payload)),
    attempts INTEGER NOT NULL DEFAULT 0,
    sent_ts INTEGER,
    error TEXT,
    tried_ts INTEGER,
    gave_up_ts INTEGER
) STRICT;
CREATE INDEX notifications_waiting ON notifications (id) WHERE sent_ts IS NULL AND gave_up_ts IS NULL;

-- The journal: what the agent did or left, and the figures it went by. The same decision again moves `last_ts`
-- and `count` of the newest row of the profile. Kept a year.
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,                     -- first time
    last_ts INTEGER NOT NULL,
    count INTEGER NOT NULL DEFAULT 1,
    profile TEXT NOT NULL,
    instance_id INTEGER REFERENCES instances (id) ON DELETE SET NULL,
    action TEXT NOT NULL CHECK (action IN (
        'start', 'adopt', 'hold', 'refuse', 'wait', 'keep',
        'ready', 'unhealthy', 'recovered', 'stuck',
        'stop', 'cancel', 'signal', 'restart', 'end', 'crash', 'give_up', 'reset',
        'evict', 'retire', 'guard', 'approve', 'update', 'rollback',
        'reserve', 'release', 'override', 'detach', 'forget', 'error')),
    reason TEXT,
    detail TEXT,
    arithmetic TEXT CHECK (json_valid(arithmetic)),  -- JSON object: free, claimed, limit, ... with units in the names
    pass_id TEXT
) STRICT;
CREATE INDEX decisions_profile ON decisions (profile, last_ts);
CREATE INDEX decisions_ts ON decisions (ts);
CREATE INDEX decisions_last_ts ON decisions (last_ts);
CREATE INDEX decisions_instance ON decisions (instance_id) WHERE instance_id IS NOT NULL;

-- Health as probed: a row when it changes, else `last_ts` and `count` of the newest row move. Kept a year.
CREATE TABLE health_checks (
    id INTEGER PRIMARY KEY,
    instance_id INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    container_id TEXT,                       -- of a container
    ts INTEGER NOT NULL,                     -- first probe with this answer
    last_ts INTEGER NOT NULL,
    count INTEGER NOT NULL DEFAULT 1,
    status TEXT NOT NULL CHECK (status IN ('healthy', 'unhealthy', 'unknown', 'loading')),
    http_status INTEGER,
    latency_ms INTEGER,                      -- of the last probe
    detail TEXT,
    timestamp TEXT AS (datetime(ts, 'unixepoch')) VIRTUAL,
    last_check TEXT AS (datetime(last_ts, 'unixepoch')) VIRTUAL,
    failure_count INTEGER AS (iif(status = 'unhealthy', count, 0)) VIRTUAL
) STRICT;
CREATE INDEX health_checks_instance ON health_checks (instance_id, ts);
CREATE INDEX health_checks_ts ON health_checks (ts);

-- What an operator asked for, stronger than the file until it is reset, its time is up, or the file's own
-- `state` is no longer `state_seen`.
CREATE TABLE overrides (
    profile TEXT PRIMARY KEY,
    action TEXT NOT NULL CHECK (action IN ('start', 'stop', 'restart', 'detach')),
    created_ts INTEGER NOT NULL,
    until_ts INTEGER,
    user_id INTEGER REFERENCES users (id) ON DELETE SET NULL,
    username TEXT,
    uid INTEGER,
    note TEXT,
    state_seen TEXT CHECK (state_seen IN ('running', 'stopped')),
    done_ts INTEGER                          -- a restart is done once
) STRICT, WITHOUT ROWID;


-- ---------------------------------------------------------------------------------------------------------
-- Cards, who holds them, and limits
-- ---------------------------------------------------------------------------------------------------------

-- Every card ever seen. `idx` is the number the driver gives it today; only `uuid` names it for good.
CREATE TABLE gpus (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    idx INTEGER,
    name TEXT,
    vendor TEXT NOT NULL DEFAULT 'nvidia',
    pci_bus_id TEXT,
    driver TEXT,
    memory_total_mib INTEGER,
    status TEXT NOT NULL DEFAULT 'present' CHECK (status IN ('present', 'gone', 'failed')),
    first_seen_ts INTEGER NOT NULL,
    last_seen_ts INTEGER NOT NULL,
    last_boot_id TEXT,
    parent_uuid TEXT,                        -- of a MIG device: the card it is a part of
    withheld TEXT CHECK (withheld IN ('mig-parent', 'other-maker')),  -- why nothing is given on it by itself
    failed_reason TEXT,                      -- of a card with status failed: what it said
    failed_ts INTEGER,
    recovery_action INTEGER                  -- what the driver asked for last: 0 nothing, 1 reset, 2 reboot, ...
) STRICT;

-- What NVIDIA's driver reported (Xid), once for each report. gpu_id NULL: a card that was never seen.
CREATE TABLE gpu_xids (
    id INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,
    gpu_id INTEGER REFERENCES gpus (id) ON DELETE CASCADE,
    pci_bus_id TEXT,
    boot_id TEXT NOT NULL,
    xid INTEGER NOT NULL,
    pid INTEGER,
    message TEXT,
    source TEXT NOT NULL CHECK (source IN ('kernel-log', 'events')),
    sequence INTEGER                         -- of the record in the kernel's log
) STRICT;
CREATE UNIQUE INDEX gpu_xids_sequence ON gpu_xids (boot_id, sequence) WHERE sequence IS NOT NULL;
CREATE INDEX gpu_xids_gpu ON gpu_xids (gpu_id) WHERE gpu_id IS NOT NULL;

-- Processes that hold memory on a card now, ours and others'. `instance_id` NULL: not ours.
CREATE TABLE gpu_holders (
    gpu_id INTEGER NOT NULL REFERENCES gpus (id) ON DELETE CASCADE,
    pid INTEGER NOT NULL,
    memory_mib INTEGER,
    user TEXT,
    command TEXT,
    instance_id INTEGER REFERENCES instances (id) ON DELETE SET NULL,
    first_seen_ts INTEGER NOT NULL,
    last_seen_ts INTEGER NOT NULL,
    PRIMARY KEY (gpu_id, pid)
) STRICT, WITHOUT ROWID;
CREATE INDEX gpu_holders_instance ON gpu_holders (instance_id) WHERE instance_id IS NOT NULL;

-- GPU memory, or a whole card, held for an instance or lent to somebody. Live while released_ts is NULL and
-- expires_ts has not come.
CREATE TABLE reservations (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('instance', 'lease')),
    instance_id INTEGER REFERENCES instances (id) ON DELETE CASCADE,
    gpu_id INTEGER NOT NULL REFERENCES gpus (id) ON DELETE CASCADE,
    memory_mib INTEGER,                      -- on this card; NULL = a whole card, or not known
    exclusive INTEGER NOT NULL DEFAULT 0 CHECK (exclusive IN (0, 1)),
    holder TEXT NOT NULL,                    -- the profile, or who has the lease
    project TEXT NOT NULL DEFAULT 'default',
    reason TEXT,
    user_id INTEGER REFERENCES users (id) ON DELETE SET NULL,
    created_ts INTEGER NOT NULL,
    expires_ts INTEGER,
    released_ts INTEGER,
    lease_id INTEGER,                        -- of a lease: the id of its first row; a row for each card
    boot_id TEXT,                            -- of a lease that ends with a process: which one it is
    pid INTEGER,
    start_ticks INTEGER,
    CHECK ((kind = 'instance') = (instance_id IS NOT NULL))
) STRICT;
CREATE INDEX reservations_live ON reservations (gpu_id) WHERE released_ts IS NULL;
CREATE UNIQUE INDEX reservations_live_instance ON reservations (instance_id, gpu_id)
    WHERE released_ts IS NULL AND instance_id IS NOT NULL;
CREATE INDEX reservations_instance ON reservations (instance_id);
CREATE INDEX reservations_gpu ON reservations (gpu_id);
CREATE INDEX reservations_user ON reservations (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX reservations_project ON reservations (project, released_ts);

-- Limits of projects, one row for each. No row: no limit. A row with NULL: no limit either, said expressly.
-- A row of origin 'override' is stronger than the settings' one until `until_ts`. Units of `amount`:
-- instances and gpus: how many; cpus: milli; memory: MiB; gpu_hours: seconds of one card; tokens: how many;
-- energy: watt hours; max_priority: the number. The last four but one count within the last `window_s` seconds.
CREATE TABLE quotas (
    id INTEGER PRIMARY KEY,
    project TEXT NOT NULL,
    resource TEXT NOT NULL CHECK (resource IN
        ('instances', 'cpus', 'memory', 'gpus', 'gpu_hours', 'tokens', 'energy', 'max_priority')),
    origin TEXT NOT NULL DEFAULT 'settings' CHECK (origin IN ('settings', 'override')),
    amount INTEGER,
    window_s INTEGER,
    reason TEXT,
    user_id INTEGER REFERENCES users (id) ON DELETE SET NULL,
    username TEXT,
    created_ts INTEGER NOT NULL,
    until_ts INTEGER,
    UNIQUE (project, resource, origin)
) STRICT;
CREATE INDEX quotas_user ON quotas (user_id) WHERE user_id IS NOT NULL;

-- The most memory ever measured for one file with one set of parameters, one build, on one card (or 'host').
-- Kept beside what had been estimated, so that the next estimate is better.
CREATE TABLE memory_observations (
    id INTEGER PRIMARY KEY,
    model_path TEXT NOT NULL,
    model_size_bytes INTEGER NOT NULL,
    model_mtime_ns INTEGER NOT NULL,
    parameters_hash TEXT NOT NULL,           -- over the options that bear on memory
    build TEXT NOT NULL,
    gpu TEXT NOT NULL,                       -- uuid, or 'host'
    gpu_name TEXT,
    peak_mib INTEGER NOT NULL,
    estimated_mib INTEGER,
    n INTEGER NOT NULL DEFAULT 1,            -- launches measured
    instance_id INTEGER REFERENCES instances (id) ON DELETE SET NULL,  -- the one with the peak
    first_ts INTEGER NOT NULL,
    last_ts INTEGER NOT NULL,
    oom_mib INTEGER,                         -- it ran out of memory holding this much: more than this is needed
    oom_ts INTEGER,
    UNIQUE (model_path, model_size_bytes, model_mtime_ns, parameters_hash, build, gpu)
) STRICT;
CREATE INDEX memory_observations_instance ON memory_observations (instance_id) WHERE instance_id IS NOT NULL;


-- ---------------------------------------------------------------------------------------------------------
-- Measurements. One row for each pass; the time leads each key, so that writing appends, and the newest rows
-- and the oldest are found without a second index.
-- ---------------------------------------------------------------------------------------------------------

CREATE TABLE system_samples (
    ts INTEGER PRIMARY KEY,
    interval_s INTEGER,                      -- since the row before; NULL for the first and after a reboot
    boot_id TEXT,
    clock_step_s INTEGER,                    -- how far the wall clock was set since the row before, if it was
    cpu_cores INTEGER,
    cpu_busy_ticks_total INTEGER,
    cpu_ticks_total INTEGER,
    cpu_permille INTEGER,                    -- 1000 = all cores busy
    memory_total_mib INTEGER,
    memory_used_mib INTEGER,
    memory_available_mib INTEGER,
    swap_total_mib INTEGER,
    swap_used_mib INTEGER,
    load_1min_centi INTEGER,
    load_5min_centi INTEGER,
    load_15min_centi INTEGER,
    disk_total_mib INTEGER,                  -- the file system of the models
    disk_used_mib INTEGER,
    disk_read_bytes_total INTEGER,
    disk_write_bytes_total INTEGER,
    network_rx_bytes_total INTEGER,
    network_tx_bytes_total INTEGER,
    disk_read_bytes INTEGER,
    disk_write_bytes INTEGER,
    network_rx_bytes INTEGER,
    network_tx_bytes INTEGER,
    active_instances INTEGER,                -- running or unhealthy
    uptime_s INTEGER,                        -- the longest of an instance that runs; 0 when none does
    requests INTEGER                         -- finished since the row before
) STRICT, WITHOUT ROWID;

CREATE TABLE gpu_samples (
    ts INTEGER NOT NULL,
    gpu_id INTEGER NOT NULL REFERENCES gpus (id) ON DELETE CASCADE,
    utilization_percent INTEGER,
    memory_utilization_percent INTEGER,
    memory_total_mib INTEGER,
    memory_used_mib INTEGER,
    memory_free_mib INTEGER,
    temperature_celsius INTEGER,
    power_mw INTEGER,
    power_limit_mw INTEGER,
    sm_clock_mhz INTEGER,
    memory_clock_mhz INTEGER,
    throttle_reasons INTEGER,                -- the driver's bit mask
    ecc_volatile INTEGER,                    -- uncorrected errors since the driver was loaded
    ecc_aggregate INTEGER,                   -- uncorrected errors of the card's life
    PRIMARY KEY (ts, gpu_id)
) STRICT, WITHOUT ROWID;

-- The server's own counters are those of its /metrics. Network counters are known for containers only.
CREATE TABLE instance_samples (
    ts INTEGER NOT NULL,
    instance_id INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    cpu_ticks_total INTEGER,
    cpu_permille INTEGER,                    -- 1000 = one core
    rss_kib INTEGER,
    threads INTEGER,
    read_bytes_total INTEGER,
    write_bytes_total INTEGER,
    read_bytes INTEGER,
    write_bytes INTEGER,
    network_rx_bytes_total INTEGER,
    network_tx_bytes_total INTEGER,
    prompt_tokens_total INTEGER,
    predicted_tokens_total INTEGER,
    prompt_ms_total INTEGER,
    predicted_ms_total INTEGER,
    decode_total INTEGER,
    prompt_tokens INTEGER,
    predicted_tokens INTEGER,
    prompt_ms INTEGER,
    predicted_ms INTEGER,
    requests_processing INTEGER,
    requests_deferred INTEGER,
    gpu_memory_mib INTEGER,                  -- over its cards
    gpu_utilization_percent INTEGER,         -- mean of its cards
    health_ms INTEGER,                       -- how long the health answer took
    PRIMARY KEY (ts, instance_id)
) STRICT, WITHOUT ROWID;

-- Roll-ups: ts is the start of a bucket of resolution_s seconds, n the rows in it, covered_s the seconds they
-- stand for. Each gauge has the number of rows that had it, their sum, least and greatest; a counter its growth.
CREATE TABLE system_rollups (
    resolution_s INTEGER NOT NULL CHECK (resolution_s IN (300, 3600, 86400)),
    ts INTEGER NOT NULL,
    n INTEGER NOT NULL,
    covered_s INTEGER,
    cpu_permille_n INTEGER NOT NULL DEFAULT 0,
    cpu_permille_sum INTEGER,
    cpu_permille_min INTEGER,
    cpu_permille_max INTEGER,
    memory_used_mib_n INTEGER NOT NULL DEFAULT 0,
    memory_used_mib_sum INTEGER,
    memory_used_mib_min INTEGER,
    memory_used_mib_max INTEGER,
    memory_available_mib_n INTEGER NOT NULL DEFAULT 0,
    memory_available_mib_sum INTEGER,
    memory_available_mib_min INTEGER,
    memory_available_mib_max INTEGER,
    swap_used_mib_n INTEGER NOT NULL DEFAULT 0,
    swap_used_mib_sum INTEGER,
    swap_used_mib_min INTEGER,
    swap_used_mib_max INTEGER,
    load_1min_centi_n INTEGER NOT NULL DEFAULT 0,
    load_1min_centi_sum INTEGER,
    load_1min_centi_min INTEGER,
    load_1min_centi_max INTEGER,
    disk_used_mib_n INTEGER NOT NULL DEFAULT 0,
    disk_used_mib_sum INTEGER,
    disk_used_mib_min INTEGER,
    disk_used_mib_max INTEGER,
    active_instances_n INTEGER NOT NULL DEFAULT 0,
    active_instances_sum INTEGER,
    active_instances_min INTEGER,
    active_instances_max INTEGER,
    memory_total_mib INTEGER,                -- greatest seen
    disk_total_mib INTEGER,
    disk_read_bytes INTEGER,
    disk_write_bytes INTEGER,
    network_rx_bytes INTEGER,
    network_tx_bytes INTEGER,
    requests INTEGER,
    PRIMARY KEY (resolution_s, ts)
) STRICT, WITHOUT ROWID;

CREATE TABLE gpu_rollups (
    resolution_s INTEGER NOT NULL CHECK (resolution_s IN (300, 3600, 86400)),
    ts INTEGER NOT NULL,
    gpu_id INTEGER NOT NULL REFERENCES gpus (id) ON DELETE CASCADE,
    n INTEGER NOT NULL,
    covered_s INTEGER,
    utilization_percent_n INTEGER NOT NULL DEFAULT 0,
    utilization_percent_sum INTEGER,
    utilization_percent_min INTEGER,
    utilization_percent_max INTEGER,
    memory_used_mib_n INTEGER NOT NULL DEFAULT 0,
    memory_used_mib_sum INTEGER,
    memory_used_mib_min INTEGER,
    memory_used_mib_max INTEGER,
    temperature_celsius_n INTEGER NOT NULL DEFAULT 0,
    temperature_celsius_sum INTEGER,
    temperature_celsius_min INTEGER,
    temperature_celsius_max INTEGER,
    power_mw_n INTEGER NOT NULL DEFAULT 0,
    power_mw_sum INTEGER,
    power_mw_min INTEGER,
    power_mw_max INTEGER,
    memory_total_mib INTEGER,
    throttle_reasons INTEGER,                -- every bit that was set at least once
    sm_clock_mhz_n INTEGER NOT NULL DEFAULT 0,
    sm_clock_mhz_sum INTEGER,
    sm_clock_mhz_min INTEGER,
    sm_clock_mhz_max INTEGER,
    throttled_n INTEGER NOT NULL DEFAULT 0,  -- samples in which something held the clocks back
    PRIMARY KEY (resolution_s, ts, gpu_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE instance_rollups (
    resolution_s INTEGER NOT NULL CHECK (resolution_s IN (300, 3600, 86400)),
    ts INTEGER NOT NULL,
    instance_id INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    n INTEGER NOT NULL,
    covered_s INTEGER,
    cpu_permille_n INTEGER NOT NULL DEFAULT 0,
    cpu_permille_sum INTEGER,
    cpu_permille_min INTEGER,
    cpu_permille_max INTEGER,
    rss_kib_n INTEGER NOT NULL DEFAULT 0,
    rss_kib_sum INTEGER,
    rss_kib_min INTEGER,
    rss_kib_max INTEGER,
    requests_processing_n INTEGER NOT NULL DEFAULT 0,
    requests_processing_sum INTEGER,
    requests_processing_min INTEGER,
    requests_processing_max INTEGER,
    requests_deferred_n INTEGER NOT NULL DEFAULT 0,
    requests_deferred_sum INTEGER,
    requests_deferred_min INTEGER,
    requests_deferred_max INTEGER,
    gpu_memory_mib_n INTEGER NOT NULL DEFAULT 0,
    gpu_memory_mib_sum INTEGER,
    gpu_memory_mib_min INTEGER,
    gpu_memory_mib_max INTEGER,
    gpu_utilization_percent_n INTEGER NOT NULL DEFAULT 0,
    gpu_utilization_percent_sum INTEGER,
    gpu_utilization_percent_min INTEGER,
    gpu_utilization_percent_max INTEGER,
    health_ms_n INTEGER NOT NULL DEFAULT 0,
    health_ms_sum INTEGER,
    health_ms_min INTEGER,
    health_ms_max INTEGER,
    read_bytes INTEGER,
    write_bytes INTEGER,
    prompt_tokens INTEGER,
    predicted_tokens INTEGER,
    prompt_ms INTEGER,
    predicted_ms INTEGER,
    PRIMARY KEY (resolution_s, ts, instance_id)
) STRICT, WITHOUT ROWID;


-- ---------------------------------------------------------------------------------------------------------
-- Requests and answers
-- ---------------------------------------------------------------------------------------------------------

-- One row for each finished request. Times and rates as the server's log prints them; prompts are not kept.
CREATE TABLE generations (
    id INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,                     -- when it finished
    started_ts INTEGER,
    instance_id INTEGER REFERENCES instances (id) ON DELETE SET NULL,
    profile TEXT,
    project TEXT,
    model_path TEXT,
    model_name TEXT,
    launch_id TEXT,
    slot_id INTEGER,
    task_id INTEGER,
    prompt_tokens INTEGER,
    cached_tokens INTEGER,
    generated_tokens INTEGER,
    total_tokens INTEGER,
    prompt_time_ms REAL,
    generation_time_ms REAL,
    total_time_ms REAL,
    prompt_tokens_per_second REAL,
    tokens_per_second REAL,
    draft_tokens INTEGER,
    draft_accepted INTEGER,
    temperature REAL,
    max_tokens INTEGER,
    finish_reason TEXT,
    cache_hit INTEGER NOT NULL DEFAULT 0 CHECK (cache_hit IN (0, 1)),
    cache_key TEXT,
    session_id TEXT,
    client TEXT,
    is_child INTEGER NOT NULL DEFAULT 0 CHECK (is_child IN (0, 1)),
    truncated INTEGER NOT NULL DEFAULT 0 CHECK (truncated IN (0, 1)),
    created_at TEXT AS (datetime(ts, 'unixepoch')) VIRTUAL,
    first_token_ms REAL                      -- from the sending to the first piece, where the caller was llamaagent
) STRICT;
CREATE INDEX generations_ts ON generations (ts);
CREATE INDEX generations_profile ON generations (profile, ts);
CREATE INDEX generations_project ON generations (project, ts);
CREATE INDEX generations_model ON generations (model_path);
CREATE INDEX generations_session ON generations (session_id) WHERE session_id IS NOT NULL;
-- A log that is read again after a crash cannot count a request twice. Rows without a task never meet here.
CREATE UNIQUE INDEX generations_once ON generations (instance_id, task_id, slot_id);

CREATE TRIGGER generations_counted AFTER INSERT ON generations WHEN NEW.instance_id IS NOT NULL
BEGIN
    UPDATE instances
       SET requests_total = requests_total + 1,
           prompt_tokens_total = prompt_tokens_total + coalesce(NEW.prompt_tokens, 0),
           cached_tokens_total = cached_tokens_total + coalesce(NEW.cached_tokens, 0),
           generated_tokens_total = generated_tokens_total + coalesce(NEW.generated_tokens, 0)
     WHERE id = NEW.instance_id;
END;

-- What llamaagent, asking as a client, knows of its own request that the server's log does not tell. A pass joins it to the
-- row of the log; one that finds no such row in two passes becomes a row itself.
CREATE TABLE generation_claims (
    id INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,                     -- when it finished
    instance_id INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    passes INTEGER NOT NULL DEFAULT 0,       -- that found no row for it
    prompt_tokens INTEGER,
    cached_tokens INTEGER,
    generated_tokens INTEGER,
    prompt_time_ms REAL,
    generation_time_ms REAL,
    total_time_ms REAL,
    prompt_tokens_per_second REAL,
    tokens_per_second REAL,
    first_token_ms REAL,
    temperature REAL,
    max_tokens INTEGER,
    finish_reason TEXT NOT NULL,
    cache_key TEXT,
    session_id TEXT
) STRICT;
CREATE INDEX generation_claims_request ON generation_claims (instance_id, prompt_time_ms);

-- What `bench` measured: one row for each size and concurrency. Kept for ever.
CREATE TABLE benchmarks (
    id INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,                     -- the same for all levels of one run
    tool TEXT NOT NULL CHECK (tool IN ('server', 'llama-batched-bench')),
    profile TEXT NOT NULL,
    instance_id INTEGER REFERENCES instances (id) ON DELETE SET NULL,
    profile_hash TEXT,
    launch_hash TEXT,
    git_commit TEXT,
    build TEXT,
    binary_identity TEXT,
    model_path TEXT,
    gpus TEXT,
    prompt_tokens INTEGER NOT NULL,          -- of each request
    generated_tokens INTEGER NOT NULL,
    concurrency INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL DEFAULT 0,
    duration_ms REAL,
    prompt_tokens_per_second REAL,           -- medians of the requests
    tokens_per_second REAL,
    total_tokens_per_second REAL,            -- generated by all together
    first_token_ms REAL,
    first_token_p95_ms REAL
) STRICT;
CREATE INDEX benchmarks_profile ON benchmarks (profile, ts);
CREATE INDEX benchmarks_instance ON benchmarks (instance_id) WHERE instance_id IS NOT NULL;

-- Answers kept for the same question.
CREATE TABLE cache (
    id INTEGER PRIMARY KEY,
    cache_key TEXT NOT NULL UNIQUE,          -- over prompt, model and what determines the answer
    prompt TEXT NOT NULL,
    prompt_hash TEXT NOT NULL,
    model_path TEXT NOT NULL,
    config_json TEXT NOT NULL CHECK (json_valid(config_json)),
    response_text TEXT NOT NULL,
    response_json TEXT CHECK (json_valid(response_json)),
    finish_reason TEXT,
    tokens_generated INTEGER,
    tokens_per_second REAL,
    generation_time_ms REAL,
    size_bytes INTEGER NOT NULL DEFAULT 0,
    created_ts INTEGER NOT NULL,
    expires_ts INTEGER,                      -- NULL = never
    hit_count INTEGER NOT NULL DEFAULT 0,
    last_hit_ts INTEGER,
    created_at TEXT AS (datetime(created_ts, 'unixepoch')) VIRTUAL,
    expires_at TEXT AS (datetime(expires_ts, 'unixepoch')) VIRTUAL,
    last_hit_at TEXT AS (datetime(last_hit_ts, 'unixepoch')) VIRTUAL
) STRICT;
CREATE INDEX cache_prompt ON cache (prompt_hash);
CREATE INDEX cache_model ON cache (model_path);
CREATE INDEX cache_expires ON cache (expires_ts) WHERE expires_ts IS NOT NULL;
CREATE INDEX cache_use ON cache (coalesce(last_hit_ts, created_ts), id, size_bytes);


-- ---------------------------------------------------------------------------------------------------------
-- Image catalogue
-- ---------------------------------------------------------------------------------------------------------

CREATE TABLE ngc_images (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    display_name TEXT,
    organization TEXT NOT NULL,
    team TEXT NOT NULL DEFAULT '',           -- '' = none, so that the UNIQUE below holds for it too
    category TEXT,
    description TEXT,
    registry TEXT NOT NULL DEFAULT 'nvcr.io',
    created_ts INTEGER,
    updated_ts INTEGER,
    last_synced_ts INTEGER,
    created_at TEXT AS (datetime(created_ts, 'unixepoch')) VIRTUAL,
    updated_at TEXT AS (datetime(updated_ts, 'unixepoch')) VIRTUAL,
    last_synced TEXT AS (datetime(last_synced_ts, 'unixepoch')) VIRTUAL,
    UNIQUE (registry, organization, team, name)
) STRICT;
CREATE INDEX ngc_images_category ON ngc_images (category);

CREATE TABLE image_versions (
    id INTEGER PRIMARY KEY,
    image_id INTEGER NOT NULL REFERENCES ngc_images (id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    digest TEXT,
    size_bytes INTEGER,
    created_ts INTEGER,
    cuda_version TEXT,
    python_version TEXT,
    framework_version TEXT,
    architecture TEXT NOT NULL DEFAULT 'amd64',
    manifest_json TEXT CHECK (json_valid(manifest_json)),
    is_cached INTEGER NOT NULL DEFAULT 0 CHECK (is_cached IN (0, 1)), -- an engine here holds it
    created_at TEXT AS (datetime(created_ts, 'unixepoch')) VIRTUAL,
    index_digest TEXT,                       -- of the list of architectures that the tag names; NULL: it names one
    synced_ts INTEGER,                       -- when the registry last confirmed it
    UNIQUE (image_id, tag, architecture)
) STRICT;
CREATE INDEX image_versions_cuda ON image_versions (cuda_version) WHERE cuda_version IS NOT NULL;
CREATE INDEX image_versions_digest ON image_versions (digest) WHERE digest IS NOT NULL;

-- Answers of registries.
CREATE TABLE api_cache (
    endpoint TEXT PRIMARY KEY,
    response TEXT,
    etag TEXT,
    cached_ts INTEGER NOT NULL,
    expires_ts INTEGER,
    cached_at TEXT AS (datetime(cached_ts, 'unixepoch')) VIRTUAL,
    expires_at TEXT AS (datetime(expires_ts, 'unixepoch')) VIRTUAL,
    link TEXT                                -- where the registry has the next page
) STRICT, WITHOUT ROWID;
CREATE INDEX api_cache_expires ON api_cache (expires_ts) WHERE expires_ts IS NOT NULL;


-- ---------------------------------------------------------------------------------------------------------
-- What came in from other programs' databases
-- ---------------------------------------------------------------------------------------------------------

-- One row for each row that `db import` took over and that has no name of its own to know it by (a request, a line of a
-- log, a measurement), so that none comes in twice, not even after it was pruned.
CREATE TABLE imported_rows (
    digest BLOB PRIMARY KEY,                 -- 16 bytes over program, table and what makes the row that row
    ts INTEGER NOT NULL                      -- when it came in
) STRICT, WITHOUT ROWID;
