"""The one resolver of references: RUN[:STAGE][@STEP|@last|@best], or a path to a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runs.errors import Corrupt, LabError, NotFound, UsageError, nearest
from runs.labels import fold_annotations
from runs.log import read_log
from runs.paths import LabHome, RunPaths
from runs.record import RunRecord, load_record
from runs.views.checkpoints import COMMITTED, CommittedCheckpoint, committed, step_of
from runs.views.facts import stage_facts
from runs.views.query import list_runs, run_dirs

Step = int | Literal["last", "best"]
DEFAULT_STAGES = ("rl", "sft", "mid", "base")
LAST = "last"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """A reference taken apart; None stands for the default of that part."""

    run: str
    stage: str | None = None
    step: Step | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedCheckpoint:
    """A committed checkpoint and a name to show for it, such as "speedrun-amber-fox:sft@400"."""

    path: Path
    run_id: str
    stage: str
    step: int
    name: str


def parse_ref(text: str) -> Ref:
    """Return the parts of RUN[:STAGE][@STEP|@last|@best], or raise UsageError."""
    head, at, step_text = text.partition("@")
    run, colon, stage = head.partition(":")
    if (colon and not stage) or (at and not step_text):
        raise UsageError(f"{text!r} is not a reference; write RUN[:STAGE][@STEP|@last|@best]")
    return Ref(run=run or LAST, stage=stage or None, step=_parse_step(text, step_text))


def resolve_run(home: LabHome, text: str) -> Path:
    """Return the directory of the run that `text` names.

    An identifier or a unique prefix of one, a slug, a name, or "last" for the newest run.

    Raises:
        NotFound: no run matches; the closest names are given.
        UsageError: several runs match; they are named.
    """
    directories = run_dirs(home)
    if not directories:
        raise NotFound(f"there are no runs in {home.runs_dir}; start one: labcli run speedrun")
    if text == LAST:
        return directories[0]
    wanted = text.upper()
    exact = [path for path in directories if path.name[:26] == wanted or path.name[27:] == text]
    if exact:
        return exact[0]
    named = [path for path in directories if text in _names(path)]
    prefixed = [path for path in directories if text and path.name.startswith(wanted)]
    matches = named or prefixed
    if not matches:
        known = {name for path in directories for name in (path.name[27:], *_names(path))}
        raise NotFound(f"no run matches {text!r}{nearest(text, known)}")
    if len(matches) > 1:
        candidates = ", ".join(path.name for path in matches[:5])
        raise UsageError(f"{text!r} matches {len(matches)} runs: {candidates}; name one of them")
    return matches[0]


def resolve_training_run(home: LabHome, text: str) -> Path:
    """Return the run that `text` names; "last" passes over experiments, which make no model.

    Raises:
        NotFound, UsageError: as `resolve_run`.
    """
    if text == LAST:
        for path in run_dirs(home):
            if not _is_experiment(path):
                return path
    return resolve_run(home, text)


def last_finished_run(home: LabHome) -> Path:
    """Return the newest finished run that holds a model, or raise NotFound."""
    for view in list_runs(home):
        stages = [stage.stage for stage in view.stages]
        if view.state == "finished" and any(
            committed(RunPaths(view.path).checkpoints_dir(stage)) for stage in stages
        ):
            return view.path
    raise NotFound(
        f"no finished run in {home.runs_dir} holds a model; train one: labcli run speedrun"
    )


def resolve_checkpoint(
    home: LabHome, text: str | None, *, default_stages: Sequence[str] = DEFAULT_STAGES
) -> ResolvedCheckpoint:
    """Return the checkpoint that `text` refers to; None means the last finished run.

    The first of `default_stages` that has a checkpoint is taken when the reference names no
    stage, and its newest one when it names no step.

    Raises:
        NotFound: no such run, stage or step; what there is, is named.
    """
    if text is not None and ("/" in text or (Path(text) / COMMITTED).is_file()):
        return _from_path(Path(text).expanduser())
    ref = parse_ref(text or LAST)
    run_dir = resolve_training_run(home, ref.run) if text else last_finished_run(home)
    record = load_record(run_dir)
    stage, found = _stage_checkpoints(run_dir, record, ref, default_stages)
    return _resolved(record, stage, _pick(run_dir, record, stage, found, ref.step))


def _from_path(path: Path) -> ResolvedCheckpoint:
    path = path.absolute()
    step = step_of(path)
    if not path.is_dir():
        raise NotFound(f"no checkpoint directory at {path}")
    if not (path / COMMITTED).is_file() or step is None:
        raise Corrupt(f"{path} is not a complete checkpoint: step_<n>/ with a COMMITTED file")
    try:
        record = load_record(path.parents[2])
    except (LabError, IndexError):
        # A checkpoint that was copied out of its run still works; only its origin is unknown.
        stage = path.parent.name
        return ResolvedCheckpoint(path=path, run_id="", stage=stage, step=step, name=str(path))
    return _resolved(record, path.parent.name, CommittedCheckpoint(path=path, step=step))


def _stage_checkpoints(
    run_dir: Path, record: RunRecord, ref: Ref, default_stages: Sequence[str]
) -> tuple[str, list[CommittedCheckpoint]]:
    candidates = list(default_stages)
    if ref.stage is not None:
        record.stage(ref.stage)
        candidates = [ref.stage]
    for stage in candidates:
        found = committed(RunPaths(run_dir).checkpoints_dir(stage))
        if found:
            return stage, found
    place = f"stage {ref.stage} of run {record.slug}" if ref.stage else f"run {record.slug}"
    raise NotFound(f"{place} has no checkpoint yet; see: labcli runs show {record.slug}")


def _pick(
    run_dir: Path,
    record: RunRecord,
    stage: str,
    found: list[CommittedCheckpoint],
    step: Step | None,
) -> CommittedCheckpoint:
    if step is None or step == "last":
        return found[-1]
    by_step = {checkpoint.step: checkpoint for checkpoint in found}
    if step == "best":
        evals = stage_facts(run_dir, stage).evals
        measured = [
            (entry["val_bpb"], entry["step"])
            for entry in evals
            if _is_number(entry["val_bpb"]) and entry["step"] in by_step
        ]
        return by_step[min(measured)[1]] if measured else found[-1]
    if step not in by_step:
        steps = ", ".join(str(checkpoint.step) for checkpoint in found)
        raise NotFound(f"{record.slug}:{stage} has no checkpoint at step {step}; it has {steps}")
    return by_step[step]


def _is_number(val_bpb: float | None) -> bool:
    # NaN is neither above nor below another number.
    return val_bpb is not None and math.isfinite(val_bpb)


def _resolved(record: RunRecord, stage: str, checkpoint: CommittedCheckpoint) -> ResolvedCheckpoint:
    return ResolvedCheckpoint(
        path=checkpoint.path,
        run_id=record.run_id,
        stage=stage,
        step=checkpoint.step,
        name=f"{record.slug}:{stage}@{checkpoint.step}",
    )


def _is_experiment(run_dir: Path) -> bool:
    try:
        return load_record(run_dir).is_experiment
    except LabError:
        return False


def _names(run_dir: Path) -> tuple[str, ...]:
    try:
        record = load_record(run_dir)
    except LabError:
        return ()
    notes = read_log(RunPaths(run_dir).annotations)
    return (fold_annotations(notes, name=record.name, tags=record.tags).name,)


def _parse_step(text: str, step_text: str) -> Step | None:
    if not step_text:
        return None
    if step_text == "last":
        return "last"
    if step_text == "best":
        return "best"
    if step_text.isascii() and step_text.isdigit():
        return int(step_text)
    raise UsageError(f"{text!r}: the step is a number, last or best, not {step_text!r}")
