"""The findings of a self-chat that has ended: read from its run, as JSON and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labcli.tables import ABSENT, figure, render
from runs.errors import NotFound, UsageError
from runs.files import read_json
from runs.paths import RunPaths
from runs.query import load_run
from runs.record import load_record

STAGE = "selfchat"
SHOWN = ("entropy_bits", "perplexity", "mtld", "distinct_2", "topic_drift", "has_loop")


def read_result(run_dir: Path) -> dict[str, Any]:
    """Return what `labcli selfchat --json` prints of a run.

    Raises:
        UsageError: the run is no self-chat.
        NotFound: it has not ended yet.
    """
    record = load_record(run_dir)
    if record.recipe != STAGE:
        raise UsageError(f"run {record.slug} is no self-chat but a run of {record.recipe}")
    path = RunPaths(run_dir).artifacts_dir(STAGE) / "summary.json"
    if not path.is_file():
        view = load_run(run_dir)
        raise NotFound(
            f"run {record.slug} has no findings yet: it is {view.state}; "
            f"to go on: labcli runs resume {record.slug}"
        )
    return {"run_id": record.run_id, **read_json(path)}


def result_text(result: Mapping[str, Any]) -> str:
    """Return the findings as a table of means, and a sentence per comparison."""
    settings = result["settings"]
    known = [name for name in SHOWN if any(name in one["metrics"] for one in settings)]
    rows = [
        [
            str(one.get("name", one["temperature"])),
            str(one.get("conversations", ABSENT)),
            *(_mean(one["metrics"].get(name)) for name in known),
        ]
        for one in settings
    ]
    table = render(("SETTING", "TALKS", *known), rows, right="l" + "r" * (len(known) + 1))
    verdicts = [one["verdict"] for one in (*settings, *result["comparisons"]) if one.get("verdict")]
    return "\n".join([table, "", *verdicts])


def _mean(found: Mapping[str, Any] | None) -> str:
    return ABSENT if found is None else figure(found["mean"], 3)
