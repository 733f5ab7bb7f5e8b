"""What a run left behind, in a form that two runs can be compared by to the last bit."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import Any

from runs.events import EventTail
from runs.launch.local import launch
from runs.paths import LabHome, RunPaths
from runs.views.query import load_run
from tests.runs.builders import wait_for

# Kernels are built within it, on a machine that has other work.
DEADLINE_S = 600
ENDED = ("finished", "failed", "killed", "crashed")
# What a step measured of the training, not of the machine.
EXACT_METRICS = ("loss", "grad_norm", "tokens")
Curves = dict[tuple[str, str, int], Any]


def labcli(home: LabHome, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a labcli command as a user would."""
    code = "import sys; from labcli.app import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, *args]
    env = {**os.environ, "LABCLI_HOME": str(home.root)}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def wait_for_end(paths: RunPaths) -> str:
    """Return the state of a run once nothing of it is at work."""
    wait_for(
        lambda: load_run(paths.run_dir).state in ENDED, "the run to end", deadline_s=DEADLINE_S
    )
    return load_run(paths.run_dir).state


def start(paths: RunPaths) -> str:
    """Launch a run and return the state in which it ended."""
    launch(paths)
    return wait_for_end(paths)


def resume(home: LabHome, paths: RunPaths, *words: str) -> str:
    """Resume a run and return the state in which it ended this time."""
    asked = labcli(home, "runs", "resume", paths.run_dir.name[:26], "--detach", *words)
    assert asked.returncode == 0, asked.stderr
    return wait_for_end(paths)


def curves(paths: RunPaths, *, is_exact: bool = True) -> Curves:
    """Return every loss, norm, measurement and sample by stage, kind and step.

    What was made twice, before and after a kill, counts as it came out last, and must have come
    out the same where the curve is to be exact.
    """
    found: Curves = {}
    for file in sorted(paths.events_dir.glob("*.r0.jsonl")):
        stage = file.name.split(".", maxsplit=1)[0]
        for record in EventTail(file).read():
            data = record.data
            if record.kind == "step":
                value: Any = tuple(data["metrics"][name] for name in EXACT_METRICS)
            elif record.kind == "eval":
                value = data["val_bpb"]
            elif record.kind == "sample":
                value = {data["prompt"]: data["text"]}
            else:
                continue
            key = (stage, record.kind, data["step"])
            if record.kind == "sample":
                value = {**found.get(key, {}), **value}
            else:
                was_same = found.get(key, value) == value
                assert was_same or not is_exact, f"{key} changed in {file.name}"
            found[key] = value
    return found


def losses(paths: RunPaths, stage: str = "base") -> dict[int, float]:
    """Return the loss of every step of a stage."""
    return {
        step: value[0]
        for (name, kind, step), value in curves(paths, is_exact=False).items()
        if (name, kind) == (stage, "step")
    }


def weights(paths: RunPaths) -> dict[str, str]:
    """Return the hash of every file of tensors in every checkpoint that was kept."""
    return {
        str(path.relative_to(paths.run_dir)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(paths.run_dir.glob("checkpoints/**/*.safetensors"))
    }


def files(paths: RunPaths) -> list[str]:
    """Return what lies in the checkpoints of a run, so that nothing half written is left."""
    found = paths.run_dir.glob("checkpoints/**/*")
    return sorted(str(path.relative_to(paths.run_dir)) for path in found)
