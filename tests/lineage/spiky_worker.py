"""A stage without torch whose loss jumps once, and whose steps take no time."""

from __future__ import annotations

import sys
from pathlib import Path

from runs.events import End, EventLog, Start, Step
from runs.paths import RunPaths

NUM_STEPS = 80
SPIKE_AT = 60


def main(argv: list[str]) -> int:
    run_dir, stage, attempt = Path(argv[0]), argv[1], int(argv[2])
    with EventLog(RunPaths(run_dir).events(stage, attempt)) as log:
        log.append(
            Start(
                stage=stage, attempt=attempt, config_hash="toy", host="here", device="cpu",
                torch=None, world_size=1, argv=(),
            )
        )  # fmt: skip
        for step in range(1, NUM_STEPS + 1):
            loss = 9.0 if step == SPIKE_AT else 3.0 + 0.01 * (step % 3)
            log.append(Step(step=step, total_steps=NUM_STEPS, metrics={"loss": loss}))
        log.append(End(reason="finished"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
