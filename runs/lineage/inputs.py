"""What a run takes from other runs: inputs that its plan needs and none of its stages makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runs.errors import LabError, NotFound, UsageError, nearest
from runs.files import sha256_file
from runs.paths import LabHome, RunPaths
from runs.record import RunRecord, load_record
from runs.refs import (
    Ref,
    ResolvedCheckpoint,
    parse_ref,
    resolve_checkpoint,
    resolve_run,
    resolve_training_run,
)
from runs.views.checkpoints import COMMITTED
from runs.views.facts import stage_facts

CHECKPOINT = "checkpoint"
MODEL_STAGES = frozenset({"base", "mid", "sft", "rl"})
# The worker writes this one itself, from the run's own events.
OWN_INPUTS = frozenset({"summary"})

Inputs = dict[str, dict[str, str]]


def checkpoint_entry(found: ResolvedCheckpoint) -> dict[str, str]:
    """Return a checkpoint as run.json holds an input; one in no run comes from ":STAGE"."""
    return {
        "path": str(found.path),
        "sha256": sha256_file(found.path / COMMITTED),
        "from": f"{found.run_id}:{found.stage}",
        "name": found.name,
    }


def missing_inputs(plan: Mapping[str, Any]) -> dict[str, str]:
    """Return the inputs that have to come from another run: name -> the stage that makes it."""
    own = {entry["stage"] for entry in plan["stages"]}
    missing: dict[str, str] = {}
    for entry in plan["stages"]:
        for name, producer in entry.get("inputs", {}).items():
            if producer in own or name in OWN_INPUTS:
                continue
            if missing.setdefault(name, producer) != producer:
                raise UsageError(
                    f"the plan takes {name} from {missing[name]} and from {producer}, outside "
                    "this run; run these stages one at a time"
                )
    return missing


def given_inputs(
    home: LabHome, plan: Mapping[str, Any], from_ref: str | None
) -> tuple[Inputs, tuple[str, ...]]:
    """Return what a plan takes from other runs, and these runs; UsageError without a reference."""
    missing = missing_inputs(plan)
    if from_ref is None:
        if not missing:
            return {}, ()
        names = ", ".join(f"{name} (from {producer})" for name, producer in missing.items())
        them = "it" if len(missing) == 1 else "them"
        raise UsageError(
            f"this plan needs {names}; name a run that has {them}: --from last, or --from RUN:STAGE"
        )
    return resolve_inputs(home, plan, from_ref)


def resolve_inputs(
    home: LabHome, plan: Mapping[str, Any], from_ref: str
) -> tuple[Inputs, tuple[str, ...]]:
    """Return the inputs that a plan takes from the run of `from_ref`, and the parent runs.

    A model stage in the reference decides where the checkpoint comes from; everything else
    comes from the stage that the plan names, of that run or of one that it was built on.

    Raises:
        NotFound: the run does not have an input; the message says which and from which stage.
    """
    ref = _parse(home, from_ref)
    run_dir = resolve_training_run(home, ref.run)
    record = load_record(run_dir)
    _check_stage(home, record, ref)
    inputs = {
        name: _resolve(home, run_dir, record, name, producer, ref)
        for name, producer in missing_inputs(plan).items()
    }
    makers = dict.fromkeys(entry["from"].partition(":")[0] for entry in inputs.values())
    return inputs, tuple(dict.fromkeys([record.run_id, *makers]))


def _parse(home: LabHome, from_ref: str) -> Ref:
    if "/" not in from_ref:
        return parse_ref(from_ref)
    found = resolve_checkpoint(home, from_ref)
    if not found.run_id:
        raise NotFound(f"{from_ref} lies in no run, so its tokenizer and data are unknown")
    return Ref(run=found.run_id, stage=found.stage, step=found.step)


def _check_stage(home: LabHome, record: RunRecord, ref: Ref) -> None:
    """Raise NotFound for a reference to a stage that neither the run nor its ancestors have."""
    if ref.stage is None or _makes(record, ref.stage):
        return
    inherited = {entry["from"].partition(":")[2] for entry in record.inputs.values()}
    known = {entry.stage for entry in record.stages} | inherited
    for _, ancestor in _ancestors(home, record):
        known |= {entry.stage for entry in ancestor.stages}
    if ref.stage not in known:
        raise NotFound(f"run {record.slug} has no stage {ref.stage!r}{nearest(ref.stage, known)}")


def _resolve(
    home: LabHome, run_dir: Path, record: RunRecord, name: str, producer: str, ref: Ref
) -> dict[str, str]:
    if name == CHECKPOINT and ref.stage in MODEL_STAGES:
        producer = ref.stage
    if _makes(record, producer):
        if name == CHECKPOINT:
            return _checkpoint(home, record, producer, ref)
        return _artifact(run_dir, record, name, producer)
    inherited = record.inputs.get(name)
    if inherited is not None and inherited["from"].partition(":")[2] == producer:
        return dict(inherited)
    for ancestor_dir, ancestor in _ancestors(home, record):
        if name != CHECKPOINT and _makes(ancestor, producer):
            return _artifact(ancestor_dir, ancestor, name, producer)
    raise NotFound(
        f"run {record.slug} has no stage {producer!r}, which makes {name}; "
        "name another run with --from"
    )


def _makes(record: RunRecord, producer: str) -> bool:
    return any(entry.stage == producer for entry in record.stages)


def _ancestors(home: LabHome, record: RunRecord) -> Iterator[tuple[Path, RunRecord]]:
    """Yield the runs that a run was built on, nearest first; deleted ones are left out."""
    queue, seen = list(record.parents), {record.run_id}
    while queue:
        run_id = queue.pop(0)
        if run_id in seen:
            continue
        seen.add(run_id)
        try:
            run_dir = resolve_run(home, run_id)
            ancestor = load_record(run_dir)
        except LabError:
            continue
        queue += ancestor.parents
        yield run_dir, ancestor


def _checkpoint(home: LabHome, record: RunRecord, stage: str, ref: Ref) -> dict[str, str]:
    step = "last" if ref.step is None or ref.stage != stage else ref.step
    return checkpoint_entry(resolve_checkpoint(home, f"{record.run_id}:{stage}@{step}"))


def _artifact(run_dir: Path, record: RunRecord, name: str, producer: str) -> dict[str, str]:
    # "results:eval-base" is the artifact "results" of the stage after the colon.
    made = stage_facts(run_dir, producer).artifacts.get(name.partition(":")[0])
    if made is None:
        raise NotFound(
            f"stage {producer} of run {record.slug} has not made {name} yet; "
            f"finish it first: labcli runs resume {record.slug}"
        )
    path = RunPaths(run_dir).find(str(made["path"]))
    if not path.exists():
        raise NotFound(f"{name} of run {record.slug} is gone: {path} does not exist")
    sha256 = str(made.get("sha256", ""))
    return {"path": str(path), "sha256": sha256, "from": f"{record.run_id}:{producer}"}
