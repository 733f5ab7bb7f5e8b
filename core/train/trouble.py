"""What is told of a step whose loss stands out or is no number: its documents, in a file.

The file is a help, not the matter: where the disk is full the rest is told without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from core.stages.artifacts import write_artifact
from core.train.aftermath import SPIKE, report_name
from core.train.culprits import batch_report, breaking_rows, named_documents
from core.train.job import Training
from core.train.spikes import Spike
from core.train.step import Launched, StepResult
from runs.errors import StageFailed
from runs.events import Alert, Artifact, Event


def spike_events(
    job: Training, spike: Spike, launched: Launched, result: StepResult, *, num_rows: int
) -> Iterator[Event]:
    """Yield, on the first rank, the file with the documents of a batch and the alert."""
    if job.ranks.rank != 0:
        return
    grad_norm = result.grad_norm if math.isfinite(result.grad_norm) else str(result.grad_norm)
    artifact = _write_batch(
        job, launched, num_rows, reason=SPIKE, loss=spike.loss, grad_norm=grad_norm,
        level=spike.level, deviation=spike.deviation, losses_before=spike.before,
    )  # fmt: skip
    if artifact is not None:
        yield artifact
    where = "could not be written down" if artifact is None else f"are in {artifact.path}"
    yield Alert(
        code=SPIKE,
        severity="warning",
        message=f"the loss of step {spike.step} is {spike.loss:.4g}, recent ones are about "
        f"{spike.level:.4g}; the documents of its batch {where}",
    )


def failure_events(
    job: Training, launched: Launched, result: StepResult, *, num_rows: int
) -> Iterator[Event]:
    """Yield the file with the documents of a batch that gave no numbers; all ranks call it.

    Raises:
        StageFailed: always, at the end; it names the documents that break the numbers.
    """
    culprits = breaking_rows(
        job.model, job.rows, first_row=launched.first_row, num_rows=num_rows, ranks=job.ranks
    )
    artifact = None
    if job.ranks.rank == 0:
        artifact = _write_batch(
            job, launched, num_rows, reason="not-finite", loss=str(result.loss),
            grad_norm=str(result.grad_norm), breaking_rows=culprits,
        )  # fmt: skip
    if artifact is not None:
        yield artifact
    if 0 < len(culprits) < num_rows:
        names = named_documents(job.rows, culprits)
        cause = f"{len(culprits)} of its {num_rows} rows break the numbers: {names}"
        advice = "take them out of the data or lower the learning rates, and start a new run"
    else:
        cause = f"{'every row breaks' if culprits else 'no row alone breaks'} the numbers, so it "
        cause += "is not one document"
        advice = "lower the learning rates and start a new run"
    where = "" if artifact is None else f" (see {artifact.path})"
    raise StageFailed(
        f"loss {result.loss} and gradient norm {result.grad_norm} at step {launched.step}; "
        f"{cause}{where}; {advice}"
    )


def _write_batch(
    job: Training, launched: Launched, num_rows: int, **facts: object
) -> Artifact | None:
    """Write what a step was made of beside the other artifacts; None when there is no room."""
    report = batch_report(
        job.rows, first_row=launched.first_row, num_rows=num_rows, step=launched.step, **facts
    )
    name = report_name(launched.step)
    try:
        return write_artifact(job.ctx, f"{name}.json", report, name=name)
    except OSError:
        return None
