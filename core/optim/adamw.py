"""AdamW for the parameters of one group, on the part that this rank owns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from core.optim.gate import Gate
from core.optim.groups import AdamGroup, StepRates
from core.optim.sharding import Shard, table_shard
from core.ranks import Ranks


class AdamW:
    """Moves parameters by their moments (arXiv 1711.05101)."""

    def __init__(self, group: AdamGroup, params: Mapping[str, nn.Parameter], ranks: Ranks) -> None:
        self._group = group
        self.shards: list[Shard] = [table_shard(params[name], ranks) for name in group.names]
        owned = [
            params[name].detach()[shard.own]
            for name, shard in zip(group.names, self.shards, strict=True)
        ]
        self._first = [torch.zeros_like(part) for part in owned]
        self._second = [torch.zeros_like(part) for part in owned]

    def step(self, rates: StepRates, num_done: Tensor, gate: Gate | None = None) -> None:
        """Apply the update that comes after `num_done` others, or none where the gate is shut."""
        params, grads, first, second = [], [], [], []
        for shard, *moments in zip(self.shards, self._first, self._second, strict=True):
            # Empty where this rank owns no row, or where the loss did not use the parameter.
            for param, grad in zip(shard.own_params, shard.own_grads, strict=True):
                params.append(param)
                grads.append(grad)
                first.append(moments[0])
                second.append(moments[1])
        if not params:
            return
        group = self._group
        adamw(
            params, grads, first, second, [],
            # A copy for each: torch counts this update in them.
            [num_done.clone() for _ in params],
            fused=True, amsgrad=False, maximize=False,
            found_inf=None if gate is None else gate.shut,
            beta1=group.betas[0], beta2=group.betas[1],
            lr=group.lr * rates.lr_multiplier, weight_decay=group.weight_decay, eps=group.eps,
        )  # fmt: skip

    def gathered(self) -> Iterator[tuple[str, Tensor]]:
        """Yield on rank 0 the whole moments by "parameter/moment"; every rank must go through."""
        for key, shard, own in self._named():
            whole = shard.collect(own)
            if whole is not None:
                yield key, whole

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take this rank's part of whole moments."""
        for key, shard, own in self._named():
            own.copy_(tensors[key][shard.own])

    def own_state(self) -> list[Tensor]:
        """Return the moments that this rank holds."""
        return [own for *_, own in self._named()]

    def _named(self) -> Iterator[tuple[str, Shard, Tensor]]:
        for name, shard, first, second in zip(
            self._group.names, self.shards, self._first, self._second, strict=True
        ):
            yield f"{name}/first_moment", shard, first
            yield f"{name}/second_moment", shard, second
