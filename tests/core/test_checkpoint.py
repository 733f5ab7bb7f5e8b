"""Checkpoints as other runs rely on them."""

from __future__ import annotations

from pathlib import Path

import torch

from core import checkpoint
from core.config import ChatTrainConfig
from core.model import GPT
from core.optim.muon_adamw import MuonAdamW
from core.ranks import alone
from tests.core.builders import tiny_config


def test_a_committed_checkpoint_is_never_written_over(tmp_path: Path) -> None:
    model = GPT(tiny_config(), dtype=torch.float32)
    cpu = alone(torch.device("cpu"))
    moments = MuonAdamW(model, ChatTrainConfig(), cpu, tokens_per_step=2**14).gathered_state()
    assert moments is not None
    meta = checkpoint.CheckpointMeta(
        stage="base", step=3, model_config=model.config, tokenizer_sha256="t", config_hash="c",
        num_rows=0, tokens=0, train_s=0.0, flops=0.0,
    )  # fmt: skip
    first = checkpoint.save(tmp_path, model, moments, meta)
    before = (first.path / "model.safetensors").read_bytes()
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    assert checkpoint.save(tmp_path, model, moments, meta) == first
    assert (first.path / "model.safetensors").read_bytes() == before


def test_a_copy_under_another_name_is_no_step_and_stays(tmp_path: Path) -> None:
    kept = checkpoint.step_dir(tmp_path, 100)
    for path in (kept, kept.with_name("step_000100.bak"), kept.with_name("step_best")):
        path.mkdir()
        (path / checkpoint.COMMITTED).write_text("{}")
    assert checkpoint.committed_steps(tmp_path) == {100: 2}
