"""Every figure of `labcli bench registry`: what is measured, beside its target."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labcli.bench.launch import measure_launch
from labcli.bench.registry import reading
from labcli.bench.registry.emit import BARE, OURS, measure_emit
from labcli.bench.registry.killed import measure_losses
from labcli.bench.registry.lab import make_curves, make_runs
from labcli.bench.registry.peer_reading import (
    LEFT_OUT,
    TRACKIO,
    WANDB,
    trackio_curves,
    trackio_list_s,
)
from labcli.bench.registry.stale import measure_staleness
from labcli.bench.tools import installed_version
from labcli.text.tables import render
from runs.paths import LabHome

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure; `target` is its upper bound, or its lower one where more is better."""

    task: str
    tool: str
    figure: str
    value: float
    unit: str
    target: float | None = None
    is_more_better: bool = False

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.is_more_better else self.value <= self.target

    def row(self) -> dict[str, Any]:
        """Return the figure as JSON has it."""
        row = asdict(self)
        del row["is_more_better"]
        return {**row, "met": self.is_met}


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is measured."""

    emit_rounds: int = 20
    kill_rounds: int = 40
    num_runs: int = 1000
    num_curve_runs: int = 100
    num_steps: int = 10_000
    ingest_points: int = 1_000_000
    stale_s: float = 10.0
    num_launches: int = 10
    rounds: int = 5


SHORT = Extent()
# 1,000 runs of ten metrics at 10,000 steps: 100 million points.
LONG = Extent(num_curve_runs=1000, emit_rounds=80, stale_s=30.0, rounds=11)


def measure_all(extent: Extent, tasks: Sequence[str], say: Say) -> Iterator[Figure]:
    """Yield the figures of the given tasks as they are measured."""
    if {"list", "history"} & set(tasks) and installed_version(WANDB):
        say(LEFT_OUT)
    for task in tasks:
        say(f"measuring {task}")
        with tempfile.TemporaryDirectory(prefix="labcli-bench-") as directory:
            yield from TASKS[task](extent, Path(directory))


def _emit(extent: Extent, directory: Path) -> Iterator[Figure]:
    found = {times.tool: times for times in measure_emit(directory, rounds=extent.emit_rounds)}
    ratio = found[OURS].median_us / found[BARE].median_us
    yield Figure(task="emit", tool=OURS, figure="per bare write", value=ratio, unit="x", target=1.3)
    for tool, times in found.items():
        bound = 50.0 if tool == OURS else None
        rest: dict[str, Any] = {"task": "emit", "tool": tool, "unit": "us"}
        yield Figure(figure="median", value=times.median_us, **rest)
        yield Figure(figure="p99", value=times.p99_us, target=bound, **rest)
        yield Figure(figure="worst", value=times.worst_us, **rest)


def _ingest(extent: Extent, directory: Path) -> Iterator[Figure]:
    rates = reading.ingest_points_per_s(
        directory, num_points=extent.ingest_points, rounds=extent.rounds
    )
    rate = sorted(rates)[len(rates) // 2]
    yield Figure(
        task="ingest", tool=OURS, figure="median", value=rate, unit="points/s", target=1e6,
        is_more_better=True,
    )  # fmt: skip
    size = reading.compacted_bytes_per_point(directory, extent.ingest_points)
    yield Figure(task="ingest", tool=OURS, figure="size", value=size, unit="bytes/point", target=10)


def _killed(extent: Extent, directory: Path) -> Iterator[Figure]:
    losses = measure_losses(directory, rounds=extent.kill_rounds)
    rest: dict[str, Any] = {"task": "kill -9", "tool": OURS, "unit": "events"}
    yield Figure(figure="acknowledged", value=losses.num_acknowledged, **rest)
    yield Figure(figure="lost", value=losses.num_lost, target=0, **rest)


def _list(extent: Extent, directory: Path) -> Iterator[Figure]:
    home = LabHome(directory)
    make_runs(home, extent.num_runs)
    seconds = reading.reindex_s(home, rounds=extent.rounds)
    rest: dict[str, Any] = {"tool": OURS, "unit": "ms"}
    yield Figure(
        task="reindex", figure="median", value=reading.median_ms(seconds), target=1000, **rest
    )
    for task, words in (
        ("list", ("runs", "list")),
        ("filter", ("runs", "list", reading.FILTER)),
        ("sql", ("runs", "sql", reading.SQL)),
    ):
        seconds = reading.process_s(home, words, rounds=extent.rounds)
        value = reading.median_ms(seconds)
        yield Figure(task=task, figure="median", value=value, target=250, **rest)
    peer = directory / TRACKIO
    found = trackio_list_s(peer, num_runs=extent.num_runs, rounds=extent.rounds)
    if found:
        value = reading.median_ms(found)
        yield Figure(task="list", tool=TRACKIO, figure="median", value=value, unit="ms")


def _history(extent: Extent, directory: Path) -> Iterator[Figure]:
    home = LabHome(directory)
    runs = make_curves(home, extent.num_curve_runs, extent.num_steps)
    num_points = 10.0 * extent.num_curve_runs * extent.num_steps
    rest: dict[str, Any] = {"task": "history", "tool": OURS}
    yield Figure(figure="points in the lab", value=num_points, unit="points", **rest)
    rounds = 10 * extent.rounds
    for figure, seconds, target in (
        ("one curve", reading.curve_s(runs, rounds=rounds), 20.0),
        ("20 curves", reading.overlay_s(runs, rounds=rounds), 60.0),
        ("sketches made anew", [reading.rebuild_sketches_s(home)], None),
        ("sketch of every run", reading.sketches_s(home, rounds=extent.rounds), None),
    ):
        value = reading.median_ms(seconds)
        yield Figure(figure=figure, value=value, unit="ms", target=target, **rest)
    yield from _peer_history(extent, directory / TRACKIO)


def _peer_history(extent: Extent, directory: Path) -> Iterator[Figure]:
    found = trackio_curves(directory, num_steps=extent.num_steps, rounds=extent.rounds)
    if found is None:
        return
    rest: dict[str, Any] = {"task": "history", "tool": TRACKIO}
    points = float(found.num_points)
    yield Figure(figure="points in the lab", value=points, unit="points", **rest)
    for figure, seconds in (("one curve", found.one_s), ("20 curves", found.overlay_s)):
        yield Figure(figure=figure, value=reading.median_ms(seconds), unit="ms", **rest)


def _stale(extent: Extent, directory: Path) -> Iterator[Figure]:
    found = measure_staleness(directory, num_runs=8, seconds=extent.stale_s)
    rest: dict[str, Any] = {"task": "tail", "tool": OURS, "unit": "ms"}
    yield Figure(figure="median age", value=found.median_ms, **rest)
    yield Figure(figure="p95 age", value=found.p95_ms, target=100, **rest)


def _launch(extent: Extent, directory: Path) -> Iterator[Figure]:
    found = measure_launch(extent.num_launches)
    rest: dict[str, Any] = {"task": "launch", "tool": OURS, "unit": "s"}
    yield Figure(figure="median", value=found.median_s, target=0.3, **rest)
    yield Figure(figure="worst", value=found.max_s, **rest)


TASKS: dict[str, Callable[[Extent, Path], Iterator[Figure]]] = {
    "emit": _emit,
    "ingest": _ingest,
    "kill": _killed,
    "list": _list,
    "history": _history,
    "tail": _stale,
    "launch": _launch,
}


def render_figures(figures: Sequence[Figure]) -> str:
    """Return figures as a table."""
    rows = [
        [
            figure.task,
            figure.tool,
            figure.figure,
            f"{figure.value:,.4g}" if figure.value < 1e4 else f"{figure.value:,.0f}",
            figure.unit,
            "" if figure.target is None else _bound(figure),
            {True: "yes", False: "no", None: ""}[figure.is_met],
        ]
        for figure in figures
    ]
    header = ("TASK", "TOOL", "FIGURE", "VALUE", "UNIT", "TARGET", "MET")
    return render(header, rows, right="lllrlrl")


def _bound(figure: Figure) -> str:
    return f"{'>=' if figure.is_more_better else '<='} {figure.target:,.4g}"
