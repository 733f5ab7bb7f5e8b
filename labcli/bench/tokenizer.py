"""Trainers and encoders against each other: rounds of worker processes, then one row per tool.

The tools take turns within a round, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from core.tokenizer import SPLIT_PATTERN
from labcli.bench import merges
from labcli.bench.job import Job, Measurement, Pass, from_answer
from labcli.bench.text import BenchText
from labcli.bench.tools import BASELINE, OURS, Task, Tool, installed_version
from labcli.diagnostics import StatusLine

NUM_BYTES = 256
PATTERNS = {
    "lab": SPLIT_PATTERN,
    "gpt4": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    ),
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
}
PASSES: tuple[Pass, ...] = ("first", "warm")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What is measured; `directory` holds the merges that the trainers leave."""

    text: BenchText
    directory: Path
    pattern: str
    vocab_size: int
    rounds: int

    def job(self, task: Task, tool: str) -> Job:
        """Return one measurement; every encoder uses the merges that labcli learned."""
        text_file = self.text.text_file
        return Job(
            task=task,
            tool=tool,
            text=str(self.text.path),
            text_file=None if text_file is None else str(text_file),
            pattern=PATTERNS[self.pattern],
            num_merges=self.vocab_size - NUM_BYTES,
            merges_file=str(self.merges_file(tool if task == "train" else OURS)),
        )

    def merges_file(self, tool: str) -> Path:
        """Return where a trainer leaves its merges."""
        return self.directory / f"merges-{tool}.txt"


class ToolFailed(Exception):
    """A tool could not do a task; the message is the last line it left."""


def measure_task(bench: Bench, task: Task, tools: Sequence[Tool]) -> list[Row]:
    """Return the rows of a task: the baseline, labcli, and each peer that can do it."""
    packages = {BASELINE: "pyarrow"}
    packages |= {tool.name: tool.package for tool in tools if task in tool.tasks}
    heads: dict[str, Row] = {
        name: {
            "task": task,
            "tool": name,
            "version": installed_version(package),
            "pattern": bench.pattern,
            "bytes": bench.text.num_bytes,
        }
        for name, package in packages.items()
    }
    if task == "encode" and not bench.merges_file(OURS).exists():
        try:
            run_worker(bench.job("train", OURS))
        except ToolFailed as failure:
            return [heads[OURS] | {"error": f"no vocabulary: training failed: {failure}"}]
    found, errors = _measure_rounds(bench, task, list(packages))
    rows: list[Row] = []
    for name, head in heads.items():
        if name in errors:
            rows.append(head | {"error": errors[name]})
        elif task == "train":
            rows.append(head | _figures(bench, name, found, None))
        # Encoders get their batches ready-made: the baseline of that task has only a memory.
        elif name != BASELINE:
            rows += [head | _figures(bench, name, found, passed) for passed in PASSES]
    return rows


def run_worker(job: Job) -> list[Measurement]:
    """Run one measurement in a fresh process and return what it cost."""
    # Arrow's own allocator keeps some 30 MB of what the reader freed, and not always the same.
    env = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}
    if job.task == "encode":
        env["TOKENIZERS_PARALLELISM"] = "false"
    # run() kills the process when Ctrl-C is pressed; the worker itself dies with its parent.
    done = subprocess.run(
        [sys.executable, "-P", "-m", "labcli.bench.worker", job.to_json()],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env=env,
    )
    if done.returncode < 0:
        raise ToolFailed(f"killed by {signal.Signals(-done.returncode).name}")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ToolFailed(lines[-1])
    return from_answer(done.stdout)


Found = dict[str, list[list[Measurement]]]


def _measure_rounds(bench: Bench, task: Task, names: Sequence[str]) -> tuple[Found, dict[str, str]]:
    found: Found = {name: [] for name in names}
    errors: dict[str, str] = {}
    status = StatusLine()
    try:
        for number in range(1, bench.rounds + 1):
            for name in names:
                if name not in errors:
                    what = f"{task} {name}, round {number} of {bench.rounds}"
                    status.update(f"measuring: {what}")
                    status.say(f"{what}: {_measure(bench.job(task, name), found, errors)}")
    finally:
        status.clear()
    return found, errors


def _measure(job: Job, found: Found, errors: dict[str, str]) -> str:
    """Add one measurement to `found`, or its failure to `errors`; return what to say of it."""
    earlier = found[job.tool]
    try:
        measured = run_worker(job)
        if earlier and _results(measured) != _results(earlier[0]):
            raise ToolFailed("the result differs from that of the first round")
    except ToolFailed as failure:
        errors[job.tool] = str(failure)
        return f"failed: {failure}"
    earlier.append(measured)
    return f"{measured[0].cpu_s:.2f} CPU s, {measured[0].wall_s:.2f} s"


def _results(measured: list[Measurement]) -> list[str | None]:
    return [item.sha256 for item in measured]


def _figures(bench: Bench, name: str, found: Found, passed: Pass | None) -> Row:
    """Return the medians of one tool, beside the baseline's memory and labcli's time."""
    own = _of_pass(found[name], passed)
    ours = _of_pass(found.get(OURS, []), passed)
    idle = _of_pass(found[BASELINE], passed)
    peak = int(median(item.peak_memory_bytes for item in own))
    row: Row = {
        "cpu_s": median(item.cpu_s for item in own),
        "wall_s": median(item.wall_s for item in own),
        "peak_memory_bytes": peak,
        "rounds": len(own),
        "sha256": own[0].sha256,
    }
    if passed is not None:
        row["pass"] = passed
    if name == BASELINE:
        return row | {"sha256": bench.text.sha256}
    if idle:
        spent = peak - int(median(item.peak_memory_bytes for item in idle))
        row["net_memory_bytes"] = max(0, spent)
    learned = own[0].num_merges if passed is None else _num_merges(bench)
    row["vocab_size"] = NUM_BYTES + (learned or 0)
    if ours:
        row["ratio_cpu"] = row["cpu_s"] / median(item.cpu_s for item in ours)
        row["ratio_wall"] = row["wall_s"] / median(item.wall_s for item in ours)
        is_equal = own[0].sha256 == ours[0].sha256
        row["merges_equal" if passed is None else "ids_equal"] = is_equal
        if passed is None:
            row["tokens_shared"] = _tokens_shared(bench, name)
    return row


def _of_pass(rounds: list[list[Measurement]], passed: Pass | None) -> list[Measurement]:
    return [item for measured in rounds for item in measured if item.passed == passed]


def _num_merges(bench: Bench) -> int:
    return len(merges.load(bench.merges_file(OURS)))


def _tokens_shared(bench: Bench, name: str) -> float:
    """Return the share of labcli's learned tokens that a tool learned too, in any order."""
    ours, theirs = (
        {left + right for left, right in merges.load(bench.merges_file(tool))}
        for tool in (OURS, name)
    )
    return len(ours & theirs) / len(ours) if ours else 1.0
