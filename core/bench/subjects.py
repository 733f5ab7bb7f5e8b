"""What `labcli bench train` measures: the lab's own training step, and the reference's.

Both have one model, the same documents and the same settings. Ours is what every stage runs.
The reference is nanochat's default path on a CPU (its README, base_train.py) as far as the lab's
own code can state it: float32, all logits at once, plain attention, a compiled model and compiled
optimizer kernels, documents tokenised on the way. On a GPU it computes in bfloat16, as there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch

from core.attention.attend import attend_on
from core.bench.documents import Documents
from core.bench.reference_model import reference_loss
from core.bench.reference_optim import ReferenceOptimizer
from core.bench.reference_rows import ReferenceRows
from core.data.packing import PackedRows
from core.device import training_dtype
from core.model import GPT
from core.optim.muon_adamw import MuonAdamW
from core.ranks import Ranks
from core.scaling import model_config
from core.settings.training import BaseConfig
from core.train.allocator import keep_freed_memory, release_garbage
from core.train.compiling import compiled_loss, why_eager
from core.train.fp8 import use_fp8
from core.train.phases import Phases, phases_on
from core.train.step import Flags, Stepper, runs_ahead, scheduled_rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Settings of what is measured; a step is one micro-batch of device_batch_size rows."""

    config: BaseConfig
    documents: Documents
    device: torch.device
    total_steps: int

    @property
    def tokens_per_step(self) -> int:
        """Tokens of one step."""
        return self.config.total_batch_size


class Trainee(Protocol):
    """Something that makes training steps and says where their time went."""

    model: GPT
    phases: Phases
    is_compiled: bool

    def step(self) -> float:
        """Make one step and return its loss in nats per counted target."""
        ...


class OurTrainee:
    """The step that every training stage makes."""

    def __init__(self, subject: Subject) -> None:
        keep_freed_memory()
        config, device = subject.config, subject.device
        documents = subject.documents
        self.model = _model(subject, training_dtype(config.dtype, device))
        self.model.is_checkpointing = config.activation_checkpointing
        self.model.attend = attend_on(config.attention, device, self.model.dtype)
        self.phases = phases_on(device)
        loss_fn, reason = compiled_loss(config.compile, device)
        self.is_compiled = reason is None
        use_fp8(config.fp8, self.model, device, is_compiled=self.is_compiled)
        rows = PackedRows(
            documents.split(), row_len=config.sequence_len, pad=documents.tokenizer.bos,
            seed=config.seed, crop=True,
        )  # fmt: skip
        ranks = Ranks(rank=0, world_size=1, device=device)
        self._stepper = Stepper(
            self.model,
            MuonAdamW(self.model, config, ranks, tokens_per_step=subject.tokens_per_step),
            rows,
            config,
            ranks,
            loss_fn=loss_fn,
            total_steps=subject.total_steps,
            phases=self.phases,
            runs_ahead=runs_ahead(device),
        )
        self._num_steps = 0

    def step(self) -> float:
        """Make one step and return its loss in nats per counted target."""
        first_row = self._num_steps * self._stepper.rows_per_step
        loss = self._stepper.launch(self._num_steps, first_row, Flags()).read().loss
        self._num_steps += 1
        if self._num_steps == 1:
            # As the loop does once kernels are built.
            release_garbage()
        return loss


class ReferenceTrainee:
    """The reference's step."""

    def __init__(self, subject: Subject) -> None:
        config, device = subject.config, subject.device
        documents = subject.documents
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self.model = _model(subject, dtype)
        self.phases = phases_on(device)
        self.is_compiled = why_eager(config.compile, device) is None
        self._rows = ReferenceRows(
            documents.texts, documents.tokenizer, row_len=config.sequence_len
        )
        self._optimizer = ReferenceOptimizer(
            self.model, config, tokens_per_step=subject.tokens_per_step,
            is_compiled=self.is_compiled,
        )  # fmt: skip
        self._loss = reference_loss
        if self.is_compiled:
            self._loss = torch.compile(reference_loss, dynamic=False)
        self._subject = subject
        self._num_steps = 0

    def step(self) -> float:
        """Make one step and return its loss in nats per counted target."""
        config, device = self._subject.config, self._subject.device
        with self.phases("data"):
            batch = self._rows.batch(config.num_device_rows)
            idx_BT, targets_BT = (torch.from_numpy(array).to(device) for array in batch)
        with self.phases("forward-backward"):
            loss = self._loss(self.model, *self.model.embed(idx_BT), targets_BT)
            loss = loss / targets_BT.numel()
            loss.backward()
        with self.phases("optimizer"):
            rates = scheduled_rates(config, self._num_steps, self._subject.total_steps)
            self._optimizer.step(rates)
            self._optimizer.zero_grad()
        self._num_steps += 1
        value = float(loss.detach())
        assert math.isfinite(value), value
        return value


def _model(subject: Subject, dtype: torch.dtype) -> GPT:
    model = GPT(model_config(subject.config, subject.documents.tokenizer.vocab_size), dtype=dtype)
    model.init_weights(torch.Generator().manual_seed(subject.config.seed))
    return model.to(subject.device)
