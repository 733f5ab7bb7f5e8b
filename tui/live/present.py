"""Views as the cells and figures that widgets show. Pure: no widgets, no clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runs.views.run_view import RunView, StageView
from runs.views.states import ACTIVE, ENDED
from tui.shell import format as fmt

if TYPE_CHECKING:
    from tui.live.state import LiveView, StageCurves

MODEL_STAGES = ("base", "mid", "sft", "rl")
RESUMABLE = ENDED - {"finished"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A named number of the focused stage."""

    label: str
    value: str


def share_done(stage: StageView) -> float | None:
    """Return how much of a stage is done, from 0 to 1."""
    if stage.state == "finished":
        return 1.0
    if stage.done is None or not stage.total:
        return None
    return min(max(stage.done / stage.total, 0.0), 1.0)


def current_stage(run: RunView) -> StageView | None:
    """Return the stage that a run is in, or was in last."""
    return next((stage for stage in run.stages if stage.stage == run.stage), None)


def run_share(run: RunView) -> float | None:
    """Return the progress of the current stage, and 1 for a finished run."""
    if run.state == "finished":
        return 1.0
    stage = current_stage(run)
    return share_done(stage) if stage else None


def last_metric(run: RunView, key: str) -> float | None:
    """Return a metric of the current stage, or of the last stage that has logged it."""
    stage = current_stage(run)
    if stage and key in stage.metrics:
        return stage.metrics[key]
    return next((item.metrics[key] for item in reversed(run.stages) if key in item.metrics), None)


def run_eta(run: RunView) -> str:
    """Return the time left in the current stage of an active run."""
    stage = current_stage(run)
    return fmt.duration(stage.eta_s) if stage and run.state in ACTIVE else ""


def stage_time(stage: StageView, now: float) -> str:
    """Return how long a stage took, or has been at it."""
    if stage.started_s is None:
        return ""
    is_open = stage.ended_s is None and stage.state in ACTIVE
    end = now if is_open else stage.ended_s
    return fmt.duration(end - stage.started_s) if end is not None else ""


def stage_count(stage: StageView, room: int) -> str:
    """Return "1,234/2,000 steps" for the work that a stage counts, without the unit if narrow.

    Before the first is done it is what the stage is at, such as building kernels.
    """
    if stage.done is None or not stage.total or (stage.done == 0 and stage.label):
        return stage.label
    done, total = (
        (f"{stage.done:,.0f}", f"{stage.total:,.0f}")
        if stage.total < 100_000
        else (fmt.compact(stage.done), fmt.compact(stage.total))
    )
    count = f"{done}/{total}"
    with_unit = f"{count} {stage.unit}".rstrip()
    return with_unit if len(with_unit) <= room else count


def brought_forward(run: RunView, live: LiveView) -> RunView:
    """Return a run whose stages stand where their events are; it was listed up to a second ago."""
    stages = tuple(_brought_forward(stage, live.stage(stage.stage)) for stage in run.stages)
    is_same = all(new is old for new, old in zip(stages, run.stages, strict=True))
    return run if is_same else replace(run, stages=stages)


def _brought_forward(stage: StageView, curves: StageCurves) -> StageView:
    if stage.state not in ACTIVE or stage.attempt != curves.attempt:
        return stage
    # Without newest numbers the step is only the one that an attempt went on from.
    if curves.step is None or not curves.latest:
        return stage
    if stage.done is not None and (stage.unit != "steps" or curves.step <= stage.done):
        return stage
    total = stage.total if curves.total_steps is None else curves.total_steps
    return replace(stage, step=int(curves.step), done=curves.step, total=total, unit="steps")


def followed_stage(run: RunView, live: LiveView) -> str | None:
    """Return the stage to show while nobody has picked one.

    That is the current stage, but a stage without curves (an evaluation, the report) gives way
    to the last model stage before it.
    """
    names = [stage.stage for stage in run.stages]
    current = run.stage or live.current
    if current is None or current not in names:
        return names[0] if names else None
    before = names[: names.index(current) + 1]
    with_curves = [name for name in before if live.stage(name).curves or name == current]
    is_model = [name for name in with_curves if name in MODEL_STAGES]
    return is_model[-1] if is_model else current


def figures(curves: StageCurves, stage: StageView | None) -> tuple[Figure, ...]:
    """Return the newest numbers of a stage, those that were never logged as blanks."""
    metrics = {**(dict(stage.metrics) if stage else {}), **curves.latest}
    bpb = curves.curve("val_bpb").last
    if bpb is None and stage is not None:
        bpb = stage.val_bpb
    mfu = "MFU cpu" if curves.device == "cpu" else "MFU"
    return (
        Figure(label="loss", value=fmt.decimal(metrics.get("loss"))),
        Figure(label="val bpb", value=fmt.decimal(bpb)),
        Figure(label="tok/s", value=fmt.compact(metrics.get("tok_per_sec"))),
        Figure(label=mfu, value=fmt.percent(metrics.get("mfu"), 1)),
        Figure(label="tokens", value=fmt.compact(metrics.get("tokens"))),
        Figure(label="FLOPs", value=fmt.compact(metrics.get("flops"))),
        Figure(label="grad", value=fmt.decimal(metrics.get("grad_norm"))),
        Figure(label="lr x", value=fmt.decimal(metrics.get("lrm"))),
    )
