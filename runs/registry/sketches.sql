-- Every curve of every run in at most 256 buckets: what all of them are drawn from at once.
CREATE TABLE sketches (
    run_id VARCHAR NOT NULL,        -- the run
    stage  VARCHAR NOT NULL,        -- the stage
    key    VARCHAR NOT NULL,        -- the metric
    n      BIGINT NOT NULL,         -- points that the buckets stand for
    step   FLOAT[] NOT NULL,        -- mean step of each bucket; the other lists run parallel to it
    low    FLOAT[] NOT NULL,        -- lowest number in the bucket
    high   FLOAT[] NOT NULL,        -- highest
    mean   FLOAT[] NOT NULL         -- mean
);

-- Which sketch files were read; not for queries.
CREATE TABLE marks (
    run_id VARCHAR NOT NULL,
    stage  VARCHAR NOT NULL,
    path   VARCHAR NOT NULL,
    mark   VARCHAR NOT NULL
);
