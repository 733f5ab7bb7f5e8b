"""Logging ten scalars: labcli beside the bare minimum and beside installed trackers.

`python -P -m labcli.bench.registry.emit TOOL DIRECTORY` logs a block of events for every line on
stdin and answers with the time that each of them took, so that the tools can take turns.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from labcli.bench.registry.lab import metrics_at, seeded
from labcli.bench.registry.peer_reading import TRACKIO, WANDB
from labcli.bench.tools import installed_version
from runs.errors import LabError
from runs.events import EventLog, Step

PEERS = (TRACKIO, WANDB)
OURS, BARE = "labcli", "json+write"
BLOCK = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitTimes:
    """How long one log call takes, over all rounds; the median is that of the rounds' medians."""

    tool: str
    num: int
    median_us: float
    p99_us: float
    worst_us: float


def measure_emit(directory: Path, *, rounds: int) -> list[EmitTimes]:
    """Return the times of labcli, the bare minimum and every installed peer, taking turns."""
    names = [OURS, BARE, *(peer for peer in PEERS if installed_version(peer))]
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    tools = {name: Worker(name, directory / name) for name in names}
    try:
        for name in names:
            tools[name].block()
        for _ in range(rounds):
            for name in names:
                found[name].append(tools[name].block())
    finally:
        for tool in tools.values():
            tool.__exit__(None, None, None)
    return [_times(name, found[name]) for name in names]


class Worker(AbstractContextManager["Worker"]):
    """A process that logs with one tool, a block at a time."""

    def __init__(self, tool: str, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, tool, str(directory)],
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def block(self) -> list[float]:
        """Return the seconds that each call of one block took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise LabError("a tool ended before it had logged anything") from None
        line = self._process.stdout.readline()
        if not line:
            raise LabError("a tool ended in the middle of a measurement")
        return [float(seconds) for seconds in json.loads(line)]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()


def _times(tool: str, rounds: Sequence[Sequence[float]]) -> EmitTimes:
    every = sorted(seconds for block in rounds for seconds in block)
    return EmitTimes(
        tool=tool,
        num=len(every),
        median_us=1e6 * statistics.median(statistics.median(block) for block in rounds),
        p99_us=1e6 * every[min(len(every) - 1, int(0.99 * len(every)))],
        worst_us=1e6 * every[-1],
    )


def _logger(tool: str, directory: Path) -> Callable[[int, dict[str, float]], object]:
    """Return what logs the metrics of a step."""
    if tool == OURS:
        log = EventLog(directory / "base.a1.r0.jsonl")
        return lambda step, metrics: log.append(
            Step(step=step, total_steps=1_000_000, metrics=metrics)
        )
    if tool == BARE:
        return _bare(directory)
    if tool == TRACKIO:
        # Before the import, which looks where to write.
        os.environ["TRACKIO_DIR"] = str(directory)
        import trackio

        trackio.init(project="bench", name="emit")
        return lambda step, metrics: trackio.log(metrics, step=step)
    if tool != WANDB:
        raise ValueError(tool)
    import wandb

    run = wandb.init(mode="offline", dir=str(directory), project="bench")
    return lambda step, metrics: run.log(metrics, step=step)


def _bare(directory: Path) -> Callable[[int, dict[str, float]], object]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    fd = os.open(directory / "bare.jsonl", flags, 0o644)

    def write(step: int, metrics: dict[str, float]) -> object:
        body: dict[str, Any] = {"v": 1, "seq": step, "t": round(time.time(), 3), "kind": "step"}
        body |= {"step": step, "total_steps": 1_000_000, "metrics": metrics}
        return os.write(fd, (json.dumps(body, separators=(",", ":")) + "\n").encode())

    return write


def main(argv: Sequence[str]) -> None:
    """Log a block for every line on stdin."""
    tool, directory = argv
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    rng = seeded(1)
    step = 0
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        log = _logger(tool, Path(directory))
        for _ in sys.stdin:
            metrics = [metrics_at(step + index, rng) for index in range(BLOCK)]
            times = []
            for entry in metrics:
                began = time.perf_counter()
                log(step, entry)
                times.append(time.perf_counter() - began)
                step += 1
            answer.write(json.dumps(times) + "\n")
            answer.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
