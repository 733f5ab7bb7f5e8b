"""Reading a large lab: lists and filters as whole processes, curves, and making all of it anew."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from labcli.bench.registry.lab import make_points
from runs.errors import LabError
from runs.events import EventLog, Step
from runs.metrics.compact import compact_stage
from runs.metrics.series import OneCurve, read_curve, read_overlay
from runs.paths import LabHome, RunPaths
from runs.registry import store
from runs.registry.sketch_store import read_sketches, rebuild_sketches

NUM_OVERLAID = 20
FILTER = "base.depth=12 and val_bpb<1.5"
SQL = "SELECT name, val_bpb FROM runs WHERE val_bpb < 1.5 ORDER BY val_bpb"


def process_s(home: LabHome, words: Sequence[str], *, rounds: int) -> list[float]:
    """Return how long a command takes from its start to its end, output included.

    Raises:
        LabError: the command failed.
    """
    command = [sys.executable, "-P", "-m", "labcli.app", "--home", str(home.root), *words]
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    times = []
    # The first one warms the caches that every later one finds.
    for _ in range(rounds + 1):
        began = time.perf_counter()
        done = subprocess.run(command, env=env, capture_output=True, check=False)
        times.append(time.perf_counter() - began)
        if done.returncode:
            raise LabError(f"{' '.join(words)} failed: {done.stderr.decode().strip()}")
    return times[1:]


def curve_s(runs: Sequence[Path], *, rounds: int) -> list[float]:
    """Return how long one curve of one run takes, of other runs each time."""
    chosen = random.Random(1).choices(runs, k=rounds)
    return [_timed(partial(read_curve, _loss(run))) for run in chosen]


def overlay_s(runs: Sequence[Path], *, rounds: int) -> list[float]:
    """Return how long the curves of 20 runs over tokens take."""
    rng = random.Random(1)
    times = []
    for _ in range(rounds):
        curves = [_loss(run) for run in rng.choices(runs, k=NUM_OVERLAID)]
        times.append(_timed(partial(read_overlay, curves, x="tokens")))
    return times


def sketches_s(home: LabHome, *, rounds: int) -> list[float]:
    """Return how long one curve of every run of the lab takes, in 256 buckets."""
    return [_timed(lambda: read_sketches(home, "loss", stage="base")) for _ in range(rounds)]


def reindex_s(home: LabHome, *, rounds: int) -> list[float]:
    """Return how long it takes to build the registry anew."""
    return [_timed(lambda: store.reindex(home)) for _ in range(rounds)]


def rebuild_sketches_s(home: LabHome) -> float:
    """Return how long it takes to build the sketches anew."""
    return _timed(lambda: rebuild_sketches(home))


def ingest_points_per_s(directory: Path, *, num_points: int, rounds: int) -> list[float]:
    """Return at which rate a log of ten scalars a step becomes sorted, compressed metrics."""
    paths = RunPaths(directory / "runs" / "ingest")
    num_steps = num_points // 10
    points = make_points(num_steps, 1)
    columns = {key: curve.value.tolist() for key, curve in points.items()}
    with EventLog(paths.events("base", 1)) as log:
        for step in range(num_steps):
            metrics = {key: column[step] for key, column in columns.items()}
            log.append(Step(step=step, total_steps=num_steps, metrics=metrics))
    times = [_timed(lambda: compact_stage(paths.run_dir, "base")) for _ in range(rounds)]
    return [10 * num_steps / seconds for seconds in times]


def compacted_bytes_per_point(directory: Path, num_points: int) -> float:
    """Return the size of what `ingest_points_per_s` made."""
    return RunPaths(directory / "runs" / "ingest").metrics("base").stat().st_size / num_points


def median_ms(seconds: Sequence[float]) -> float:
    """Return the median in milliseconds."""
    return 1e3 * statistics.median(seconds)


def _loss(run: Path) -> OneCurve:
    return OneCurve(run_dir=run, stage="base", key="loss")


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    if work() is None:
        raise LabError("a measured read found nothing")
    return time.perf_counter() - began
