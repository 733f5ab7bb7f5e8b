"""A process beside the runs: reads them and the registry, or rebuilds it, until it is killed.

`python -m tests.torture.bystander HOME read|reindex COMPLAINTS`. What it should never meet, it
appends to the file COMPLAINTS.
"""

from __future__ import annotations

import sys
import threading
import traceback
from pathlib import Path

import duckdb

from runs.errors import LabError
from runs.paths import LabHome
from runs.registry import store
from runs.views.facts import FoldCache
from runs.views.query import list_runs
from tests.torture.scenery import NUM_RUNS

PAUSE_S = 0.2
# What a reader meets in a lab that it cannot rely on.
TROUBLE = (AssertionError, LabError, OSError, LookupError, TypeError, ValueError, duckdb.Error)


def read(home: LabHome, cache: FoldCache) -> None:
    """Look at every run, and ask the registry for them."""
    views = list_runs(home, cache)
    assert len(views) == NUM_RUNS, f"{len(views)} runs"
    unreadable = [view.problem for view in views if view.state == "unreadable"]
    assert not unreadable, unreadable
    table = store.query(home, "SELECT count(*), count(DISTINCT run_id) FROM runs")
    assert table.rows == ((NUM_RUNS, NUM_RUNS),), table


def main(root: Path, task: str, complaints: Path) -> None:
    """Do the task over and over, at the pace of somebody who looks."""
    home, cache = LabHome(root), FoldCache()
    while not threading.Event().wait(PAUSE_S):
        try:
            if task == "read":
                read(home, cache)
            else:
                assert store.reindex(home, wait_s=60.0) == NUM_RUNS
        except TROUBLE:
            with open(complaints, "a") as stream:
                stream.write(f"{task}: {traceback.format_exc()}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
