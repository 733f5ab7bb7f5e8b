"""Trains tiny models as one of several ranks.

The jobs are done in their order by the first `world_size` of the processes; so a job may
resume from what one before it left. Each rank writes the norms of its gradients, the bytes of
its moments and its weights; rank 0 a checkpoint.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from core import checkpoint
from core.checkpoint import CheckpointMeta
from core.loss import summed_loss
from core.model import GPT
from core.optim.groups import StepRates
from core.optim.muon_adamw import MuonAdamW
from core.ranks import Ranks, join
from core.settings.training import ChatTrainConfig
from tests.core.builders import tiny_config

CPU = torch.device("cpu")
NUM_ROWS, ROW_LEN = 12, 16


def backward(model: GPT, ranks: Ranks, step: int) -> None:
    """Leave the gradients of this rank's rows; over all ranks they are those of NUM_ROWS rows."""
    generator = torch.Generator().manual_seed(step)
    idx = torch.randint(0, model.config.vocab_size, (NUM_ROWS, ROW_LEN + 1), generator=generator)
    own = idx[ranks.rank :: ranks.world_size]
    loss = summed_loss(model, *model.embed(own[:, :-1]), own[:, 1:])
    (loss / (NUM_ROWS * ROW_LEN)).backward()


def fresh_model() -> GPT:
    """Return a model whose every gradient is above rounding noise: no parameter is zero."""
    generator = torch.Generator().manual_seed(0)
    model = GPT(tiny_config(num_layers=3))
    model.init_weights(generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


def leave_out_a_bad_step(model: GPT, optimizer: MuonAdamW, ranks: Ranks, rates: StepRates) -> None:
    """Make a step of gradients that are no numbers on the last rank, which no rank applies."""
    backward(model, ranks, 99)
    for parameter in model.parameters():
        assert parameter.grad is not None
        if ranks.rank == ranks.world_size - 1:
            parameter.grad.flatten()[0] = torch.nan
    optimizer.step(rates, ~optimizer.reduce().isfinite())
    optimizer.zero_grad()


def optimize(job: dict[str, Any], ranks: Ranks) -> None:
    """Make the steps from number `first` to `last`, from a checkpoint where there is one."""
    out, resume = Path(job["out"]), Path(job["resume"]) if job["resume"] else None
    model = (
        fresh_model()
        if resume is None
        else checkpoint.load_model(resume, device=CPU, dtype=torch.float32)
    )
    config = ChatTrainConfig(**job["config"])
    optimizer = MuonAdamW(model, config, ranks, tokens_per_step=2**14)
    if resume is not None:
        checkpoint.load_optimizer(resume, optimizer)
    rates = StepRates(lr_multiplier=1.0, momentum=0.9, weight_decay=job["weight_decay"])
    norms = []
    for step in range(job["first"], job["last"]):
        if step == job["bad_before"]:
            leave_out_a_bad_step(model, optimizer, ranks, rates)
        backward(model, ranks, step)
        norms.append(float(optimizer.reduce()))
        optimizer.step(rates)
        optimizer.zero_grad()
    moments = optimizer.gathered_state()
    assert (moments is None) == (ranks.rank > 0)
    weights = {name: p.detach() for name, p in model.named_parameters()}
    save_file(weights, out / f"weights{ranks.rank}.safetensors")
    told = {"norms": norms, "state_bytes": optimizer.state_bytes()}
    (out / f"rank{ranks.rank}.json").write_text(json.dumps(told))
    if moments is not None:
        meta = CheckpointMeta(
            stage="base", step=job["last"], model_config=model.config, tokenizer_sha256="t",
            config_hash="c", num_rows=0, tokens=0, train_s=0.0, flops=0.0,
        )  # fmt: skip
        checkpoint.save(out, model, moments, meta)


def main(jobs: list[dict[str, Any]]) -> None:
    """Do the jobs that this process has a part in."""
    rank = int(os.environ["RANK"])
    for job in jobs:
        if rank < job["world_size"]:
            os.environ.update(WORLD_SIZE=str(job["world_size"]), MASTER_PORT=str(job["port"]))
            # Joining waits for rank 0, which has finished every job before this one.
            with join(rank, job["world_size"], CPU) as ranks:
                optimize(job, ranks)
