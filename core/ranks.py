"""The ranks of a training stage: one process each, summing over gloo or NCCL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

# Gradients travel in flat buckets: one message per tensor would cost more than its bytes.
BUCKET_ELEMENTS = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """This process among its peers."""

    rank: int
    world_size: int
    device: torch.device

    def sum_in_place(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor with its sum over all ranks."""
        if self.world_size == 1:
            return
        bucket: list[Tensor] = []
        for tensor in tensors:
            bucket.append(tensor)
            if sum(member.numel() for member in bucket) >= BUCKET_ELEMENTS:
                _sum_bucket(bucket)
                bucket = []
        if bucket:
            _sum_bucket(bucket)

    def sum_number(self, value: float) -> float:
        """Return the sum of a number over all ranks."""
        if self.world_size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return float(total)

    def is_any(self, flag: bool) -> bool:
        """Return whether the flag is set on some rank; all ranks get the same answer."""
        return self.sum_number(float(flag)) > 0


@contextmanager
def join(rank: int, world_size: int, device: torch.device) -> Iterator[Ranks]:
    """Connect the ranks that torchrun started, and disconnect them at the end."""
    if world_size == 1:
        yield Ranks(rank=rank, world_size=1, device=device)
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(rank=rank, world_size=world_size, device=device)
    finally:
        dist.destroy_process_group()


def _sum_bucket(bucket: Sequence[Tensor]) -> None:
    flat = torch.cat([tensor.flatten() for tensor in bucket])
    dist.all_reduce(flat)
    for tensor, part in zip(bucket, flat.split([t.numel() for t in bucket]), strict=True):
        tensor.copy_(part.view_as(tensor))
