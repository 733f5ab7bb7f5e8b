"""Reading runs back with installed trackers: the list as a process, and curves.

`python -P -m labcli.bench.registry.peer_reading RUNS STEPS ROUNDS` fills the directory that
TRACKIO_DIR names with as many runs of ten metrics and answers with the times of its curves.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labcli.bench.registry.lab import METRICS, metrics_at, seeded
from labcli.bench.tools import installed_version
from labcli.output import emit_json_line
from runs.errors import LabError

TRACKIO, WANDB = "trackio", "wandb"
LEFT_OUT = "wandb reads runs back from its server alone, and not what it wrote offline: left out"
PROJECT = "bench"
NUM_OVERLAID = 20
# As many as a curve of ours has buckets.
MAX_POINTS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCurves:
    """Seconds that one curve takes, and that 20 take, in a lab of so many points."""

    num_points: int
    one_s: list[float]
    overlay_s: list[float]


def trackio_list_s(directory: Path, *, num_runs: int, rounds: int) -> list[float] | None:
    """Return how long `trackio list runs` takes as a process; None where it is not installed."""
    if not installed_version(TRACKIO):
        return None
    _filled(directory, num_runs, 1, 0)
    tool = str(Path(sys.executable).with_name(TRACKIO))
    command = [tool, "list", "runs", "--project", PROJECT]
    env = _env(directory)
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        done = subprocess.run(command, env=env, capture_output=True, check=False)
        times.append(time.perf_counter() - began)
        if done.returncode or done.stdout.count(b"run-") < num_runs:
            raise LabError(f"trackio did not list its runs: {done.stderr.decode().strip()}")
    return times[1:]


def trackio_curves(directory: Path, *, num_steps: int, rounds: int) -> PeerCurves | None:
    """Return how long curves of runs with `num_steps` steps take; None where not installed."""
    if not installed_version(TRACKIO):
        return None
    one_s, overlay_s = _filled(directory, NUM_OVERLAID, num_steps, rounds)
    num_points = NUM_OVERLAID * num_steps * len(METRICS)
    return PeerCurves(num_points=num_points, one_s=one_s, overlay_s=overlay_s)


def _filled(
    directory: Path, num_runs: int, num_steps: int, rounds: int
) -> tuple[list[float], list[float]]:
    directory.mkdir(parents=True, exist_ok=True)
    numbers = map(str, (num_runs, num_steps, rounds))
    done = subprocess.run(
        [sys.executable, "-P", "-m", __name__, *numbers],
        env=_env(directory),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise LabError(f"trackio could not be measured: {' '.join(last)}")
    one_s, overlay_s = json.loads(done.stdout.splitlines()[-1])
    return one_s, overlay_s


def _env(directory: Path) -> dict[str, str]:
    # It asks nobody, and writes nowhere else.
    return {**os.environ, "TRACKIO_DIR": str(directory), "HF_HUB_OFFLINE": "1"}


def main(argv: Sequence[str]) -> None:
    """Write runs in bulk, and time how curves of them are read."""
    from trackio.sqlite_storage import SQLiteStorage

    num_runs, num_steps, rounds = map(int, argv)
    rng = seeded(1)
    names = [f"run-{index}" for index in range(num_runs)]
    steps = list(range(num_steps))
    for name in names:
        metrics = [metrics_at(step, rng) for step in steps]
        SQLiteStorage.bulk_log(PROJECT, name, metrics, steps)

    def curve(name: str) -> None:
        if not SQLiteStorage.get_metric_values(PROJECT, name, "loss", max_points=MAX_POINTS):
            raise ValueError(name)

    chosen = random.Random(1).choices(names, k=rounds)
    one_s = [_timed(curve, [name]) for name in chosen]
    overlay_s = [_timed(curve, names) for _ in range(rounds)]
    emit_json_line([one_s, overlay_s])


def _timed(read: Callable[[str], None], names: Sequence[str]) -> float:
    began = time.perf_counter()
    for name in names:
        read(name)
    return time.perf_counter() - began


if __name__ == "__main__":
    main(sys.argv[1:])
