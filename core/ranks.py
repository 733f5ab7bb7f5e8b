"""The ranks of a training stage: one process each, talking over gloo or NCCL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """This process among its peers.

    The methods that start something return at once. Every rank has to start the same things in
    the same order, and to wait for each before it reads or changes the tensors of it.
    """

    rank: int
    world_size: int
    device: torch.device

    def sum_number(self, value: float) -> float:
        """Return the sum of a number over all ranks."""
        if self.world_size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return float(total)

    def smallest(self, value: int) -> int:
        """Return the smallest of the ranks' numbers."""
        if self.world_size == 1:
            return value
        least = torch.tensor(value, device=self.device)
        dist.all_reduce(least, dist.ReduceOp.MIN)
        return int(least)

    def sum_in_place(self, tensor: Tensor) -> None:
        """Replace a tensor with its sum over all ranks."""
        if self.world_size > 1:
            dist.all_reduce(tensor)

    def is_any(self, flag: bool) -> bool:
        """Return whether the flag is set on some rank; all ranks get the same answer."""
        return self.sum_number(float(flag)) > 0

    def start_sum(self, tensor: Tensor) -> dist.Work:
        """Start to replace a contiguous tensor with its sum over all ranks."""
        return _started(dist.all_reduce(tensor, async_op=True))

    def start_scattered_sum(self, part: Tensor, whole: Tensor) -> dist.Work:
        """Start to write into `part` this rank's equal share, by dimension 0, of summed wholes."""
        return _started(dist.reduce_scatter_tensor(part, whole, async_op=True))

    def start_gather(self, whole: Tensor, part: Tensor) -> dist.Work:
        """Start to write into `whole` the parts of all ranks, end to end along dimension 0."""
        return _started(dist.all_gather_into_tensor(whole, part, async_op=True))

    def collect(self, part: Tensor) -> Tensor | None:
        """Return on rank 0 the parts of all ranks end to end, on the others nothing.

        They come to the host: what the ranks share may be more than the device of one can hold.
        """
        if self.rank != 0:
            dist.gather(part, dst=0)
            return None
        whole = part.new_empty((self.world_size * part.size(0), *part.shape[1:]))
        dist.gather(part, list(whole.chunk(self.world_size)), dst=0)
        return whole.cpu()


def alone(device: torch.device) -> Ranks:
    """Return the ranks of a process that has no peers."""
    return Ranks(rank=0, world_size=1, device=device)


@contextmanager
def join(rank: int, world_size: int, device: torch.device) -> Iterator[Ranks]:
    """Connect the ranks that torchrun started, and disconnect them at the end."""
    if world_size == 1:
        yield alone(device)
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(rank=rank, world_size=world_size, device=device)
    finally:
        dist.destroy_process_group()


def _started(work: dist.Work | None) -> dist.Work:
    # torch answers None to a process that is no member of the group; ours holds every rank.
    assert work is not None
    return work
