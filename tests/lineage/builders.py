"""Runs whose files are really there, with hashes that hold."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runs.create import create_run
from runs.events import Artifact, Checkpoint
from runs.files import sha256_file
from runs.lineage.inputs import resolve_inputs
from runs.paths import LabHome
from tests.builders import START_S, RunBuilder, build_run, make_plan, ticking

TRAINING = ("data", "tok", "base", "eval-base", "mid")


def real_file(run: RunBuilder, stage: str, name: str, content: str) -> Artifact:
    """Write an artifact of a stage and return its event."""
    path = run.paths.artifacts_dir(stage) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    place = str(path.relative_to(run.paths.run_dir))
    kind = name.partition(".")[0]
    return Artifact(name=kind, path=place, bytes=len(content), sha256=sha256_file(path))


def real_corpus(home: LabHome, text: str = "once") -> Artifact:
    """Write a corpus with its manifest and return its event."""
    corpus = home.data_dir / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    (corpus / "shard.parquet").write_text(text)
    shard = {"name": "shard.parquet", "sha256": hashlib.sha256(text.encode()).hexdigest()}
    (corpus / "manifest.json").write_text(json.dumps({"shards": [shard]}))
    sha256 = sha256_file(corpus / "manifest.json")
    return Artifact(name="corpus", path=str(corpus), bytes=len(text), sha256=sha256)


def real_checkpoint(run: RunBuilder, stage: str, step: int, weights: str = "w") -> Checkpoint:
    """Write a committed checkpoint and return its event."""
    path = run.paths.checkpoints_dir(stage) / f"step_{step:06d}"
    path.mkdir(parents=True)
    content = f"{weights} {step}"
    (path / "model.safetensors").write_text(content)
    listing = {"model.safetensors": hashlib.sha256(content.encode()).hexdigest()}
    (path / "COMMITTED").write_text(json.dumps(listing))
    return Checkpoint(
        step=step,
        path=str(path.relative_to(run.paths.run_dir)),
        bytes=1000,
        sha256=sha256_file(path / "COMMITTED"),
    )


def trained_run(home: LabHome, *, seed: int = 1, tags: Sequence[str] = ()) -> RunBuilder:
    """Return a finished run of five stages; base has checkpoints at 10, 20 and 30."""
    run = build_run(home, stages=TRAINING, seed=seed, tags=tags)
    run.finish("data", real_corpus(home), real_file(run, "data", "conversations.jsonl", "hello"))
    run.finish("tok", real_file(run, "tok", "tokenizer.json", "{}"))
    run.finish("base", *(real_checkpoint(run, "base", step) for step in (10, 20, 30)))
    run.finish("eval-base", real_file(run, "eval-base", "results.json", "0.5"))
    run.finish("mid", real_checkpoint(run, "mid", 5))
    return run


def run_from(home: LabHome, ref: str, stages: Sequence[str], *, seed: int) -> RunBuilder:
    """Return a run of later stages that takes what it needs from the run of a reference."""
    plan: dict[str, Any] = make_plan(stages)
    inputs, parents = resolve_inputs(home, plan, ref)
    paths = create_run(
        home,
        plan=plan,
        recipe="speedrun",
        preset="cpu",
        inputs=inputs,
        parents=parents,
        clock=lambda: START_S + 1000 * seed,
        entropy=lambda num_bytes: seed.to_bytes(num_bytes, "big"),
    )
    return RunBuilder(paths, ticking(START_S + 1000 * seed))


def age(path: Path, *, by_s: float) -> None:
    """Make everything under a path look as old as it says."""
    for item in [*path.rglob("*"), path]:
        before = item.lstat().st_mtime
        os.utime(item, (before - by_s, before - by_s))
