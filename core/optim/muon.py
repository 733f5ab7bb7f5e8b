"""Muon for the matrices of one shape, on those that this rank owns.

Sources: Muon (kellerjordan.github.io/posts/muon), cautious weight decay (arXiv 2510.12402).
Shapes: K matrices stacked, M rows, N columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from core.optim.gate import Gate
from core.optim.groups import MatrixGroup, StepRates
from core.optim.newton_schulz import newton_schulz
from core.optim.polar_express import polar_express
from core.optim.sharding import Shard, stack_shard
from core.optim.variance import moment_shape, scale_of_update
from core.ranks import Ranks
from core.settings.training import Optimizer

# What a CPU works on at once, so that it stays in its cache from one operation to the next.
CACHED_ELEMENTS = 2**18


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
        moments = (len(self._names), *moment_shape(M, N))
        self._second_moment = members[0].new_zeros(moments, requires_grad=False)
        is_cpu = members[0].device.type == "cpu"
        self._at_once = max(1, CACHED_ELEMENTS // (M * N)) if is_cpu else len(members)

    def step(self, rates: StepRates, gate: Gate | None = None) -> None:
        """Apply one update, or none where the gate is shut."""
        params, grads = self.shard.own_params, self.shard.own_grads
        assert len(grads) == len(self._names), "every matrix takes part in every loss"
        for start in range(0, len(params), self._at_once):
            part = slice(start, start + self._at_once)
            self._update(params[part], grads[part], part, rates, gate)

    def _update(
        self,
        params: Sequence[Tensor],
        grads: Sequence[Tensor],
        part: slice,
        rates: StepRates,
        gate: Gate | None,
    ) -> None:
        lr = self._group.lr * rates.lr_multiplier
        momentum_KMN = self._momentum_KMN[part]
        u_KMN = torch.stack(list(grads))
        fresh = 1 - rates.momentum
        if gate is None:
            momentum_KMN.lerp_(u_KMN, fresh)
        else:
            # Nothing that is multiplied by 0 below may be infinite.
            u_KMN.masked_fill_(gate.is_shut, 0.0)
            momentum_KMN.lerp_(u_KMN, gate.share(fresh))
        # Nesterov's look ahead.
        u_KMN.lerp_(momentum_KMN, rates.momentum)
        if self._variant == "classic":
            x_KMN = newton_schulz(u_KMN, self._num_iterations, self._dtype).float()
            if gate is not None:
                x_KMN.masked_fill_(gate.is_shut, 0.0)
            for parameter, x_MN in zip(params, x_KMN, strict=True):
                parameter.sub_(x_MN, alpha=lr)
            return
        x_KMN = polar_express(u_KMN, self._num_iterations, self._dtype).float()
        scale = scale_of_update(x_KMN, self._second_moment[part], gate)
        least = 0 if gate is None else gate.least
        for parameter, x_MN, row in zip(params, x_KMN, scale, strict=True):
            if rates.weight_decay:
                # The scale is positive: it changes no sign.
                is_agreed = torch.mul(x_MN, parameter).ge_(least)
                parameter.addcmul_(parameter, is_agreed, value=-lr * rates.weight_decay)
            parameter.addcmul_(x_MN, row, value=-lr)

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
