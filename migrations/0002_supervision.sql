-- llamaagent migration 0002: what supervision must remember from pass to pass

-- Failures that led to giving up, progress of a load, activity and idleness, probes that are due, the log's freed start.
ALTER TABLE instances ADD COLUMN gave_up_ts INTEGER;
ALTER TABLE instances ADD COLUMN progress_bytes INTEGER;
ALTER TABLE instances ADD COLUMN progress_boottime_s INTEGER;
ALTER TABLE instances ADD COLUMN tokens_seen INTEGER;
ALTER TABLE instances ADD COLUMN active_ts INTEGER;
ALTER TABLE instances ADD COLUMN active_boottime_s INTEGER;
ALTER TABLE instances ADD COLUMN stalled_boottime_s INTEGER;
ALTER TABLE instances ADD COLUMN probe_due TEXT CHECK (probe_due IN ('start', 'error', 'stuck', 'period'));
ALTER TABLE instances ADD COLUMN log_freed_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN inputs TEXT CHECK (json_valid(inputs));
ALTER TABLE instances ADD COLUMN oom_kills TEXT;

CREATE INDEX profile_revisions_refused ON profile_revisions (profile) WHERE refused_ts IS NOT NULL;
ALTER TABLE instances ADD COLUMN probe_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN probe_state TEXT CHECK (json_valid(probe_state));
ALTER TABLE instances ADD COLUMN sized_context INTEGER;
ALTER TABLE instances ADD COLUMN sized_gpu_layers INTEGER;
ALTER TABLE instances ADD COLUMN sized_tensor_split TEXT;
ALTER TABLE instances ADD COLUMN parameters_hash TEXT;
ALTER TABLE instances ADD COLUMN memory_counted INTEGER NOT NULL DEFAULT 0 CHECK (memory_counted IN (0, 1, 2, 3));

ALTER TABLE memory_observations ADD COLUMN oom_mib INTEGER;
ALTER TABLE memory_observations ADD COLUMN oom_ts INTEGER;

-- Who projected the memory of a model, for which file and options, and how it adds up.
ALTER TABLE model_fit_params ADD COLUMN source TEXT CHECK (source IN ('fit-params', 'estimate'));
ALTER TABLE model_fit_params ADD COLUMN file_mtime_ns INTEGER;
ALTER TABLE model_fit_params ADD COLUMN parameters TEXT CHECK (json_valid(parameters));
ALTER TABLE model_fit_params ADD COLUMN arithmetic TEXT CHECK (json_valid(arithmetic));

CREATE TABLE log_tails (
    instance_id INTEGER PRIMARY KEY REFERENCES instances (id) ON DELETE CASCADE,
    ts INTEGER NOT NULL,
    lines TEXT NOT NULL
) STRICT;

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

-- Cards: parts of a card (MIG), cards that failed and why, uncorrected memory errors, what the driver reported.
ALTER TABLE gpus ADD COLUMN parent_uuid TEXT;
ALTER TABLE gpus ADD COLUMN withheld TEXT CHECK (withheld IN ('mig-parent', 'other-maker'));
ALTER TABLE gpus ADD COLUMN failed_reason TEXT;
ALTER TABLE gpus ADD COLUMN failed_ts INTEGER;
ALTER TABLE gpus ADD COLUMN recovery_action INTEGER;
ALTER TABLE gpu_samples ADD COLUMN ecc_volatile INTEGER;
ALTER TABLE gpu_samples ADD COLUMN ecc_aggregate INTEGER;

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
    sequence INTEGER
) STRICT;
CREATE UNIQUE INDEX gpu_xids_sequence ON gpu_xids (boot_id, sequence) WHERE sequence IS NOT NULL;
CREATE INDEX gpu_xids_gpu ON gpu_xids (gpu_id) WHERE gpu_id IS NOT NULL;
-- Rows that came from other programs' databases, so that none comes in twice.
CREATE TABLE imported_rows (
    digest BLOB PRIMARY KEY,
    ts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What each launch answered, so that counters outlive the rows they count.
ALTER TABLE instances ADD COLUMN requests_total INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN prompt_tokens_total INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN cached_tokens_total INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN generated_tokens_total INTEGER NOT NULL DEFAULT 0;
UPDATE instances
   SET requests_total = g.requests, prompt_tokens_total = g.prompt, cached_tokens_total = g.cached,
       generated_tokens_total = g.generated
  FROM (SELECT instance_id, count(*) AS requests, coalesce(sum(prompt_tokens), 0) AS prompt,
               coalesce(sum(cached_tokens), 0) AS cached, coalesce(sum(generated_tokens), 0) AS generated
          FROM generations WHERE instance_id IS NOT NULL GROUP BY instance_id) AS g
 WHERE g.instance_id = instances.id;

CREATE TRIGGER generations_counted AFTER INSERT ON generations WHEN NEW.instance_id IS NOT NULL
BEGIN
    UPDATE instances
       SET requests_total = requests_total + 1,
           prompt_tokens_total = prompt_tokens_total + coalesce(NEW.prompt_tokens, 0),
           cached_tokens_total = cached_tokens_total + coalesce(NEW.cached_tokens, 0),
           generated_tokens_total = generated_tokens_total + coalesce(NEW.generated_tokens, 0)
     WHERE id = NEW.instance_id;
END;
-- Leases of cards: a row for each card, and the process with which one ends.
ALTER TABLE reservations ADD COLUMN lease_id INTEGER;
ALTER TABLE reservations ADD COLUMN boot_id TEXT;
ALTER TABLE reservations ADD COLUMN pid INTEGER;
ALTER TABLE reservations ADD COLUMN start_ticks INTEGER;
CREATE INDEX reservations_project ON reservations (project, released_ts);

-- The engine of a container, and how far its log has been copied.
ALTER TABLE instances ADD COLUMN engine TEXT;
ALTER TABLE instances ADD COLUMN engine_log TEXT CHECK (json_valid(engine_log));
-- Images: one row for each architecture of a tag.
ALTER TABLE image_versions RENAME TO image_versions_of_version_1;
DROP INDEX image_versions_cuda;
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
    is_cached INTEGER NOT NULL DEFAULT 0 CHECK (is_cached IN (0, 1)),
    created_at TEXT AS (datetime(created_ts, 'unixepoch')) VIRTUAL,
    index_digest TEXT,
    synced_ts INTEGER,
    UNIQUE (image_id, tag, architecture)
) STRICT;
INSERT INTO image_versions (id, image_id, tag, digest, size_bytes, created_ts, cuda_version, python_version,
                            framework_version, architecture, manifest_json, is_cached)
SELECT id, image_id, tag, digest, size_bytes, created_ts, cuda_version, python_version, framework_version, architecture,
       manifest_json, is_cached
  FROM image_versions_of_version_1;
DROP TABLE image_versions_of_version_1;
CREATE INDEX image_versions_cuda ON image_versions (cuda_version) WHERE cuda_version IS NOT NULL;
CREATE INDEX image_versions_digest ON image_versions (digest) WHERE digest IS NOT NULL;
ALTER TABLE api_cache ADD COLUMN link TEXT;
-- Askings by llamaagent itself: what it knows of a request, until the server's log tells the rest; the order of the cache.
ALTER TABLE generations ADD COLUMN first_token_ms REAL;
CREATE TABLE generation_claims (
    id INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,
    instance_id INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    passes INTEGER NOT NULL DEFAULT 0,
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
CREATE INDEX cache_use ON cache (coalesce(last_hit_ts, created_ts), id, size_bytes);
CREATE TABLE benchmarks (
    id INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,
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
    prompt_tokens INTEGER NOT NULL,
    generated_tokens INTEGER NOT NULL,
    concurrency INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL DEFAULT 0,
    duration_ms REAL,
    prompt_tokens_per_second REAL,
    tokens_per_second REAL,
    total_tokens_per_second REAL,
    first_token_ms REAL,
    first_token_p95_ms REAL
) STRICT;
CREATE INDEX benchmarks_profile ON benchmarks (profile, ts);
CREATE INDEX benchmarks_instance ON benchmarks (instance_id) WHERE instance_id IS NOT NULL;
ALTER TABLE gpu_rollups ADD COLUMN sm_clock_mhz_n INTEGER NOT NULL DEFAULT 0;
ALTER TABLE gpu_rollups ADD COLUMN sm_clock_mhz_sum INTEGER;
ALTER TABLE gpu_rollups ADD COLUMN sm_clock_mhz_min INTEGER;
ALTER TABLE gpu_rollups ADD COLUMN sm_clock_mhz_max INTEGER;
ALTER TABLE gpu_rollups ADD COLUMN throttled_n INTEGER NOT NULL DEFAULT 0;
