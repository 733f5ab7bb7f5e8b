"""What a stage is given to work on: outputs of earlier stages of this run, or of another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.stages.context import Input
from runs.errors import NotFound
from runs.files import sha256_file
from runs.paths import RunPaths
from runs.record import RunRecord
from runs.views import checkpoints
from runs.views.facts import stage_facts

CHECKPOINT = "checkpoint"
SUMMARY = "summary"


def resolve_inputs(paths: RunPaths, record: RunRecord, stage: str) -> dict[str, Input]:
    """Return every input that the plan gives a stage, or raise NotFound for one that is gone."""
    own = {entry.stage for entry in record.stages}
    inputs = {}
    for name, producer in record.stage(stage).inputs.items():
        if name == SUMMARY:
            continue
        if producer in own:
            inputs[name] = _from_this_run(paths, name, producer)
        else:
            inputs[name] = _given_at_launch(paths, record, name, stage)
    if paths.summary.is_file():
        inputs[SUMMARY] = Input(path=paths.summary, sha256=sha256_file(paths.summary))
    return inputs


def _from_this_run(paths: RunPaths, name: str, producer: str) -> Input:
    facts = stage_facts(paths.run_dir, producer)
    if name == CHECKPOINT:
        newest = checkpoints.newest(paths.checkpoints_dir(producer))
        if newest is None:
            raise NotFound(f"stage {producer} left no complete checkpoint in {paths.run_dir}")
        return Input(path=newest.path, sha256=_checkpoint_hash(facts.checkpoints, newest.step))
    # "results:eval-base" is the artifact "results" of the stage after the colon.
    made = facts.artifacts.get(name.partition(":")[0])
    if made is None:
        raise NotFound(f"stage {producer} of this run has not made {name!r}; run it first")
    return _existing(paths.find(str(made["path"])), str(made.get("sha256", "")), name)


def _given_at_launch(paths: RunPaths, record: RunRecord, name: str, stage: str) -> Input:
    """Return what another run made, or a file that was put into this one."""
    given = record.inputs.get(name)
    if given is None:
        raise NotFound(
            f"stage {stage} needs {name!r}, which no stage of this run makes; "
            "start the run again with --from RUN"
        )
    return _existing(paths.find(given["path"]), given.get("sha256", ""), name)


def _existing(path: Path, sha256: str, name: str) -> Input:
    if not path.exists():
        raise NotFound(f"input {name!r} is gone: {path} does not exist; make it again")
    return Input(path=path, sha256=sha256)


def _checkpoint_hash(known: Sequence[Mapping[str, Any]], step: int) -> str:
    hashes = [str(item.get("sha256", "")) for item in known if item.get("step") == step]
    return hashes[-1] if hashes else ""
