"""How parameters are dealt to the ranks: each owns a part, updates it, and sends it to the others.

That is ZeRO stage 2 (arXiv 1910.02054): gradients and moments exist in parts, weights on every
rank. A part is some lines of dimension 0: rows of a table, or whole matrices of a stack. Parts
have one length on the wire, so the last ranks may own fewer lines, or none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch.distributed as dist
from torch import Tensor, nn

from core.ranks import Ranks
from core.scaling import MIN_SHARDED_ELEMENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """Which lines of a dimension a rank owns."""

    num_lines: int
    ranks: Ranks

    @property
    def part_len(self) -> int:
        """Lines of one part on the wire."""
        return -(-self.num_lines // self.ranks.world_size)

    @property
    def padded_len(self) -> int:
        """Lines of all parts on the wire."""
        return self.part_len * self.ranks.world_size

    @property
    def own(self) -> slice:
        """The lines that this rank owns."""
        start = self.ranks.rank * self.part_len
        return slice(min(start, self.num_lines), min(start + self.part_len, self.num_lines))

    def padded(self, lines: Tensor, length: int) -> Tensor:
        """Return lines, with zeros behind them up to `length`; itself where none are missing."""
        if lines.size(0) == length:
            return lines.contiguous()
        longer = lines.new_zeros((length, *lines.shape[1:]))
        longer[: lines.size(0)] = lines
        return longer

    def collect(self, own_lines: Tensor) -> Tensor | None:
        """Return on rank 0 all lines, from every rank's own; on the others nothing."""
        whole = self.ranks.collect(self.padded(own_lines, self.part_len))
        return None if whole is None else whole[: self.num_lines]


class Shard(ABC):
    """Parameters that travel together.

    After a reduction `own_grads` holds the summed gradients of `own_params`, and after those
    were changed a gathering brings them to every rank.
    """

    own_params: list[Tensor]
    own_grads: list[Tensor]
    # Whether other ranks own the same, so that one of them has to speak for all.
    is_replicated = False

    @property
    @abstractmethod
    def own(self) -> slice:
        """The lines that this rank owns."""

    @abstractmethod
    def start_reduce(self) -> None:
        """Start to sum the gradients over the ranks."""

    @abstractmethod
    def finish_reduce(self) -> None:
        """Wait until `own_grads` is there."""

    @abstractmethod
    def start_gather(self) -> None:
        """Start to send the changed parameters to every rank."""

    @abstractmethod
    def finish_gather(self) -> None:
        """Wait until the parameters of other ranks are there, and forget the gradients."""

    @abstractmethod
    def collect(self, own_lines: Tensor) -> Tensor | None:
        """Return on rank 0 all lines of what every rank holds its own lines of."""


class Replica(Shard):
    """Parameters that every rank owns whole: small ones, and all where there is one rank."""

    is_replicated = True

    def __init__(self, params: Sequence[nn.Parameter], ranks: Ranks) -> None:
        self._params = params
        self._ranks = ranks
        self._works: list[dist.Work] = []
        self.own_params = []
        self.own_grads = []

    @property
    def own(self) -> slice:
        """All lines."""
        return slice(None)

    def start_reduce(self) -> None:
        """Start to sum the gradients in place."""
        with_grads = [p for p in self._params if p.grad is not None]
        self.own_params = [p.detach() for p in with_grads]
        self.own_grads = [p.grad for p in with_grads if p.grad is not None]
        if self._ranks.world_size > 1:
            self._works = [self._ranks.start_sum(grad) for grad in self.own_grads]

    def finish_reduce(self) -> None:
        """Wait for the sums."""
        while self._works:
            self._works.pop().wait()

    def start_gather(self) -> None:
        """Do nothing: every rank has made the same change."""

    def finish_gather(self) -> None:
        """Forget the gradients: the next backward pass makes others beside them."""
        self.own_grads = []

    def collect(self, own_lines: Tensor) -> Tensor | None:
        """Return what this rank holds, on rank 0."""
        return own_lines if self._ranks.rank == 0 else None


class TableShard(Shard):
    """One parameter, dealt by rows."""

    def __init__(self, param: nn.Parameter, ranks: Ranks) -> None:
        self._param = param
        self._ranks = ranks
        self._deal = Deal(num_lines=param.size(0), ranks=ranks)
        self._works: list[dist.Work] = []
        self._arriving: Tensor | None = None
        self.own_params = []
        self.own_grads = []

    @property
    def own(self) -> slice:
        """The rows that this rank owns."""
        return self._deal.own

    def start_reduce(self) -> None:
        """Start to sum the gradient, of which each rank gets its own rows."""
        grad, deal = self._param.grad, self._deal
        assert grad is not None
        part = grad.new_empty((deal.part_len, *grad.shape[1:]))
        self._works = [self._ranks.start_scattered_sum(part, deal.padded(grad, deal.padded_len))]
        self._param.grad = None
        num_rows = deal.own.stop - deal.own.start
        self.own_params = [self._param.detach()[deal.own]] if num_rows else []
        self.own_grads = [part[:num_rows]] if num_rows else []

    def finish_reduce(self) -> None:
        """Wait for the sum of this rank's own rows."""
        self._works.pop().wait()

    def start_gather(self) -> None:
        """Start to send the rows; they arrive in the parameter where no padding is needed."""
        param, deal = self._param.detach(), self._deal
        # A copy: what is sent must not be a part of what is being written.
        part = deal.padded(param[deal.own].clone(), deal.part_len)
        self._arriving = (
            param
            if deal.padded_len == deal.num_lines
            else param.new_empty((deal.padded_len, *param.shape[1:]))
        )
        self._works = [self._ranks.start_gather(self._arriving, part)]

    def finish_gather(self) -> None:
        """Wait for the rows of other ranks."""
        self._works.pop().wait()
        assert self._arriving is not None
        if self._deal.padded_len != self._deal.num_lines:
            self._param.detach().copy_(self._arriving[: self._deal.num_lines])
        self._arriving = None
        self.own_grads = []

    def collect(self, own_lines: Tensor) -> Tensor | None:
        """Return all rows, on rank 0."""
        return self._deal.collect(own_lines)


class StackShard(Shard):
    """Matrices of one shape, dealt whole."""

    def __init__(self, params: Sequence[nn.Parameter], ranks: Ranks) -> None:
        self._params = params
        self._ranks = ranks
        self._deal = Deal(num_lines=len(params), ranks=ranks)
        self._works: list[dist.Work] = []
        self._stack: Tensor | None = None
        self.own_params = [param.detach() for param in params[self._deal.own]]
        self.own_grads = []

    @property
    def own(self) -> slice:
        """The matrices that this rank owns."""
        return self._deal.own

    def start_reduce(self) -> None:
        """Start to sum the gradients, of which each rank gets those of its own matrices."""
        first, deal = self._params[0], self._deal
        stack = first.new_zeros((deal.padded_len, *first.shape))
        for row, param in zip(stack, self._params, strict=False):
            assert param.grad is not None
            row.copy_(param.grad)
            param.grad = None
        part = stack.new_empty((deal.part_len, *first.shape))
        self._works = [self._ranks.start_scattered_sum(part, stack)]
        self._stack = stack
        self.own_grads = list(part[: len(self.own_params)])

    def finish_reduce(self) -> None:
        """Wait for the sums of this rank's own matrices."""
        self._works.pop().wait()

    def start_gather(self) -> None:
        """Start to send the matrices; they arrive where the gradients had been."""
        assert self._stack is not None
        part = self._stack.new_zeros((self._deal.part_len, *self._stack.shape[1:]))
        for row, param in zip(part, self.own_params, strict=False):
            row.copy_(param)
        self._works = [self._ranks.start_gather(self._stack, part)]

    def finish_gather(self) -> None:
        """Wait for the matrices of other ranks, and copy them to their places."""
        self._works.pop().wait()
        assert self._stack is not None
        for row, param in zip(self._stack, self._params, strict=False):
            param.detach().copy_(row)
        self._stack = None
        self.own_grads = []

    def collect(self, own_lines: Tensor) -> Tensor | None:
        """Return the lines of all matrices, on rank 0."""
        return self._deal.collect(own_lines)


def table_shard(param: nn.Parameter, ranks: Ranks) -> Shard:
    """Return how one parameter that AdamW moves is dealt."""
    if ranks.world_size == 1 or param.numel() < MIN_SHARDED_ELEMENTS:
        return Replica([param], ranks)
    return TableShard(param, ranks)


def stack_shard(params: Sequence[nn.Parameter], ranks: Ranks) -> Shard:
    """Return how matrices of one shape are dealt."""
    return Replica(params, ranks) if ranks.world_size == 1 else StackShard(params, ranks)
