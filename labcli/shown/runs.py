"""Run views as JSON shapes and as text. Pure: what is shown is decided here, written elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from labcli.shown.alerts import alert_line, alert_object
from labcli.text.figures import ABSENT, figure, percent, seconds, when
from labcli.text.tables import render
from runs.record import RunRecord
from runs.scheduling.budget import dollars
from runs.scheduling.snapshot import describe
from runs.views.run_view import RunView, StageView

LIST_COLUMNS = (
    "run_id", "slug", "name", "recipe", "preset", "state", "stage", "created_s", "val_bpb",
    "val_sha256", "tags",
)  # fmt: skip
MODEL_STAGES = ("base", "mid", "sft")
HAS_ALERTS = "!N: so many alerts; see labcli runs alerts RUN"
MAX_ALERTS = 5
NOT_COMPARABLE = "* another validation text than the unmarked: these figures do not compare"


def list_row(view: RunView) -> dict[str, Any]:
    """Return one element of `runs list --json`."""
    return {
        "run_id": view.run_id,
        "slug": view.slug,
        "name": view.name,
        "recipe": view.recipe,
        "preset": view.preset,
        "state": view.state,
        "stage": view.stage,
        "created_s": view.created_s,
        "val_bpb": view.val_bpb,
        "val_sha256": view.val_sha256,
        "tags": list(view.tags),
        "num_alerts": view.num_alerts,
        "position": view.position,
        "worked_s": view.worked_s,
        "usd": view.usd,
        "stages": [{"stage": stage.stage, "state": stage.state} for stage in view.stages],
    }


def show_object(view: RunView, record: RunRecord) -> dict[str, Any]:
    """Return the document of `runs show --json`."""
    stages = {stage.stage: _stage_object(stage) for stage in view.stages}
    return {
        **list_row(view),
        "started_s": view.started_s,
        "ended_s": view.ended_s,
        "notes": list(view.notes),
        "problem": view.problem,
        "alerts": [alert_object(alert) for alert in view.alerts],
        "path": str(view.path),
        "parents": list(record.parents),
        "plan": record.plan,
        "stages": stages,
    }


def _stage_object(stage: StageView) -> dict[str, Any]:
    return {spec.name: getattr(stage, spec.name) for spec in fields(stage) if spec.name != "stage"}


def list_table(views: Sequence[RunView], *, width: int | None = None) -> str:
    """Return the table of `runs list`; figures over other validation texts are marked."""
    if not views:
        return "no runs yet; start one with: labcli run speedrun"
    marks = validation_marks([view.val_sha256 for view in views])
    num_alerts = [view.num_alerts for view in views]
    rows = [
        [
            view.slug if view.name == view.slug else f"{view.slug} ({view.name})",
            _state(view, num),
            view.stage or ABSENT,
            figure(view.val_bpb) + mark,
            view.preset or ABSENT,
            when(view.created_s),
            " ".join(view.tags),
        ]
        for view, mark, num in zip(views, marks, num_alerts, strict=True)
    ]
    header = ("RUN", "STATE", "STAGE", "VAL BPB", "PRESET", "CREATED", "TAGS")
    table = render(header, rows, right="lllr", width=width)
    notes = [NOT_COMPARABLE] if any(marks) else []
    if any(num_alerts):
        notes.append(HAS_ALERTS)
    return "\n".join([table, *notes])


def _state(view: RunView, num_alerts: int) -> str:
    place = "" if view.position is None else f" {view.position}"
    return view.state + place + (f" !{num_alerts}" if num_alerts else "")


def show_text(view: RunView) -> str:
    """Return the readable form of `runs show`."""
    lines = [
        f"{view.slug}  {view.state}",
        f"name     {view.name}",
        f"id       {view.run_id}",
        f"recipe   {view.recipe}" + (f", preset {view.preset}" if view.preset else ""),
        f"created  {when(view.created_s)}",
        f"path     {view.path}",
    ]
    if view.tags:
        lines.append(f"tags     {' '.join(view.tags)}")
    lines += [f"note     {note}" for note in view.notes]
    if view.source:
        lines.append(f"code     {describe(view.source)}")
    if view.worked_s is not None:
        cost = "" if view.usd is None else f", {dollars(view.usd)}"
        lines.append(f"worked   {seconds(view.worked_s)}{cost}")
    if view.problem:
        lines.append(f"problem  {view.problem}")
    if left := max(0, len(view.alerts) - MAX_ALERTS):
        lines.append(f"alerts   {left} earlier ones: labcli runs alerts {view.slug}")
    lines += [f"alert    {alert_line(alert)}" for alert in view.alerts[-MAX_ALERTS:]]
    errors = [f"{stage.stage}: {stage.error}" for stage in view.stages if stage.error]
    blocks = ["\n".join(lines), *errors]
    if view.stages:
        blocks.append(stage_table(view))
    if skills := skills_table(view):
        blocks.append(skills)
    return "\n\n".join(blocks)


def stage_table(view: RunView) -> str:
    """Return the stages of a run with their states, times and validation figures."""
    marks = validation_marks([stage.val_sha256 for stage in view.stages])
    rows = [
        [
            stage.stage,
            stage.state,
            seconds(stage_time_s(stage)),
            ABSENT if stage.step is None else str(stage.step),
            figure(stage.val_bpb) + mark,
        ]
        for stage, mark in zip(view.stages, marks, strict=True)
    ]
    total = ["total", "", seconds(total_time_s(view)), "", ""]
    table = render(("STAGE", "STATE", "TIME", "STEPS", "VAL BPB"), [*rows, total], right="llrrr")
    return f"{table}\n{NOT_COMPARABLE}" if any(marks) else table


def skills_table(view: RunView) -> str | None:
    """Return accuracy by skill and model stage; None when no skill was measured."""
    by_stage = {stage.stage: stage.results for stage in view.stages if stage.results}
    measured = [stage for stage in MODEL_STAGES if f"eval-{stage}" in by_stage]
    results = {stage: by_stage[f"eval-{stage}"] or {} for stage in measured}
    tasks = dict.fromkeys(task for stage in measured for task in results[stage])
    if not tasks:
        return None
    rows = []
    for task in tasks:
        cells = [results[stage].get(task, {}) for stage in measured]
        chance = next((cell["chance"] for cell in cells if "chance" in cell), None)
        rows.append([task, *(percent(cell.get("accuracy")) for cell in cells), percent(chance)])
    header = ("METRIC", *(stage.upper() for stage in measured), "CHANCE")
    return render(header, rows, right="l" + "r" * (len(measured) + 1))


def stage_time_s(stage: StageView) -> float | None:
    """Return how long a stage took; None while it has not ended."""
    if stage.started_s is None or stage.ended_s is None:
        return None
    return stage.ended_s - stage.started_s


def total_time_s(view: RunView) -> float:
    """Return the wall time of all stages that have ended."""
    return sum(stage_time_s(stage) or 0.0 for stage in view.stages)


def validation_marks(hashes: Sequence[str | None]) -> list[str]:
    """Return a mark per figure: "" for the first validation text, "*" for any other."""
    reference = next((value for value in hashes if value is not None), None)
    return ["" if value in (None, reference) else "*" for value in hashes]
