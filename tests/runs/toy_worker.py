"""A stage without torch: counts steps, checkpoints each one, and misbehaves on request.

Its config says how: steps, step_s, and what goes wrong: fail_at (with error_type), vanish_at,
hang_at, deaf, end; bad_attempts says in how many attempts it does, vanish_rank on which rank.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from labcli.working.last_words import answer_with_stacks, write_error_file
from runs.events import Artifact, Checkpoint, End, Error, Eval, EventLog, Start, Step
from runs.paths import RunPaths
from runs.record import load_record
from runs.supervision.autopsy import stacks_file
from runs.views import checkpoints


def main(argv: list[str], open_log: Callable[[Path], EventLog] = EventLog) -> int:
    run_dir, stage, attempt = Path(argv[0]), argv[1], int(argv[2])
    rank = int(os.environ.get("RANK", "0"))
    config = load_record(run_dir).stage(stage).config
    paths = RunPaths(run_dir)
    stopping = threading.Event()
    if not config.get("deaf"):
        signal.signal(signal.SIGTERM, lambda number, frame: stopping.set())
    else:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answer_with_stacks(stacks_file(paths, stage, attempt, rank))
    is_bad = attempt <= int(config.get("bad_attempts", 1_000_000))
    newest = checkpoints.newest(paths.checkpoints_dir(stage))
    first = newest.step if newest else 0
    with open_log(paths.events(stage, attempt, rank)) as log:
        log.append(
            Start(
                stage=stage,
                attempt=attempt,
                config_hash="toy",
                host="here",
                device="cpu",
                torch=None,
                world_size=int(os.environ.get("WORLD_SIZE", "1")),
                argv=tuple(sys.argv),
                resumed_from=newest.step if newest else None,
            )
        )
        for step in range(first + 1, int(config.get("steps", 3)) + 1):
            if stopping.wait(float(config.get("step_s", 0.01))):
                log.append(End(reason="stopped"))
                return 0
            if is_bad and step == config.get("fail_at"):
                kind = str(config.get("error_type", "ValueError"))
                log.append(Error(type=kind, message="bad batch", traceback=""))
                log.append(End(reason="failed"))
                return 1
            if is_bad and step == config.get("vanish_at") and rank == config.get("vanish_rank", 0):
                if "last_words" in config:
                    write_error_file(os.environ, str(config["last_words"]), "")
                os._exit(3)
            if is_bad and step == config.get("hang_at"):
                wait_for_nobody()
            if rank == 0:
                take_step(log, paths, stage, step, int(config.get("steps", 3)))
        if rank == 0:
            log.append(Eval(step=step, val_bpb=1.0 / (first + step), val_sha256="toy"))
            log.append(Artifact(name="tokenizer", path="a/tok.json", bytes=2, sha256="aa"))
        log.append(End(reason=config.get("end", "finished")))
    return 0


def wait_for_nobody() -> None:
    threading.Event().wait()


def take_step(log: EventLog, paths: RunPaths, stage: str, step: int, total: int) -> None:
    metrics = {"loss": 10.0 / step, "tokens": float(step * 100), "pid": float(os.getpid())}
    log.append(Step(step=step, total_steps=total, metrics=metrics))
    directory = paths.checkpoints_dir(stage) / f"step_{step}"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "state.json").write_text(json.dumps({"step": step}))
    (directory / checkpoints.COMMITTED).write_text("")
    path = str(directory.relative_to(paths.run_dir))
    log.append(Checkpoint(step=step, path=path, bytes=1, sha256="bb"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
