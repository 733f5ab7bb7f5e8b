-- The registry: derived from the run directories, and thrown away when the version changes.
-- No keys, no indexes, no ALTER: the file is only ever rebuilt or copied, updated and replaced.
CREATE TABLE meta (version INTEGER NOT NULL);

CREATE TABLE runs (
    run_id      VARCHAR NOT NULL,
    slug        VARCHAR NOT NULL,
    name        VARCHAR NOT NULL,
    recipe      VARCHAR NOT NULL,
    preset      VARCHAR NOT NULL,
    state       VARCHAR NOT NULL,
    stage       VARCHAR,
    created_s   DOUBLE NOT NULL,
    started_s   DOUBLE,
    ended_s     DOUBLE,
    val_bpb     DOUBLE,
    val_sha256  VARCHAR,
    tags        VARCHAR[] NOT NULL,
    notes       VARCHAR[] NOT NULL,
    problem     VARCHAR,
    path        VARCHAR NOT NULL,
    plan        JSON,
    plan_hash   VARCHAR,
    git_sha     VARCHAR,
    hostname    VARCHAR,
    fingerprint VARCHAR NOT NULL
);

CREATE TABLE stages (
    run_id       VARCHAR NOT NULL,
    stage        VARCHAR NOT NULL,
    position     INTEGER NOT NULL,
    state        VARCHAR NOT NULL,
    attempt      INTEGER NOT NULL,
    step         BIGINT,
    total        DOUBLE,
    started_s    DOUBLE,
    ended_s      DOUBLE,
    val_bpb      DOUBLE,
    val_sha256   VARCHAR,
    error        VARCHAR,
    resumed_from BIGINT,
    num_alerts   INTEGER NOT NULL,
    config       JSON,
    config_hash  VARCHAR
);

-- One row per figure: a metric of a stage, or "results.<task>.<figure>" of an evaluation.
CREATE TABLE summaries (
    run_id    VARCHAR NOT NULL,
    stage     VARCHAR NOT NULL,
    key       VARCHAR NOT NULL,
    last      DOUBLE,
    min       DOUBLE,
    max       DOUBLE,
    n         BIGINT,
    last_step BIGINT
);
