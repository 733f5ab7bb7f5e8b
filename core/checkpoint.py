"""Checkpoints: weights, optimizer moments, loader cursor and generator state, committed last.

A directory without its COMMITTED file is no checkpoint: saving was cut off. COMMITTED lists
the hash of every other file, and the hash of that list names the checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.config import ModelConfig
from core.files import remove_left_overs, replace_file, sync_path
from core.model import GPT
from core.optim.muon_adamw import MuonAdamW
from runs.errors import Corrupt, NotFound, UsageError

COMMITTED = "COMMITTED"
MODEL_FILE = "model.safetensors"
OPTIMIZER_FILE = "optimizer/state.safetensors"
META_FILE = "meta.json"
RNG_KEY = "rng"
TABLE, HEAD = "wte.weight", "head.weight"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointMeta:
    """What a checkpoint says of itself; cumulative figures are over all attempts.

    device_batch_size: rows of a micro-batch on one rank.
    scaler: the state of float16's loss scale (core.train.precision.ScalerState).
    spikes: the losses that the next ones are compared with (core.train.spikes.SpikeState).
    """

    stage: str
    step: int
    model_config: ModelConfig
    tokenizer_sha256: str
    config_hash: str
    num_rows: int
    tokens: int
    train_s: float
    flops: float
    val_bpb: float | None = None
    device_batch_size: int | None = None
    scaler: Mapping[str, Any] | None = None
    loss_ema: float | None = None
    spikes: Mapping[str, Any] | None = None

    @property
    def num_updates(self) -> int:
        """Steps that changed the weights: all but those in which float16 overflowed."""
        skipped = 0 if self.scaler is None else int(self.scaler["num_skipped"])
        return self.step - skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A checkpoint that was just committed."""

    path: Path
    num_bytes: int
    sha256: str


def step_dir(checkpoints_dir: Path, step: int) -> Path:
    """Return the directory of a step's checkpoint."""
    return checkpoints_dir / f"step_{step:06d}"


def save(
    checkpoints_dir: Path, model: GPT, moments: Mapping[str, Tensor], meta: CheckpointMeta
) -> Saved:
    """Write and commit a checkpoint; raises OSError, and leaves nothing, when it cannot.

    moments: what MuonAdamW.gathered_state returned. A committed checkpoint is never written over:
    other runs may be built on it. One of this step stays as it is, and is returned.
    """
    _clear_left_overs(checkpoints_dir)
    path = step_dir(checkpoints_dir, meta.step)
    if (path / COMMITTED).is_file():
        return _saved(path)
    try:
        (path / OPTIMIZER_FILE).parent.mkdir(parents=True)
        _save_tensors(path / MODEL_FILE, _stored(model))
        _save_tensors(path / OPTIMIZER_FILE, {**moments, RNG_KEY: torch.get_rng_state()})
        (path / META_FILE).write_text(json.dumps({"v": 1, **asdict(meta)}, indent=1))
        hashes = {name: _sha256(path / name) for name in (MODEL_FILE, OPTIMIZER_FILE, META_FILE)}
        for name in hashes:
            sync_path(path / name)
        listing = json.dumps(hashes, indent=1).encode()
        sync_path(path / "optimizer")
        # Whole or not at all: an empty file would count as a commitment, and load as nothing.
        replace_file(path / COMMITTED, listing)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return _saved(path)


def _clear_left_overs(checkpoints_dir: Path) -> None:
    """Remove what a kill has left of checkpoints and small files that were written or removed.

    One worker at a time writes here, so that what is not committed is nobody's any more.
    """
    remove_left_overs(checkpoints_dir)
    for path in _step_dirs(checkpoints_dir).values():
        if not (path / COMMITTED).is_file():
            shutil.rmtree(path, ignore_errors=True)


def _step_dirs(checkpoints_dir: Path) -> dict[int, Path]:
    """Return what lies under the name of a step; a person's copy under another name does not."""
    found = {path.name.removeprefix("step_"): path for path in checkpoints_dir.glob("step_*")}
    return {int(step): path for step, path in sorted(found.items()) if step.isdecimal()}


def _stored(model: GPT) -> dict[str, Tensor]:
    """Return the weights by name; a table that is embedding and head is stored once."""
    tensors = dict(model.state_dict())
    if model.config.tied_head:
        del tensors[HEAD]
    return tensors


def _saved(path: Path) -> Saved:
    sha256 = hashlib.sha256((path / COMMITTED).read_bytes()).hexdigest()
    return Saved(path=path, num_bytes=_size(path), sha256=sha256)


def _size(path: Path) -> int:
    return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())


def committed_steps(checkpoints_dir: Path) -> dict[int, int]:
    """Return the steps of the complete checkpoints of a stage, and the bytes that each takes."""
    found = _step_dirs(checkpoints_dir).items()
    return {step: _size(path) for step, path in found if (path / COMMITTED).is_file()}


def remove(checkpoints_dir: Path, step: int) -> None:
    """Remove a checkpoint; one whose removal is cut off is none."""
    path = step_dir(checkpoints_dir, step)
    (path / COMMITTED).unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)


def read_meta(path: Path) -> CheckpointMeta:
    """Return what a checkpoint says of itself, without loading tensors."""
    if not (path / COMMITTED).is_file():
        raise NotFound(f"{path} is not a committed checkpoint; see: labcli runs show")
    try:
        content = (path / META_FILE).read_bytes()
        if hashlib.sha256(content).hexdigest() != _recorded_hash(path, META_FILE):
            raise Corrupt(_differs(path, META_FILE))
        body: dict[str, Any] = json.loads(content)
        del body["v"]
        body["model_config"] = ModelConfig(**body["model_config"])
        return CheckpointMeta(**body)
    except (OSError, ValueError, KeyError, TypeError, UsageError) as error:
        raise Corrupt(f"checkpoint {path} has an unreadable {META_FILE}: {error}") from error


def load_model(path: Path, *, device: torch.device, dtype: torch.dtype) -> GPT:
    """Return a checkpoint's model, ready to run; Corrupt when its weights were changed."""
    meta = read_meta(path)
    # Not by way of the meta device: leaving it loads sympy and torch's decompositions, seconds.
    with torch.device(device):
        model = GPT(meta.model_config, dtype=dtype)
    tensors = _load_tensors(path, MODEL_FILE, device)
    if meta.model_config.tied_head and TABLE in tensors:
        tensors[HEAD] = tensors[TABLE]
    try:
        _require_floats(tensors)
        model.load_state_dict(tensors)
    except (TypeError, RuntimeError) as error:
        raise Corrupt(_does_not_fit(path / MODEL_FILE, "model", error)) from None
    model.init_buffers()
    return model


def load_optimizer(path: Path, optimizer: MuonAdamW) -> None:
    """Restore moments and torch's generator from a checkpoint, on any number of ranks."""
    # Whole tensors, of which a device may have room for its own part alone.
    tensors = _load_tensors(path, OPTIMIZER_FILE, torch.device("cpu"))
    try:
        torch.set_rng_state(tensors.pop(RNG_KEY))
        optimizer.load_state(tensors, read_meta(path).num_updates)
    except (KeyError, TypeError, RuntimeError) as error:
        raise Corrupt(_does_not_fit(path / OPTIMIZER_FILE, "optimizer", error)) from None


def _save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    try:
        save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        # safetensors reports a full disk as an error of its own.
        raise OSError(str(error)) from error


def _load_tensors(path: Path, name: str, device: torch.device) -> dict[str, Tensor]:
    try:
        if _sha256(path / name) != _recorded_hash(path, name):
            raise Corrupt(_differs(path, name))
        return dict(load_file(path / name, device=str(device)))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise Corrupt(f"{path / name} cannot be read: {error}") from error


def _require_floats(tensors: Mapping[str, Tensor]) -> None:
    """Raise TypeError for a tensor that torch would turn into weights without a word."""
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise TypeError(f"{name} holds {tensor.dtype}")


def _does_not_fit(path: Path, what: str, error: Exception) -> str:
    # torch tells of each tensor on a line of its own.
    reason = " ".join(str(error).split())
    return f"{path} does not fit the {what} of this checkpoint: {reason}"


def _recorded_hash(path: Path, name: str) -> Any:
    return json.loads((path / COMMITTED).read_bytes())[name]


def _differs(path: Path, name: str) -> str:
    return (
        f"{path / name} does not match its recorded hash; use another step (with {path.name} "
        "removed, a resume goes on from the one before)"
    )


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
