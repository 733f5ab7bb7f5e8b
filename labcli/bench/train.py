"""How fast the training step is, beside the reference's default path, round by round in turn.

Each side has a process of its own, which sleeps while the other one works. Definitions:
tok_per_sec: tokens of a step over the median of its wall time. mfu: the model's FLOPs of these
tokens (core.scaling) over the device's peak, which on a CPU is its own best matrix product.
step_memory_bytes: the most bytes of tensors at any moment of a step, weights and moments included.
peak_memory_bytes: likewise of the whole process, with the interpreter, torch and its compiler; on
a GPU what torch had allocated on it. memory_before_bytes: what the process held before such a
step. start_memory_bytes: what it held before there was a model. ratio: our tok_per_sec over the
baseline's; the other ratios: our bytes over the baseline's. loss: bits per byte of text that was
not trained on, after equally many steps on the embedded corpus, for three seeds of each side; a
seed gives the weights and the order of the documents.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any

from labcli.bench.train_job import Ready, Request, Side, StepCost, TrainJob
from labcli.diagnostics import StatusLine
from labcli.text.figures import figure, percent, seconds, size
from labcli.text.tables import render
from runs.errors import ExitCode, LabError, UsageError

NUM_SEEDS = 3
HEADER = (
    "SIDE", "TYPE", "COMPILED", "TOK/S", "MFU", "STEP", "TENSORS", "PROCESS", "FIRST STEP",
    "PHASES",
)  # fmt: skip
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """A comparison of what both sides learn in `steps` steps on a directory of shards."""

    steps: int
    corpus: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured: `rounds` times `steps` steps of each side, and what they learn."""

    job: TrainJob
    steps: int
    rounds: int
    with_baseline: bool
    learning: Learning | None = None


class Worker:
    """One side's process, which makes steps when it is asked."""

    def __init__(self, job: TrainJob) -> None:
        self._side = job.side
        # An empty stdin ends the worker, so it cannot outlive this process.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "labcli.bench.train_worker", job.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self.ready = Ready(**self._answer())

    def steps(self, num: int) -> list[StepCost]:
        """Make `num` steps and return what each cost."""
        return [StepCost(**step) for step in self.ask(num)]

    def ask(self, request: Request) -> Any:
        """Return the answer to a request; see train_job."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{request}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        _, errors = self._process.communicate()
        code = self._process.returncode
        last = (errors.strip().splitlines() or [f"exit code {code}"])[-1]
        if code == ExitCode.USAGE:
            raise UsageError(last)
        whose = "our step" if self._side == "ours" else "the baseline's step"
        raise LabError(f"measuring {whose} failed: {last}")

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


@contextmanager
def _working(job: TrainJob) -> Iterator[Worker]:
    worker = Worker(job)
    try:
        yield worker
    finally:
        worker.close()


def measure(plan: Plan) -> Row:
    """Return our figures, with the baseline's and the ratios where asked."""
    sides: list[Side] = ["ours", "baseline"] if plan.with_baseline else ["ours"]
    status = StatusLine()
    workers: dict[Side, Worker] = {}
    costs: dict[Side, list[StepCost]] = {side: [] for side in sides}
    step_bytes: dict[Side, int] = {}
    try:
        for side in sides:
            status.update(f"measuring: the first step of {side}")
            workers[side] = Worker(replace(plan.job, side=side))
            # Once more, unmeasured: the first step compiled, the second warms up.
            workers[side].steps(1)
        for number in range(1, plan.rounds + 1):
            for side in sides:
                status.update(f"measuring: {side}, round {number} of {plan.rounds}")
                costs[side] += workers[side].steps(plan.steps)
        for side in sides:
            # Last, since recording slows the steps down.
            status.update(f"recording the memory of {side}")
            step_bytes[side] = workers[side].ask("memory")
    finally:
        for worker in workers.values():
            worker.close()
        status.clear()
    ready = workers["ours"].ready
    peak = ready.peak_flops
    row = _figures(plan, ready, costs["ours"], step_bytes["ours"], peak)
    if plan.with_baseline:
        other = _figures(
            plan, workers["baseline"].ready, costs["baseline"], step_bytes["baseline"], peak
        )
        row["baseline"] = other
        row["ratio"] = row["tok_per_sec"] / other["tok_per_sec"]
        row["step_memory_ratio"] = row["step_memory_bytes"] / other["step_memory_bytes"]
        row["peak_memory_ratio"] = row["peak_memory_bytes"] / other["peak_memory_bytes"]
    if plan.learning is not None:
        row["loss"] = compare_learning(plan.job, plan.learning, status)
    return row


def compare_learning(job: TrainJob, learning: Learning, status: StatusLine) -> Row:
    """Return the bits per byte that both sides reach in equally many steps, seed by seed."""
    from core.bench.corpus_text import write_tokenizer

    reached: dict[Side, list[float]] = {"ours": [], "baseline": []}
    with TemporaryDirectory(prefix="labcli-bench-") as directory:
        status.update("training a tokenizer")
        path = Path(directory) / "tokenizer.json"
        write_tokenizer(learning.corpus, job.vocab_size, path)
        job = replace(
            job, corpus=str(learning.corpus), tokenizer=str(path), total_steps=learning.steps
        )
        for seed in range(NUM_SEEDS):
            for side, figures in reached.items():
                status.update(f"training: {side}, seed {seed + 1} of {NUM_SEEDS}")
                with _working(replace(job, side=side, seed=seed)) as worker:
                    # The first step was made when the worker got ready.
                    worker.steps(learning.steps - 1)
                    figures.append(worker.ask("bpb"))
    status.clear()
    return {
        "steps": learning.steps,
        "tokens": learning.steps * job.device_batch_size * job.sequence_len,
        "ours": reached["ours"],
        "baseline": reached["baseline"],
        "is_no_worse": mean(reached["ours"]) <= max(reached["baseline"]),
    }


def _figures(
    plan: Plan, ready: Ready, costs: list[StepCost], step_bytes: int, peak_flops: float | None
) -> Row:
    """Return one side's figures as JSON shows them."""
    job = plan.job
    tokens = job.device_batch_size * job.sequence_len
    wall_s = median(step.wall_s for step in costs)
    speed = tokens / wall_s
    return {
        "tok_per_sec": round(speed, 1),
        "mfu": None if peak_flops is None else round(ready.flops_per_token * speed / peak_flops, 4),
        "peak_memory_bytes": max(step.peak_memory_bytes for step in costs),
        "step_memory_bytes": step_bytes,
        "phases": _phases(costs, wall_s),
        "dtype": ready.dtype,
        "fp8": ready.has_fp8,
        "compiled": ready.is_compiled,
        "torch": ready.torch,
        "step_s": wall_s,
        "step_cpu_s": median(step.cpu_s for step in costs),
        "first_step_s": round(ready.first_step_s, 3),
        "memory_before_bytes": int(median(step.memory_before_bytes for step in costs)),
        "start_memory_bytes": ready.start_memory_bytes,
        "num_params": ready.num_params,
        "flops_per_token": ready.flops_per_token,
        "peak_flops": peak_flops,
        "loss_now": costs[-1].loss,
        "depth": job.depth,
        "vocab_size": job.vocab_size,
        "sequence_len": job.sequence_len,
        "device_batch_size": job.device_batch_size,
        "head_dim": job.head_dim,
        "window": job.window_pattern,
        "device": job.device,
        "threads": ready.threads,
        "steps": len(costs),
        "rounds": plan.rounds,
    }


def _phases(costs: list[StepCost], wall_s: float) -> dict[str, float]:
    """Return the median seconds of every phase, and what none of them holds as "other"."""
    names = dict.fromkeys(name for step in costs for name in step.phases)
    found = {name: median(step.phases.get(name, 0.0) for step in costs) for name in names}
    return {**found, "other": max(0.0, wall_s - sum(found.values()))}


def render_row(row: Mapping[str, Any]) -> str:
    """Return a readable table of the figures."""
    sides = [("ours", row)] + ([("baseline", row["baseline"])] if "baseline" in row else [])
    text = render(HEADER, [_cells(name, side) for name, side in sides], right="lllrrrrrr")
    if "ratio" in row:
        text += (
            f"\n{row['ratio']:.2f} times the baseline's speed, "
            f"{percent(row['step_memory_ratio'])} of its memory in tensors"
        )
    if "loss" in row:
        loss = row["loss"]
        ours, theirs = (
            " ".join(figure(value) for value in loss[side]) for side in ("ours", "baseline")
        )
        text += f"\nbits per byte after {loss['tokens']:,} tokens: ours {ours}, baseline {theirs}"
    return text


def _cells(name: str, side: Mapping[str, Any]) -> list[str]:
    return [
        name,
        side["dtype"],
        "yes" if side["compiled"] else "no",
        figure(side["tok_per_sec"], 0),
        percent(side["mfu"]),
        f"{side['step_s'] * 1e3:.0f} ms",
        size(side["step_memory_bytes"]),
        size(side["peak_memory_bytes"]),
        seconds(side["first_step_s"]),
        " ".join(f"{key} {value * 1e3:.0f}" for key, value in side["phases"].items()),
    ]
