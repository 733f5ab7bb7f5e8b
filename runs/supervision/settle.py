"""What follows a stage: its metrics compacted, the summary and the registry brought up to date.

`python -m runs.settle RUN_DIR STAGE...`, started by the supervisor. Everything here can be made
again from the events, so a failure is a line in the supervisor's log and nothing more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from runs.errors import LabError
from runs.metrics.compact import compact_stage
from runs.paths import RunPaths
from runs.registry import store
from runs.registry.sketch_store import publish_sketches
from runs.views.summary import write_summary


def main(argv: list[str]) -> int:
    """Settle the given stages of the run in argv[0]; return 0 when all of it worked."""
    run_dir, stages = Path(argv[0]), argv[1:]
    works = [_try(f"compact {stage}", partial(compact_stage, run_dir, stage)) for stage in stages]
    works.append(_try("summary", partial(write_summary, run_dir)))
    home = RunPaths(run_dir).home
    works.append(_try("registry", partial(store.publish, home)))
    works.append(_try("sketches", partial(publish_sketches, home)))
    return 0 if all(works) else 1


def _try(what: str, work: Callable[[], object]) -> bool:
    try:
        work()
    except (LabError, OSError) as error:
        sys.stderr.write(f"settle: {what}: {error}\n")
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
