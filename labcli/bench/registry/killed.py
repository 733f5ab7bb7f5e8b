"""Killing a writer again and again: whatever it was told is written must be there afterwards.

`python -P -m labcli.bench.registry.killed PATH` appends events and says after each that it has.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from labcli.bench.registry.lab import metrics_at, seeded
from runs.errors import LabError
from runs.events import EventLog, Step, read_events

_FLAT_OUT_S = (0.02, 0.12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """What a number of kill -9 did to an event log."""

    rounds: int
    num_acknowledged: int
    num_lost: int
    num_torn: int


def measure_losses(directory: Path, *, rounds: int) -> Losses:
    """Return how many acknowledged events are missing after each of `rounds` kill -9."""
    rng = random.Random(1)
    acknowledged = lost = torn = 0
    for index in range(rounds):
        path = directory / f"base.a{index + 1}.r0.jsonl"
        told = _write_until_killed(path, rng.uniform(*_FLAT_OUT_S))
        steps = {record.data["step"] for record in read_events(path)}
        acknowledged += told
        lost += sum(step not in steps for step in range(told))
        torn += not path.read_bytes().endswith(b"\n")
    return Losses(rounds=rounds, num_acknowledged=acknowledged, num_lost=lost, num_torn=torn)


def _write_until_killed(path: Path, flat_out_s: float) -> int:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__, str(path)], stdout=subprocess.PIPE, bufsize=0
    )
    assert process.stdout is not None
    try:
        if not process.stdout.read(1):
            raise LabError("the writer ended before it had written anything")
        time.sleep(flat_out_s)
    finally:
        process.kill()
    rest, _ = process.communicate()
    return 1 + len(rest)


def main(path: Path) -> None:
    """Append steps for ever; a dot on stdout says that one more is written."""
    rng = seeded(1)
    log = EventLog(path)
    step = 0
    while True:
        if log.append(Step(step=step, total_steps=1, metrics=metrics_at(step, rng))):
            os.write(1, b".")
            step += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
