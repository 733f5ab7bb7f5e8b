"""From a command line to a running experiment: one stage over checkpoints that other runs made.

An experiment is a run like any other: supervised, listed, resumed. Its inputs are named
`checkpoint:KEY` and `tokenizer:KEY` for each checkpoint, and by their own name for files that a
person gave, which are copied into the run.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.config import config_hash
from core.hardware import detect
from core.settings.setting import StageConfig
from labcli import diagnostics
from labcli.following.attached import detached_hints, watch_to_end
from labcli.following.watch import Watch
from labcli.speaking.speaker import find_tokenizer_file
from runs.create import create_run
from runs.errors import ExitCode, LabError
from runs.launch.local import launch
from runs.lineage.inputs import checkpoint_entry
from runs.paths import LabHome, RunPaths
from runs.record import load_record
from runs.refs import ResolvedCheckpoint
from runs.views.query import load_run

GIVEN = "given"
Inputs = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFile:
    """A file for a new run, which keeps it as artifacts/<stage>/<file_name>."""

    file_name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NewExperiment:
    """What an experiment works on and with.

    checkpoints: by key, such as "a" and "b"; the stage finds them in this order.
    files: by the name of the input.
    total: units of work, as the stage's progress counts them; None: not known beforehand.
    facts: further entries of the plan, such as counts and costs.
    """

    stage: str
    config: StageConfig
    checkpoints: Mapping[str, ResolvedCheckpoint]
    files: Mapping[str, GivenFile] = field(default_factory=dict)
    total: int | None = None
    device: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def plan(self) -> dict[str, Any]:
        """Return the plan as run.json stores it; the device defaults to the machine's."""
        inputs: dict[str, str] = {}
        for key, found in self.checkpoints.items():
            inputs |= {f"checkpoint:{key}": found.stage, f"tokenizer:{key}": "tok"}
        stage = {
            "stage": self.stage,
            "config": asdict(self.config),
            "config_hash": config_hash(self.config),
            "inputs": inputs | dict.fromkeys(self.files, GIVEN),
            "total": self.total,
            "nproc": 1,
        }
        return {
            "recipe": self.stage,
            "preset": "",
            "device": self.device or detect().device,
            "stages": [stage],
            **self.facts,
        }


def start_experiment(
    home: LabHome, new: NewExperiment, *, name: str | None = None, tags: Sequence[str] = ()
) -> RunPaths:
    """Create the run of an experiment, start its supervisor, and return the paths.

    Raises:
        NotFound: the tokenizer of a checkpoint is gone.
        Corrupt: a checkpoint does not say what it is.
    """
    inputs: Inputs = {}
    for key, found in new.checkpoints.items():
        inputs[f"checkpoint:{key}"] = checkpoint_entry(found)
        inputs[f"tokenizer:{key}"] = tokenizer_entry(found)
    files = {}
    for input_name, given in new.files.items():
        path = f"artifacts/{new.stage}/{given.file_name}"
        files[path] = given.content
        sha256 = hashlib.sha256(given.content).hexdigest()
        inputs[input_name] = {"path": path, "sha256": sha256, "from": GIVEN}
    parents = dict.fromkeys(found.run_id for found in new.checkpoints.values() if found.run_id)
    paths = create_run(
        home,
        plan=new.plan(),
        recipe=new.stage,
        preset="",
        name=name,
        tags=tags,
        argv=sys.argv,
        parents=tuple(parents),
        inputs=inputs,
        files=files,
    )
    launch(paths)
    return paths


def follow_experiment(
    paths: RunPaths, *, detach: bool = False, next_steps: Sequence[str] = ()
) -> ExitCode:
    """Narrate an experiment until it ends, or leave it alone at once; return the exit code.

    `next_steps` are the commands to name when it has finished.
    """
    view = load_run(paths.run_dir)
    diagnostics.say(f"run {view.slug} in {paths.run_dir}")
    if not detach:
        return watch_to_end(Watch(paths.run_dir), next_steps=next_steps)
    for line in detached_hints(view.slug):
        diagnostics.say(line)
    return ExitCode.OK


def tokenizer_entry(found: ResolvedCheckpoint) -> dict[str, str]:
    """Return the tokenizer of a checkpoint as run.json holds an input."""
    sha256 = tokenizer_sha256(found)
    path = find_tokenizer_file(found.path, sha256)
    return {"path": str(path), "sha256": sha256, "from": _maker(found, path)}


def tokenizer_sha256(found: ResolvedCheckpoint) -> str:
    """Return the hash of the tokenizer that a checkpoint was trained with."""
    from core.checkpoint import read_meta

    return read_meta(found.path).tokenizer_sha256


def _maker(found: ResolvedCheckpoint, tokenizer: Path) -> str:
    """Return RUN:STAGE of the tokenizer: that of the run that its run took it from, or its own."""
    try:
        given = load_record(found.path.parents[2]).inputs.get("tokenizer")
    except (LabError, IndexError):
        given = None
    is_given = given is not None and Path(given["path"]) == tokenizer
    return given["from"] if given is not None and is_given else f"{found.run_id}:tok"
