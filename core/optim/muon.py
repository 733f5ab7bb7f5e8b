"""Muon for the matrices of one shape, on those that this rank owns.

Sources: Muon (kellerjordan.github.io/posts/muon), NorMuon (arXiv 2510.05491), cautious weight
decay (arXiv 2510.12402). Shapes: K matrices stacked, M rows, N columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from core.config import Optimizer
from core.optim.groups import MatrixGroup, StepRates
from core.optim.newton_schulz import newton_schulz
from core.optim.polar_express import orthogonalize
from core.optim.sharding import Shard, stack_shard
from core.ranks import Ranks

SECOND_MOMENT_DECAY = 0.9


class Muon:
    """Moves matrices by the orthogonal factor of their momentum."""

    def __init__(
        self,
        group: MatrixGroup,
        params: Mapping[str, nn.Parameter],
        ranks: Ranks,
        *,
        variant: Optimizer,
        num_iterations: int,
        dtype: torch.dtype,
    ) -> None:
        self._group = group
        self._variant = variant
        self._num_iterations = num_iterations
        self._dtype = dtype
        members = [params[name] for name in group.names]
        self.shard: Shard = stack_shard(members, ranks)
        self._names = group.names[self.shard.own]
        M, N = members[0].shape
        self._momentum_KMN = members[0].new_zeros((len(self._names), M, N), requires_grad=False)
        lines = (M, 1) if M >= N else (1, N)
        self._second_moment = members[0].new_zeros((len(self._names), *lines), requires_grad=False)

    def step(self, rates: StepRates) -> None:
        """Apply one update."""
        params, grads = self.shard.own_params, self.shard.own_grads
        assert len(grads) == len(self._names), "every matrix takes part in every loss"
        if not params:
            return
        u_KMN = self._direction(torch.stack(grads), rates.momentum).to(self._dtype)
        if self._variant == "classic":
            x_KMN = newton_schulz(u_KMN, self._num_iterations).float()
        else:
            x_KMN = orthogonalize(u_KMN, self._num_iterations).float()
            x_KMN = x_KMN * self._variance_scale(x_KMN)
        for parameter, x_MN in zip(params, x_KMN, strict=True):
            if rates.weight_decay:
                is_agreed = x_MN * parameter >= 0
                x_MN = x_MN + rates.weight_decay * parameter * is_agreed
            parameter.sub_(x_MN, alpha=self._group.lr * rates.lr_multiplier)

    def _direction(self, grads_KMN: Tensor, momentum: float) -> Tensor:
        """Return Nesterov's look ahead, after the running mean has taken the gradients in."""
        self._momentum_KMN.lerp_(grads_KMN, 1 - momentum)
        return grads_KMN.lerp_(self._momentum_KMN, momentum)

    def _variance_scale(self, x_KMN: Tensor) -> Tensor:
        """Return NorMuon's factor per row (or column), which keeps each matrix's norm."""
        M, N = x_KMN.shape[-2:]
        axis = -1 if M >= N else -2
        length = x_KMN.size(axis)
        fresh = x_KMN.square().mean(dim=axis, keepdim=True)
        self._second_moment.lerp_(fresh, 1 - SECOND_MOMENT_DECAY)
        inverse = self._second_moment.clamp_min(1e-10).rsqrt()
        before = (fresh.sum(dim=(-2, -1), keepdim=True) * length).sqrt()
        after = (fresh * inverse.square()).sum(dim=(-2, -1), keepdim=True) * length
        return inverse * (before / after.sqrt().clamp_min(1e-10))

    def gathered(self) -> Iterator[tuple[str, Tensor]]:
        """Yield on rank 0 the whole moments by "parameter/moment"; every rank must go through."""
        for moment, own in self._named():
            whole = self.shard.collect(own)
            if whole is not None:
                yield from (
                    (f"{name}/{moment}", matrix)
                    for name, matrix in zip(self._group.names, whole, strict=True)
                )

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take this rank's part of whole moments."""
        for moment, own in self._named():
            for name, matrix in zip(self._names, own, strict=True):
                matrix.copy_(tensors[f"{name}/{moment}"])

    def own_state(self) -> list[Tensor]:
        """Return the moments that this rank holds."""
        return [own for _, own in self._named()]

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        yield "momentum", self._momentum_KMN
        if self._variant == "current":
            yield "second_moment", self._second_moment
