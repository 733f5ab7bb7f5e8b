-- Every point of every compacted stage; it reads the Parquet files in the run directories.
-- Fastest with run_id, stage and key given.
CREATE TEMP VIEW metrics AS SELECT
    stages.run_id,      -- the run
    stages.stage,       -- the stage
    points.key,         -- loss, val_bpb, tok_per_sec, ...
    points.step,        -- step it was logged at
    points.t,           -- when, in Unix seconds
    points.attempt,     -- attempt that logged it
    points.value,       -- the value; NaN stays NaN
    points.is_ghost,    -- logged beyond the step that a later attempt resumed from: no data
    points.tokens,      -- tokens trained on up to this step, over all attempts
    points.train_s,     -- seconds of training up to this step
    points.flops        -- floating point operations up to this step
FROM points JOIN stages ON stages.metrics_path = points.filename;
