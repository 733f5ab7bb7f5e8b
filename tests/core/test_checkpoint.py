"""Checkpoints as other runs rely on them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from core import checkpoint
from core.model import GPT
from core.optim.muon_adamw import MuonAdamW
from core.ranks import alone
from core.settings.training import ChatTrainConfig
from core.train.saving import MEASURED_FILE
from runs.errors import Corrupt
from tests.core.builders import tiny_config


def save(checkpoints_dir: Path, *, step: int, added: float = 0.0) -> checkpoint.Saved:
    """Save a new model with something added to all its weights."""
    model = GPT(tiny_config(), dtype=torch.float32)
    model.init_weights(torch.Generator().manual_seed(1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(added)
    cpu = alone(torch.device("cpu"))
    moments = MuonAdamW(model, ChatTrainConfig(), cpu, tokens_per_step=2**14).gathered_state()
    assert moments is not None
    meta = checkpoint.CheckpointMeta(
        stage="base", step=step, model_config=model.config, tokenizer_sha256="t", config_hash="c",
        num_rows=0, tokens=0, train_s=0.0, flops=0.0,
    )  # fmt: skip
    return checkpoint.save(checkpoints_dir, model, moments, meta)


def test_a_committed_checkpoint_is_never_written_over(tmp_path: Path) -> None:
    first = save(tmp_path, step=3)
    before = (first.path / "model.safetensors").read_bytes()
    assert save(tmp_path, step=3, added=1.0) == first
    assert (first.path / "model.safetensors").read_bytes() == before


def test_a_copy_under_another_name_is_no_step_and_stays(tmp_path: Path) -> None:
    kept = checkpoint.step_dir(tmp_path, 100)
    for path in (kept, kept.with_name("step_000100.bak"), kept.with_name("step_best")):
        path.mkdir()
        (path / checkpoint.COMMITTED).write_text("{}")
    assert checkpoint.committed_steps(tmp_path) == {100: 2}
    (tmp_path / "step_notes").mkdir()
    save(tmp_path, step=200)
    assert {path.name for path in tmp_path.iterdir()} == {
        "step_000100", "step_000100.bak", "step_000200", "step_best", "step_notes"
    }  # fmt: skip


def test_what_a_kill_left_of_a_small_file_goes_with_the_next_checkpoint(tmp_path: Path) -> None:
    left = tmp_path / f".{MEASURED_FILE}.4711.partial"
    left.write_text("{")
    save(tmp_path, step=3)
    assert [path.name for path in tmp_path.iterdir()] == ["step_000003"]


def test_a_changed_word_of_what_a_checkpoint_says_of_itself_is_corrupt(tmp_path: Path) -> None:
    path = save(tmp_path, step=3).path
    assert checkpoint.read_meta(path).step == 3
    meta = path / checkpoint.META_FILE
    meta.write_text(meta.read_text().replace('"num_rows": 0', '"num_rows": 8'))
    with pytest.raises(Corrupt, match=r"meta\.json does not match its recorded hash"):
        checkpoint.read_meta(path)


def test_a_commitment_that_lists_nothing_is_corrupt(tmp_path: Path) -> None:
    path = save(tmp_path, step=3).path
    (path / checkpoint.COMMITTED).write_text("{}")
    with pytest.raises(Corrupt, match="unreadable"):
        checkpoint.read_meta(path)


def rewrite(path: Path, name: str, change: Callable[[dict[str, Tensor]], object]) -> None:
    """Change the tensors of a file, and record its new hash, as somebody's own tool would."""
    tensors = load_file(path / name)
    change(tensors)
    save_file(tensors, path / name)
    hashes = json.loads((path / checkpoint.COMMITTED).read_text())
    hashes[name] = hashlib.sha256((path / name).read_bytes()).hexdigest()
    (path / checkpoint.COMMITTED).write_text(json.dumps(hashes))


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("wte.weight"),
        lambda tensors: tensors.update(extra=torch.zeros(1)),
        lambda tensors: tensors.update({"wte.weight": torch.zeros(5, 3)}),
        lambda tensors: tensors.update({"wte.weight": tensors["wte.weight"].int()}),
    ],
    ids=["missing", "more", "another shape", "whole numbers"],
)
def test_weights_of_another_model_are_corrupt_and_named(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], object]
) -> None:
    path = save(tmp_path, step=3).path
    rewrite(path, checkpoint.MODEL_FILE, change)
    with pytest.raises(Corrupt, match=r"model\.safetensors.*(wte\.weight|extra)"):
        checkpoint.load_model(path, device=torch.device("cpu"), dtype=torch.float32)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("rng"),
        lambda tensors: tensors.update(rng=torch.zeros(3)),
        lambda tensors: tensors.pop("wte.weight/first_moment"),
        lambda tensors: tensors.update({"wte.weight/first_moment": torch.zeros(3, 3)}),
    ],
    ids=["no generator", "no state of one", "no moment", "another shape"],
)
def test_moments_of_another_optimizer_are_corrupt(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], object]
) -> None:
    path = save(tmp_path, step=3).path
    rewrite(path, checkpoint.OPTIMIZER_FILE, change)
    model = checkpoint.load_model(path, device=torch.device("cpu"), dtype=torch.float32)
    cpu = alone(torch.device("cpu"))
    optimizer = MuonAdamW(model, ChatTrainConfig(), cpu, tokens_per_step=2**14)
    with pytest.raises(Corrupt, match=r"state\.safetensors does not fit"):
        checkpoint.load_optimizer(path, optimizer)
