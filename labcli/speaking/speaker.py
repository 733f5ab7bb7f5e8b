"""From a reference to a model that can speak: its checkpoint, its own tokenizer, an engine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runs.errors import LabError, NotFound
from runs.files import sha256_file
from runs.paths import RunPaths
from runs.record import load_record
from runs.refs import ResolvedCheckpoint
from runs.views.facts import stage_facts

if TYPE_CHECKING:
    from core.engine.engine import Engine
    from core.engine.weights import WeightType
    from core.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """A loaded model and the name to show for it."""

    engine: Engine
    name: str
    stage: str

    @property
    def is_base(self) -> bool:
        """Whether it has learnt to go on with a text, and nothing of conversations."""
        return self.stage == "base"


def load_speaker(
    found: ResolvedCheckpoint,
    device_name: str | None,
    *,
    max_rows: int = 8,
    weights: WeightType = "native",
    is_deterministic: bool = False,
) -> Speaker:
    """Return the model of a checkpoint, ready to answer; default device: a GPU if there is one.

    max_rows, weights, is_deterministic: see Engine.

    Raises:
        UsageError: there is no such device, or it cannot compute with such weights.
    """
    # Before torch loads OpenMP, which reads it once. Threads that wait by spinning slow a talk
    # down tenfold while a run is training on the same cores (measured on 2 cores).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import torch

    from core import checkpoint
    from core.device import inference_dtype, pick_device
    from core.engine.engine import Engine

    if device_name is None:
        device_name = "cuda" if torch.cuda.is_available() else "cpu"
    device = pick_device(device_name)
    meta = checkpoint.read_meta(found.path)
    tokenizer = find_tokenizer(found.path, meta.tokenizer_sha256)
    model = checkpoint.load_model(found.path, device=device, dtype=inference_dtype("auto", device))
    engine = Engine(
        model, tokenizer, weights=weights, max_rows=max_rows, is_deterministic=is_deterministic
    )
    if weights != "native":
        # Now, not in the middle of the first answer, is the time to hear that it cannot be.
        _ = engine.decoder
    return Speaker(engine=engine, name=found.name, stage=meta.stage)


def weights_note(engine: Engine) -> str | None:
    """Return why the weights that were asked for bring nothing here; None where they may."""
    from core import hardware

    device, native = engine.model.cos.device.type, str(engine.model.dtype).removeprefix("torch.")
    if engine.weights == native:
        return f"the weights are {native} here anyway; --weights {native} changes nothing"
    if device == "cpu" and engine.weights == "bfloat16" and not hardware.has_cpu_bf16():
        return "this CPU has no bfloat16 arithmetic; --weights native is faster and exact"
    if device == "cpu" and engine.weights == "int8" and not hardware.has_cpu_vnni():
        return "this CPU has no fast 8-bit products; --weights native is hardly slower and exact"
    return None


def find_tokenizer(checkpoint_dir: Path, sha256: str) -> Tokenizer:
    """Return the tokenizer that a checkpoint's run made or was given, checked by its hash."""
    from core.tokenizer import Tokenizer

    return Tokenizer.from_file(find_tokenizer_file(checkpoint_dir, sha256))


def find_tokenizer_file(checkpoint_dir: Path, sha256: str) -> Path:
    """Return the file of the tokenizer with this hash that a checkpoint's run made or was given."""
    # <run>/checkpoints/<stage>/step_<n>; a checkpoint that was copied may lie anywhere.
    *_, run_dir = checkpoint_dir.absolute().parents[:3]
    for path in tokenizer_paths(run_dir):
        if path.is_file() and sha256_file(path) == sha256:
            return path
    raise NotFound(
        f"the tokenizer of {checkpoint_dir} ({sha256[:12]}) is not in {run_dir} nor where "
        "that run took it from; restore its tokenizer.json"
    )


def tokenizer_paths(run_dir: Path) -> list[Path]:
    """Return where the tokenizer of a run may lie: made by it, or by the run it came from."""
    paths = [run_dir / "artifacts" / "tok" / "tokenizer.json"]
    try:
        given = load_record(run_dir).inputs.get("tokenizer")
        made = stage_facts(run_dir, "tok").artifacts.get("tokenizer")
    except (LabError, OSError):
        return paths
    if made is not None:
        paths.insert(0, RunPaths(run_dir).find(str(made["path"])))
    if given is not None:
        paths.append(RunPaths(run_dir).find(given["path"]))
    return paths
