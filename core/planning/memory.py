"""What a training step takes of a device's memory, and what to do where it is too much. Pure.

Torch-free. The estimate is core.scaling's; a run measures the real peak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.config import ModelConfig
from core.hardware import Hardware
from core.planning.disk import size_text
from core.scaling import training_memory_bytes
from core.settings.training import TrainConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMemory:
    """The step that takes the most: its bytes on one rank, and the rows that it is made of."""

    num_bytes: int
    rows: int


def step_memory(
    configs: Sequence[TrainConfig], model: ModelConfig, hardware: Hardware, *, num_ranks: int
) -> StepMemory:
    """Return the largest step of stages whose rows are numbers."""
    # Only GPUs and CPUs with native bfloat16 train in it.
    is_wide = hardware.device == "mps" or not (hardware.gpus or hardware.has_cpu_bf16)
    steps = [
        StepMemory(
            num_bytes=training_memory_bytes(
                model,
                config.num_device_rows,
                num_ranks=num_ranks,
                value_bytes=4 if is_wide else 2,
                is_checkpointing=config.activation_checkpointing,
            ),
            rows=config.num_device_rows,
        )
        for config in configs
    ]
    return max(steps, key=lambda step: step.num_bytes)


def memory_source(step: StepMemory, num_ranks: int, *, has_gpus: bool) -> str:
    """Return how the bytes of a step are known, in words."""
    moments = f"its share of the moments among {num_ranks}" if num_ranks > 1 else "all moments"
    process = "" if has_gpus else "; torch and its compiler take about a gigabyte beside it"
    return (
        f"estimate of a step with {step.rows} rows on one rank, with {moments}; fitted to "
        f"nanochat's d32 in 78 GB{process}"
    )


def memory_notes(
    trained: Sequence[tuple[str, TrainConfig]],
    model: ModelConfig,
    hardware: Hardware,
    *,
    num_ranks: int,
) -> tuple[str, ...]:
    """Return what a plan says of stages whose step is larger than a device by the estimate.

    trained: stages with their settings, whose rows are numbers or "auto", which tries what fits.
    """
    room = min((gpu.memory_bytes for gpu in hardware.gpus), default=hardware.memory_bytes)
    tight = [
        (stage, step_memory([config], model, hardware, num_ranks=num_ranks))
        for stage, config in trained
        if config.device_batch_size != "auto"
    ]
    tight = [(stage, step) for stage, step in tight if step.num_bytes > room]
    if not tight:
        return ()
    most = max(step.num_bytes for _, step in tight)
    what = "a GPU" if hardware.gpus else "this machine"
    rows = " ".join(f"--set {stage}.device_batch_size=auto" for stage, _ in tight)
    return (
        f"A step is estimated to take {size_text(most)}, and {what} has {size_text(room)}: "
        f"{rows} takes as many rows at a time as fit.",
    )
