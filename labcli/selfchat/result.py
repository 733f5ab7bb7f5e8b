"""The findings of a self-chat that has ended, read from its run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.experiments.selfchat.archive import STAGE, SUMMARY_FILE, load_experiment
from runs.errors import NotFound, UsageError
from runs.files import read_json
from runs.paths import RunPaths
from runs.record import load_record
from runs.views.query import load_run

if TYPE_CHECKING:
    from core.experiments.measures.summary import Summary
    from core.experiments.selfchat.transcript import Experiment
    from core.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A self-chat with its findings; tokenizer: None when its file is gone."""

    run_id: str
    experiment: Experiment
    summary: Summary
    tokenizer: Tokenizer | None


def read_result(run_dir: Path) -> dict[str, Any]:
    """Return what `labcli selfchat --json` prints of a run.

    Raises:
        UsageError: the run is no self-chat.
        NotFound: it has not ended yet.
    """
    path = _require_ended(run_dir)
    return {"run_id": load_record(run_dir).run_id, **read_json(path)}


def load_result(run_dir: Path) -> Result:
    """Return a self-chat with all of its turns, and its findings.

    Raises:
        UsageError, NotFound: as `read_result`.
        Corrupt: its files cannot be read.
    """
    from core.experiments.measures.summary import summarise
    from tui.selfchat.reading import tokenizer_of

    artifacts = _require_ended(run_dir).parent
    experiment = load_experiment(artifacts)
    return Result(
        run_id=load_record(run_dir).run_id,
        experiment=experiment,
        summary=summarise(experiment),
        tokenizer=tokenizer_of(run_dir),
    )


def _require_ended(run_dir: Path) -> Path:
    """Return the file with the findings."""
    record = load_record(run_dir)
    if record.recipe != STAGE:
        raise UsageError(f"run {record.slug} is no self-chat but a run of {record.recipe}")
    path = RunPaths(run_dir).artifacts_dir(STAGE) / SUMMARY_FILE
    if not path.is_file():
        raise NotFound(
            f"run {record.slug} has no findings yet: it is {load_run(run_dir).state}; "
            f"to go on: labcli runs resume {record.slug}"
        )
    return path
