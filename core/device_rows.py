"""How many rows a rank takes at a time where that is left open. Torch-free, pure.

More rows are not faster once a device is busy, and the result is the same: what one pass does not
hold is accumulated over several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from core.config import ModelConfig
from core.hardware import Hardware
from core.scaling import training_memory_bytes
from core.settings.training import TrainConfig
from core.shared_batch import rows_of_each
from runs.errors import UsageError

# What of a device's memory is counted on; the rest is for fragments and the libraries.
GPU_SHARE = 0.9
HOST_SHARE = 0.5
# Of a CPU: rows of so many tokens together. Four times as many went forward and back 2 % faster and
# took 2.4 times the memory (d4, 8,192 entries, compiled, one thread of an EPYC).
CPU_TOKENS = 4096

SomeConfig = TypeVar("SomeConfig", bound=TrainConfig)


def row_counts(total_batch_size: int, row_len: int, world_size: int) -> tuple[int, ...]:
    """Return the powers of two, rising, that divide the rows that a rank has in one step.

    Raises:
        UsageError: the batch does not divide into rows of every rank.
    """
    num_rows = rows_of_each(total_batch_size, row_len, world_size)
    return tuple(
        1 << power for power in range(num_rows.bit_length()) if num_rows % (1 << power) == 0
    )


def estimated_rows(
    counts: Sequence[int],
    model: ModelConfig,
    *,
    kind: str,
    num_ranks: int,
    memory_bytes: float,
    value_bytes: int,
) -> int:
    """Return the most rows that fit by the estimate, at least the fewest; on a CPU, that help.

    memory_bytes: what one of the ranks has.
    kind: the device type, cpu, cuda or mps.
    value_bytes: of a number between layers, 2 in a 16-bit type.
    """
    room = memory_bytes * (HOST_SHARE if kind == "cpu" else GPU_SHARE)
    most = max(1, CPU_TOKENS // model.sequence_len) if kind == "cpu" else counts[-1]

    def fits(count: int) -> bool:
        needed = training_memory_bytes(model, count, num_ranks=num_ranks, value_bytes=value_bytes)
        return needed <= room

    fitting = [count for count in counts if count <= most and fits(count)]
    return fitting[-1] if fitting else counts[0]


def planned(
    config: SomeConfig, model: ModelConfig, hardware: Hardware, *, num_ranks: int
) -> SomeConfig:
    """Return settings with a number of rows, the estimate of one where that is left open."""
    if config.device_batch_size != "auto":
        return config
    gpus, kind = hardware.gpus, hardware.device
    memory_bytes = min((gpu.memory_bytes for gpu in gpus), default=hardware.memory_bytes)
    is_wide = kind == "mps" or not (gpus or hardware.has_cpu_bf16)
    rows = estimated_rows(
        row_counts(config.total_batch_size, model.sequence_len, num_ranks),
        model,
        kind=kind,
        num_ranks=num_ranks,
        memory_bytes=memory_bytes if gpus else memory_bytes / num_ranks,
        value_bytes=4 if is_wide else 2,
    )
    return replace(config, device_batch_size=rows)


def probed_rows(
    counts: Sequence[int],
    first: int,
    attempt: Callable[[int], int | None],
    *,
    limit_bytes: float,
    fixed_bytes: float,
) -> int:
    """Return the most rows of `counts` that a device takes, by trying.

    Starts from an estimate, so that few sizes are tried, each of which may mean to compile. A
    size is tried only when the one before, what it used beyond `fixed_bytes` doubled, fits.

    Args:
        attempt: the peak bytes of a step with so many rows; None when memory ran out.
        limit_bytes: what a step may use.
        fixed_bytes: what is in use whatever the number of rows: weights and moments.

    Raises:
        UsageError: not even the fewest rows fit.
    """
    index, best = counts.index(first), None
    while 0 <= index < len(counts):
        peak = attempt(counts[index])
        if peak is None or peak > limit_bytes:
            if best is not None:
                break
            index -= 1
            continue
        is_falling = best is None and counts[index] < first
        best = counts[index]
        if is_falling or fixed_bytes + 2 * (peak - fixed_bytes) > limit_bytes:
            break
        index += 1
    if best is None:
        rows = "row" if counts[0] == 1 else "rows"
        raise UsageError(
            f"not even {counts[0]} {rows} at a time fit into the memory of this device; take a "
            "smaller depth or sequence_len"
        )
    return best
