"""What a training worker is asked to do and what it answers; both travel as lines of JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
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

    @property
    def size(self) -> str:
        """How large a step is, in words."""
        return (
            f"{self.device_batch_size} rows of {self.sequence_len} tokens at depth {self.depth} "
            f"with a vocabulary of {self.vocab_size}"
        )

    def to_json(self) -> str:
        """Return the one argument of the worker."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> TrainJob:
        """Return the job in a worker's argument."""
        return cls(**json.loads(text))


# The options of `labcli bench train`, by the settings that they give; see `in_options`.
OPTIONS: Mapping[str, str] = {
    "depth": "--depth", "head_dim": "--head-dim", "sequence_len": "--seq-len",
    "window_pattern": "--window", "device_batch_size": "--device-batch", "dtype": "--dtype",
    "fp8": "--fp8", "compile": "--compile",
}  # fmt: skip
# Of the stage whose settings they are; torch.compile is no setting.
_SETTING = re.compile(rf"(?<![\w.-])(?:base(?:\.|: ))?({'|'.join(OPTIONS)})(?= |$)")


def in_options(message: str) -> str:
    """Return what is said of the settings of a stage with the names of the options for them."""
    told = _SETTING.sub(lambda found: OPTIONS[found[1]], message).replace(" = on", " on")
    # That one is on or not there.
    return told.replace("use auto or off", "leave it out") if told.startswith("--fp8") else told


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
