"""Two-layer models, a byte-level tokenizer and a model that says what a test wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from core import checkpoint
from core.checkpoint import CheckpointMeta
from core.config import BaseConfig, ModelConfig, build_stage_config
from core.engine.cache import KVCache
from core.model import GPT
from core.optim import MuonAdamW
from core.tokenizer import Tokenizer

# No merges: every byte is a token, so multi-byte characters always span several.
TOKENIZER = Tokenizer(())


def tiny_config(**changes: object) -> ModelConfig:
    config = ModelConfig(
        vocab_size=TOKENIZER.vocab_size,
        sequence_len=512,
        num_layers=2,
        num_heads=2,
        num_kv_heads=2,
        n_embd=32,
        window_pattern="SSSL",
    )
    return replace(config, **changes)  # type: ignore[arg-type]


def random_model(config: ModelConfig, seed: int = 0) -> GPT:
    """Return a model whose every parameter matters: none is zero, as fresh ones are."""
    generator = torch.Generator().manual_seed(seed)
    model = GPT(config)
    model.init_weights(generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


def save_checkpoint(directory: Path, model: GPT, tokenizer: Tokenizer, stage: str) -> Path:
    """Commit a checkpoint of step 12 and return its directory."""
    settings = build_stage_config("base", {"num_iterations": 12})
    assert isinstance(settings, BaseConfig)
    optimizer = MuonAdamW(model, settings, tokens_per_step=128, lr_scale=1.0)
    meta = CheckpointMeta(
        stage=stage, step=12, model_config=model.config, tokenizer_sha256=tokenizer.hash,
        config_hash="0" * 16, num_rows=48, tokens=1536, train_s=1.0, flops=1.0,
    )  # fmt: skip
    return checkpoint.save(directory, model, optimizer, meta).path


class ScriptedModel(GPT):
    """Picks script[b][i] as token i of row b, whatever it is fed.

    `fed` holds the last input of each step, `prompts` every row of each prefill.
    """

    def __init__(self, *scripts: Sequence[int]) -> None:
        super().__init__(tiny_config())
        self.scripts = scripts
        self.fed: list[list[int]] = []
        self.prompts: list[list[int]] = []

    def decode(self, idx_BT: Tensor, cache: KVCache, num_new_B: Tensor) -> Tensor:
        if idx_BT.size(1) > 1:
            self.fed.clear()
            self.prompts += idx_BT.tolist()
        step = len(self.fed)
        self.fed.append(idx_BT[:, -1].tolist())
        logits_BV = torch.zeros(idx_BT.size(0), self.config.vocab_size)
        for row, script in enumerate(self.scripts):
            logits_BV[row, script[min(step, len(script) - 1)]] = 10.0
        return logits_BV
