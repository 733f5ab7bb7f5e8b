"""Every figure of `labcli bench tui`: what is measured, beside its target.

On a pty the app runs as people start it, and frames are timed as the terminal receives them;
headless it runs in this process, and its processor time alone counts.
"""

from __future__ import annotations

import re
import statistics
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcli.bench.registry.figures import Figure
from labcli.bench.registry.lab import make_runs
from labcli.bench.tui.headless import playground_cpu_s
from labcli.bench.tui.live import MANY_STEPS, LiveRun, Pace, Writers, begin, write_history
from labcli.bench.tui.sample import mixed_text, save_tokenizer
from labcli.bench.tui.terminal import Frame, Terminal
from runs.errors import LabError
from runs.paths import LabHome
from tui.shell.format import compact

Say = Callable[[str], None]
PTY, HEADLESS = "pty", "headless"
NUM_LIVE, EVENTS_PER_S = 8, 3.0
# Faster than people log, so that every frame draws every chart anew.
DRAWN_PER_S = 10.0
FILTER = "state=finished and val_bpb<1.5"
# Three digits, which every view writes out.
FIRST_STEP, LAST_STEP = 101, 999
# Before the details follow; and longer than a filter may wait for the next letter.
QUIET_S, FILTER_QUIET_S, STILL_S = 0.06, 0.15, 0.3
MIB = 1 << 20
_STEP = re.compile(rf"(\d{{3}})(?:/| of ){LAST_STEP}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is measured."""

    num_runs: int = 1000
    num_points: int = 1_000_000
    text_bytes: int = 10_000
    num_keys: int = 30
    seconds: float = 10.0
    rounds: int = 5

    @property
    def settled_s(self) -> float:
        """How long nothing is asked of an app that has just begun."""
        return min(1.5, self.seconds)


def measure_all(extent: Extent, tasks: Sequence[str], say: Say) -> Iterator[Figure]:
    """Yield the figures of the given tasks as they are measured."""
    for task in tasks:
        say(f"measuring {task}")
        with tempfile.TemporaryDirectory(prefix="labcli-bench-") as directory:
            home = Path(directory)
            # Without the tour, which would be painted over what is measured.
            (home / "tui.toml").write_text("toured = true\n", encoding="utf-8")
            yield from TASKS[task](extent, home)


def _paint(extent: Extent, directory: Path) -> Iterator[Figure]:
    newest = _many_runs(directory, extent.num_runs)
    times = []
    # The first start warms the caches that every later one finds.
    for _ in range(extent.rounds + 1):
        with Terminal(directory, ("tui", "dashboard")) as terminal:
            times.append(terminal.wait_text(newest) - terminal.began_s)
    rest: dict[str, Any] = {"task": "paint", "tool": PTY, "unit": "s"}
    yield Figure(figure="first paint", value=statistics.median(times[1:]), target=0.8, **rest)


def _idle(extent: Extent, directory: Path) -> Iterator[Figure]:
    newest = _many_runs(directory, extent.num_runs)
    with Terminal(directory, ("tui", "dashboard")) as terminal:
        terminal.wait_text(newest)
        # The first reading of everything is no idling.
        time.sleep(2 * extent.settled_s)
        before_s = terminal.cpu_s
        time.sleep(extent.seconds)
        share = (terminal.cpu_s - before_s) / extent.seconds
    yield Figure(task="idle", tool=PTY, figure="cpu", value=100 * share, unit="%", target=2)


def _filter(extent: Extent, directory: Path) -> Iterator[Figure]:
    newest = _many_runs(directory, extent.num_runs)
    with Terminal(directory, ("tui", "dashboard")) as terminal:
        terminal.wait_text(newest)
        time.sleep(extent.settled_s)
        terminal.send("/")
        time.sleep(extent.settled_s)
        times = [terminal.answer_s(key, quiet_s=FILTER_QUIET_S) for key in FILTER]
        if not terminal.has_shown(FILTER):
            raise LabError(f"the dashboard did not take the filter {FILTER!r} after /")
    rest: dict[str, Any] = {"task": "filter", "tool": PTY, "unit": "ms"}
    yield Figure(figure="keystroke median", value=1e3 * statistics.median(times), target=50, **rest)
    yield Figure(figure="keystroke p95", value=1e3 * _p95(times), **rest)


def _live(extent: Extent, directory: Path) -> Iterator[Figure]:
    home = LabHome(directory)
    runs = [LiveRun(home, name=f"live-{index}") for index in range(NUM_LIVE)]
    for run in runs:
        begin(run)
    pace = Pace(first=FIRST_STEP, total=LAST_STEP, events_per_s=EVENTS_PER_S)
    writers = Writers(runs, pace)
    with Terminal(directory, ("tui", "dashboard", "--run", runs[-1].run_id)) as terminal:
        terminal.wait_frame()
        time.sleep(extent.settled_s)
        writers.run_for(extent.seconds)
        time.sleep(extent.settled_s)
        waits_s = ages(writers.written_s[-1], terminal.frames)
    rest: dict[str, Any] = {"task": "live", "tool": PTY, "unit": "ms"}
    yield Figure(figure="write to painted median", value=1e3 * statistics.median(waits_s), **rest)
    yield Figure(figure="write to painted p95", value=1e3 * _p95(waits_s), target=100, **rest)


def _points(extent: Extent, directory: Path) -> Iterator[Figure]:
    run = LiveRun(LabHome(directory), name="long")
    last = write_history(run, extent.num_points)
    words = ("tui", "dashboard", "--run", run.run_id)
    with Terminal(directory, words) as terminal:
        terminal.wait_text(f"{compact(last)}/{compact(MANY_STEPS)}")
        time.sleep(extent.settled_s)
        resident_bytes = terminal.resident_bytes
        pace = Pace(first=last + 1, total=MANY_STEPS, events_per_s=DRAWN_PER_S)
        writers = Writers([run], pace)
        num_before, before_s = len(terminal.frames), terminal.cpu_s
        writers.run_for(extent.seconds)
        num_frames = len(terminal.frames) - num_before
        cpu_s = terminal.cpu_s - before_s
        resident_bytes = max(resident_bytes, terminal.resident_bytes)
    if not num_frames:
        raise LabError("the dashboard painted nothing while a run was logging")
    per_frame_ms = 1e3 * cpu_s / num_frames
    rest: dict[str, Any] = {"task": "points", "tool": PTY}
    yield Figure(figure="points", value=float(9 * last), unit="points", **rest)
    yield Figure(figure="cpu per frame", value=per_frame_ms, unit="ms", target=16, **rest)
    yield Figure(figure="resident", value=resident_bytes / MIB, unit="MiB", target=200, **rest)


def _playground(extent: Extent, directory: Path) -> Iterator[Figure]:
    home = LabHome(directory)
    save_tokenizer(home)
    text = mixed_text(extent.text_bytes)
    path = directory / "text.txt"
    path.write_text(text, encoding="utf-8")
    words = ("tui", "playground", "--tokenizer", "bench", "--file", str(path))
    with Terminal(directory, words) as terminal:
        terminal.wait_text(f"{len(text):,} characters")
        terminal.wait_quiet(STILL_S)
        keys = ("the cat sat on a mat; " * extent.num_keys)[: extent.num_keys]
        times = [terminal.answer_s(key, quiet_s=QUIET_S) for key in keys]
        # Every letter is in the text that was counted last.
        terminal.wait_text(f"{len(text) + len(keys):,} characters")
    rest: dict[str, Any] = {"task": "playground", "unit": "ms"}
    median_ms = 1e3 * statistics.median(times)
    yield Figure(figure="keystroke median", value=median_ms, target=30, tool=PTY, **rest)
    yield Figure(figure="keystroke p95", value=1e3 * _p95(times), tool=PTY, **rest)
    cpu_ms = 1e3 * statistics.median(playground_cpu_s(home, path, keys))
    yield Figure(figure="keystroke cpu", value=cpu_ms, target=30, tool=HEADLESS, **rest)


TASKS: dict[str, Callable[[Extent, Path], Iterator[Figure]]] = {
    "paint": _paint,
    "idle": _idle,
    "filter": _filter,
    "live": _live,
    "points": _points,
    "playground": _playground,
}


def _many_runs(directory: Path, num: int) -> str:
    """Make ended runs; return the name of the newest, which stands at the top of the table."""
    make_runs(LabHome(directory), num)
    return f"speedrun-{num - 1}"


def ages(written_s: dict[int, float], frames: Sequence[Frame]) -> list[float]:
    """Return how long after it was written each step, or a later one, was in a frame.

    Raises:
        LabError: a step was never painted.
    """
    steps: list[int] = []
    painted_s: list[float] = []
    for frame in frames:
        newest = max((int(found) for found in _STEP.findall(frame.text)), default=0)
        if newest > (steps[-1] if steps else 0):
            steps.append(newest)
            painted_s.append(frame.ended_s)
    ages = []
    for step, at_s in written_s.items():
        place = bisect_left(steps, step)
        if place == len(steps):
            raise LabError(f"step {step} was written and never painted")
        ages.append(painted_s[place] - at_s)
    return ages


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[min(int(0.95 * len(values)), len(values) - 1)]
