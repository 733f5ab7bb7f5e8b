-- The registry: derived from the run directories, and thrown away when the version changes.
-- No keys, no indexes, no ALTER: the file is only ever rebuilt or copied, updated and replaced.
-- Times are Unix seconds. `labcli runs sql --schema` prints this file: keep a comment per column.

-- One row per run.
CREATE TABLE runs (
    run_id      VARCHAR NOT NULL,   -- ULID: sorts by creation
    slug        VARCHAR NOT NULL,   -- short name in the directory's name
    name        VARCHAR NOT NULL,   -- the name that a person gave, else the slug
    recipe      VARCHAR NOT NULL,   -- recipe or stage that was asked for
    preset      VARCHAR NOT NULL,   -- settings of the recipe for one kind of hardware
    state       VARCHAR NOT NULL,   -- finished, stopped, failed, running, ...; as of the last publish
    stage       VARCHAR,            -- the first stage that is not finished, else the last
    created_s   DOUBLE NOT NULL,    -- when it was created
    started_s   DOUBLE,             -- when its supervisor started
    ended_s     DOUBLE,             -- when it ended; NULL while it works
    val_bpb     DOUBLE,             -- validation bits per byte of the last stage that was measured
    val_sha256  VARCHAR,            -- hash of the validation text: other text, other figure
    tags        VARCHAR[] NOT NULL, -- tags given at launch and later
    notes       VARCHAR[] NOT NULL, -- notes that people added
    problem     VARCHAR,            -- what a person should know or do
    path        VARCHAR NOT NULL,   -- run directory
    plan        JSON,               -- the plan: plan->>'$.model.depth', plan->'$.stages'
    plan_hash   VARCHAR,            -- equal plans, equal hash
    git_sha     VARCHAR,            -- commit of the source it was launched from
    hostname    VARCHAR,            -- machine it was created on
    fingerprint VARCHAR NOT NULL    -- tells when this row has to be made again
);

-- One row per stage of a run.
CREATE TABLE stages (
    run_id       VARCHAR NOT NULL,  -- the run
    stage        VARCHAR NOT NULL,  -- data, tok, base, eval-base, ...
    position     INTEGER NOT NULL,  -- place in the plan, from 0
    state        VARCHAR NOT NULL,  -- pending, finished, failed, ...
    attempt      INTEGER NOT NULL,  -- newest attempt; a resume opens the next
    step         BIGINT,            -- newest step
    total        DOUBLE,            -- steps, or other units, planned
    started_s    DOUBLE,            -- when its first attempt started
    ended_s      DOUBLE,            -- when it ended
    val_bpb      DOUBLE,            -- newest validation bits per byte
    val_sha256   VARCHAR,           -- hash of the validation text
    error        VARCHAR,           -- why it failed
    resumed_from BIGINT,            -- step of the checkpoint that the newest attempt continues
    num_alerts   INTEGER NOT NULL,  -- alerts of all attempts
    config       JSON,              -- every setting: config->>'depth'
    config_hash  VARCHAR,           -- equal settings, equal hash
    metrics_path VARCHAR            -- Parquet file of its metrics, once it is compacted
);

-- One row per figure: a metric of a stage, or results.<task>.<figure> of an evaluation.
CREATE TABLE summaries (
    run_id    VARCHAR NOT NULL,     -- the run
    stage     VARCHAR NOT NULL,     -- the stage
    key       VARCHAR NOT NULL,     -- loss, val_bpb, tok_per_sec, ...
    last      DOUBLE,               -- newest value
    min       DOUBLE,               -- lowest number
    max       DOUBLE,               -- highest number
    best      DOUBLE,               -- min or max, where the name tells which way is better
    best_step BIGINT,               -- step of the best value
    n         BIGINT,               -- points
    last_step BIGINT                -- newest step
);
