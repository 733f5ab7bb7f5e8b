"""How old an event is when the dashboard's reader has it: several runs that log, one reader."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labcli.bench.registry.lab import metrics_at, seeded
from runs.events import EventLog, Step
from runs.paths import RunPaths
from tui.live.feed import RunFeed

# What the dashboard does.
POLL_S = 0.05
EVENTS_PER_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Staleness:
    """Milliseconds between the write of an event and its being read."""

    num: int
    median_ms: float
    p95_ms: float


def measure_staleness(directory: Path, *, num_runs: int, seconds: float) -> Staleness:
    """Return the age of events that `num_runs` runs write at 3 per second each."""
    runs = [directory / f"run{index}" for index in range(num_runs)]
    done = threading.Event()
    writers = [
        threading.Thread(target=_write, args=(run, index / num_runs, done), daemon=True)
        for index, run in enumerate(runs)
    ]
    for writer in writers:
        writer.start()
    ages = _read(runs, seconds)
    done.set()
    for writer in writers:
        writer.join()
    ordered = sorted(ages)
    return Staleness(
        num=len(ages),
        median_ms=1e3 * statistics.median(ages),
        p95_ms=1e3 * ordered[int(0.95 * len(ordered))],
    )


def _write(run_dir: Path, phase: float, done: threading.Event) -> None:
    rng = seeded(1)
    with EventLog(RunPaths(run_dir).events("base", 1)) as log:
        done.wait(phase / EVENTS_PER_S)
        step = 0
        while not done.is_set():
            log.append(Step(step=step, total_steps=1, metrics=metrics_at(step, rng)))
            step += 1
            done.wait(1 / EVENTS_PER_S)


def _read(runs: Sequence[Path], seconds: float) -> list[float]:
    feeds = [RunFeed(run) for run in runs]
    end = time.monotonic() + seconds
    ages = []
    while time.monotonic() < end:
        began = time.monotonic()
        for feed in feeds:
            for item in feed.poll():
                ages.append(time.time() - item.record.t)
        time.sleep(max(0.0, POLL_S - (time.monotonic() - began)))
    return ages
