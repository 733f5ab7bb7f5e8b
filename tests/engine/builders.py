"""Two-layer models, a byte-level tokenizer and an engine that says what a test wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from core import checkpoint
from core.checkpoint import CheckpointMeta
from core.config import ModelConfig, build_stage_config
from core.engine.decoder import Place
from core.engine.engine import Engine
from core.model import GPT
from core.optim.muon_adamw import MuonAdamW
from core.ranks import alone
from core.settings.training import BaseConfig
from core.tokenizer import Tokenizer

# No merges: every byte is a token, so multi-byte characters always span several.
TOKENIZER = Tokenizer(())


# Slow enough that a person, or a test on a machine that stalls, can stop it.
SLOW = {"num_layers": 8, "n_embd": 128, "num_heads": 4, "num_kv_heads": 4}


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
    optimizer = MuonAdamW(model, settings, alone(torch.device("cpu")), tokens_per_step=128)
    meta = CheckpointMeta(
        stage=stage, step=12, model_config=model.config, tokenizer_sha256=tokenizer.hash,
        config_hash="0" * 16, num_rows=48, tokens=1536, train_s=1.0, flops=1.0,
    )  # fmt: skip
    return checkpoint.save(directory, model, optimizer.gathered_state() or {}, meta).path


class Script:
    """A decoder that picks scripts[row][i] as token i of a row, whatever it is fed.

    `fed` holds the inputs of each decode step since the last prompt, `prompts` every prompt.
    """

    def __init__(self, *scripts: Sequence[int]) -> None:
        self.scripts = scripts
        self.fed: list[list[int]] = []
        self.prompts: list[list[int]] = []
        self._num_taken: dict[int, int] = {}

    def prefill(self, row: int, ids: Sequence[int], start: int, *, is_last: bool) -> Tensor | None:
        assert 0 <= start < len(ids)
        self.fed.clear()
        self.prompts.append(list(ids))
        self._num_taken[row] = 0
        return self._logits([row]) if is_last else None

    def decode(
        self, first_row: int, places: Sequence[Place | None], *, is_greedy: bool = False
    ) -> Tensor:
        self.fed.append([place.id for place in places if place is not None])
        return self._logits(range(first_row, first_row + len(places)))

    def copy_row(self, source: int, target: int, num_positions: int) -> None:
        self._num_taken[target] = self._num_taken[source]

    def _logits(self, rows: Sequence[int]) -> Tensor:
        logits_BV = torch.zeros(len(rows), TOKENIZER.vocab_size)
        for index, row in enumerate(rows):
            step = self._num_taken.get(row, 0)
            self._num_taken[row] = step + 1
            script = self.scripts[row % len(self.scripts)]
            logits_BV[index, script[min(step, len(script) - 1)]] = 10.0
        return logits_BV


def scripted(*scripts: Sequence[int]) -> tuple[Engine, Script]:
    """Return an engine whose rows say what the scripts hold."""
    script = Script(*scripts)
    model = GPT(tiny_config())
    model.init_buffers()
    return Engine(model, TOKENIZER, decoder=script), script
