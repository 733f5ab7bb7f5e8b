"""The rows that a rank takes at a time: found by trying, kept by checkpoints, too many named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psutil
import torch

from core import checkpoint
from core.device_rows import GPU_SHARE, SomeConfig, estimated_rows, probed_rows, row_counts
from core.loss import LossFn
from core.model import GPT
from core.ranks import Ranks
from core.settings.training import TrainConfig
from core.shared_batch import most_rows
from core.stages.context import CheckpointRef
from runs.errors import StageFailed
from runs.events import Note

_GIB = 1024**3
# What torch says when the host or an Apple GPU has no memory left; CUDA has an error of its own.
_IS_FULL = ("can't allocate memory", "MPS backend out of memory")


def settle_rows(
    config: SomeConfig,
    model: GPT,
    ranks: Ranks,
    loss_fn: LossFn,
    resume: CheckpointRef | None,
) -> tuple[SomeConfig, Note | None]:
    """Return settings with a number of rows, and where it comes from if they left it open.

    A checkpoint's number is taken again: with another one sums would be rounded differently.
    The ranks agree on the least of their numbers. Ranks that cannot share a step by the rows that
    are set, as of a run that began on another number of them, take fewer at a time.

    Raises:
        UsageError: the batch does not divide into rows of every rank, or none fits.
    """
    row_len = model.config.sequence_len
    if config.device_batch_size != "auto":
        rows = most_rows(
            config.device_batch_size, config.total_batch_size, row_len, ranks.world_size
        )
        if rows == config.device_batch_size:
            return config, None
        how = f"not {config.device_batch_size}, so that the ranks share a step evenly"
        return _settled(config, rows, row_len, ranks, how)
    counts = row_counts(config.total_batch_size, row_len, ranks.world_size)
    kept = None if resume is None else checkpoint.read_meta(resume.path).device_batch_size
    if kept in counts:
        rows, how = kept, "as the checkpoint was trained"
    else:
        rows, how = _found(counts, model, ranks, loss_fn)
        rows = ranks.smallest(rows)
    return _settled(config, rows, row_len, ranks, how)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether torch says that a device or the host has no memory left."""
    is_told = any(words in str(error) for words in _IS_FULL)
    return is_told or isinstance(error, torch.OutOfMemoryError)


@contextmanager
def naming_out_of_memory(stage: str, config: TrainConfig, model: GPT, step: int) -> Iterator[None]:
    """Say in one line that memory ran out in a step, with how many rows, and what to set."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        rows, row_len = config.num_device_rows, model.config.sequence_len
        advice = (
            f"start a new run with --set {stage}.device_batch_size={rows // 2}, which changes how "
            "a step is divided, not what it learns"
            if rows > 1
            else "take a smaller depth or sequence_len"
        )
        raise StageFailed(
            f"out of memory on {model.wte.weight.device} at step {step + 1} with {rows} "
            f"{'row' if rows == 1 else 'rows'} of {row_len} tokens at a time; {advice}"
        ) from error


def _settled(
    config: SomeConfig, rows: int, row_len: int, ranks: Ranks, how: str
) -> tuple[SomeConfig, Note]:
    passes = config.total_batch_size // (rows * row_len * ranks.world_size)
    note = Note(
        message=f"device_batch_size {rows}, {how}; a step accumulates {passes}",
        data={"device_batch_size": rows, "passes_per_step": passes},
    )
    return replace(config, device_batch_size=rows), note


def _found(counts: tuple[int, ...], model: GPT, ranks: Ranks, loss_fn: LossFn) -> tuple[int, str]:
    device = ranks.device
    value_bytes = torch.empty((), dtype=model.dtype).element_size()

    def estimate(memory_bytes: float) -> int:
        return estimated_rows(
            counts, model.config, kind=device.type, num_ranks=ranks.world_size,
            memory_bytes=memory_bytes, value_bytes=value_bytes,
        )  # fmt: skip

    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        in_use = torch.cuda.memory_allocated(device)
        # What other processes hold of the card is not there to be used.
        limit = GPU_SHARE * min(total, free + in_use)
        rows = probed_rows(
            counts, estimate(limit / GPU_SHARE), _attempt(model, device, loss_fn),
            limit_bytes=limit, fixed_bytes=in_use,
        )  # fmt: skip
        return rows, f"the most that a real step fits into {limit / _GIB:.1f} GiB"
    if device.type == "mps":
        recommended = torch.mps.recommended_max_memory()
        return estimate(recommended), f"by the estimate for {recommended / _GIB:.1f} GiB"
    memory = psutil.virtual_memory().available / ranks.world_size
    return estimate(memory), f"by the estimate for a CPU with {memory / _GIB:.1f} GiB free"


def _attempt(model: GPT, device: torch.device, loss_fn: LossFn) -> Callable[[int], int | None]:
    """Return what measures the peak bytes of a forward and backward pass; None: none were left."""

    def attempt(num_rows: int) -> int | None:
        torch.cuda.reset_peak_memory_stats(device)
        try:
            _pass_over(model, num_rows, loss_fn)
            peak: int | None = torch.cuda.max_memory_allocated(device)
        except torch.OutOfMemoryError:
            peak = None
        for parameter in model.parameters():
            parameter.grad = None
        torch.cuda.empty_cache()
        # Steps tell their own peak, not that of a size that was tried and given up.
        torch.cuda.reset_peak_memory_stats(device)
        return peak

    return attempt


def _pass_over(model: GPT, num_rows: int, loss_fn: LossFn) -> None:
    """Go forward and backward over made-up rows; what is in them does not change what they take."""
    shape = (num_rows, model.config.sequence_len)
    idx_BT = torch.randint(
        model.config.vocab_size, shape, generator=torch.Generator().manual_seed(0)
    ).to(model.wte.weight.device)
    x_BTC, value_embeds = model.embed(idx_BT)
    loss_fn(model, x_BTC, value_embeds, idx_BT).backward()
