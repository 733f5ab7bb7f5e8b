"""Following what a run writes, events and logs, until the run ends."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from labcli.following.feed import FeedItem, RunFeed
from labcli.following.watch import ENDED_STATES, POLL_S
from runs.errors import NotFound
from runs.paths import RunPaths
from runs.views.facts import FoldCache
from runs.views.query import load_run
from runs.views.run_view import RunView

SUPERVISOR = "supervisor"


def follow_events(
    run_dir: Path, *, num_past: int, wait: Callable[[float], None] = time.sleep
) -> Iterator[FeedItem]:
    """Yield the last `num_past` events of a run, then every new one until the run has ended."""
    feed = RunFeed(RunPaths(run_dir))
    past = [item for item in feed.read() if item.record.kind != "heartbeat"]
    yield from past[len(past) - min(num_past, len(past)) :]
    cache = FoldCache()
    while _is_running(run_dir, cache):
        yield from feed.read()
        wait(POLL_S)
    yield from feed.read()


def log_file(view: RunView, stage: str | None) -> Path:
    """Return the newest log of a stage (the current one by default), or of the supervisor."""
    paths = RunPaths(view.path)
    if stage == SUPERVISOR:
        return paths.supervisor_log
    names = [entry.stage for entry in view.stages]
    chosen = stage or view.stage
    if chosen is None:
        raise NotFound(f"{view.slug} has not started a stage; try --stage {SUPERVISOR}")
    if chosen not in names:
        known = ", ".join([*names, SUPERVISOR])
        raise NotFound(f"{view.slug} has no stage {chosen!r}; logs exist for: {known}")
    attempt = next(entry.attempt for entry in view.stages if entry.stage == chosen)
    path = paths.worker_log(chosen, max(attempt, 1))
    if not path.exists():
        raise NotFound(f"stage {chosen} of {view.slug} has not written a log")
    return path


def follow_log(
    run_dir: Path,
    path: Path,
    *,
    num_past: int,
    should_follow: bool,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[str]:
    """Yield the last lines of a file, then, if asked, what is added until the run has ended."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        yield from (line.rstrip("\n") for line in deque(stream, maxlen=num_past))
        cache = FoldCache()
        while should_follow:
            is_over = not _is_running(run_dir, cache)
            yield from (line.rstrip("\n") for line in stream)
            if is_over:
                return
            wait(POLL_S)


def _is_running(run_dir: Path, cache: FoldCache) -> bool:
    return load_run(run_dir, cache).state not in ENDED_STATES
