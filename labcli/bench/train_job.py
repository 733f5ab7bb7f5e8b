"""What a training worker is asked to do and what it answers; both travel as lines of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

Side = Literal["ours", "baseline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainJob:
    """One side of a measurement, in a process of its own.

    corpus, tokenizer: paths of the text that is learned; None for made-up words.
    """

    side: Side
    depth: int
    vocab_size: int
    sequence_len: int
    device_batch_size: int
    head_dim: int
    window_pattern: str
    dtype: str
    fp8: str
    compile: str
    device: str
    seed: int
    total_steps: int
    corpus: str | None = None
    tokenizer: str | None = None

    def to_json(self) -> str:
        """Return the one argument of the worker."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> TrainJob:
        """Return the job in a worker's argument."""
        return cls(**json.loads(text))


# What a worker is asked, one word a line: to make so many steps, for the most bytes of tensors
# in a step, for the bits per byte of text that it has not seen.
Request = int | Literal["memory", "bpb"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What a worker says once its first step is made; start: with torch, before the model."""

    dtype: str
    has_fp8: bool
    is_compiled: bool
    first_step_s: float
    num_params: int
    flops_per_token: float
    peak_flops: float | None
    start_memory_bytes: int
    threads: int
    torch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCost:
    """What one step cost; memory is the process's, on a GPU the device's."""

    wall_s: float
    cpu_s: float
    loss: float
    phases: dict[str, float]
    peak_memory_bytes: int
    memory_before_bytes: int
