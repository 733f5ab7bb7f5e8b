"""Checkpoints as other runs rely on them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

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
