"""The optimizer of a model: Muon for the matrices, AdamW for everything else, over all ranks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from core.model import GPT
from core.optim.adamw import AdamW
from core.optim.gate import gate_by
from core.optim.groups import StepRates, adam_groups, matrix_groups
from core.optim.muon import Muon
from core.optim.sharding import Shard
from core.ranks import Ranks
from core.settings.training import TrainConfig


class MuonAdamW:
    """Updates a model in place: `reduce`, a look at the norm, then `step`.

    Every rank calls each method alike. Moments exist in parts, one per rank, but are saved and
    loaded whole and by parameter name, so any number of ranks can continue the same run.
    """

    def __init__(
        self,
        model: GPT,
        config: TrainConfig,
        ranks: Ranks,
        *,
        tokens_per_step: int,
        lr_scale: float = 1.0,
    ) -> None:
        self._params = dict(model.named_parameters())
        self._ranks = ranks
        self._grad_clip = config.grad_clip
        self._norm: Tensor | None = None
        # On the device: whether a step is one may be known there alone.
        self._num_steps = torch.zeros((), device=ranks.device)
        tables = adam_groups(model, config, lr_scale=lr_scale, tokens_per_step=tokens_per_step)
        stacks = matrix_groups(model, config, lr_scale=lr_scale, tokens_per_step=tokens_per_step)
        covered = [name for group in tables for name in group.names]
        covered += [name for group in stacks for name in group.names]
        assert sorted(covered) == sorted(self._params), set(self._params) ^ set(covered)
        # float16 has too small a range for the products of the orthogonalisation.
        dtype = torch.bfloat16 if model.dtype == torch.bfloat16 else torch.float32
        self._adam = [AdamW(group, self._params, ranks) for group in tables]
        self._muon = [
            Muon(
                group, self._params, ranks, variant=config.optimizer,
                num_iterations=config.muon_iterations, dtype=dtype,
            )
            for group in stacks
        ]  # fmt: skip

    @torch.no_grad()
    def reduce(self) -> Tensor:
        """Sum the gradients over the ranks; return the norm of all of them, 0-d, equal everywhere.

        Nothing is applied yet: a norm that is not finite is the time to leave the step out.
        """
        shards = self._shards()
        for shard in shards:
            shard.start_reduce()
        squares = []
        for shard in shards:
            shard.finish_reduce()
            if self._ranks.rank == 0 or not shard.is_replicated:
                squares += [torch.linalg.vector_norm(grad).square() for grad in shard.own_grads]
        total = (
            torch.stack(squares).sum() if squares else torch.zeros((), device=self._ranks.device)
        )
        self._ranks.sum_in_place(total)
        self._norm = total.sqrt()
        return self._norm

    @torch.no_grad()
    def step(self, rates: StepRates, is_left_out: Tensor | None = None) -> None:
        """Apply one update from the gradients that `reduce` has summed.

        is_left_out: a 0-d flag on the device, equal on all ranks. Where it is set not a bit of
            weights, moments or the count of steps changes, and the host need not know.
        """
        assert self._norm is not None, "reduce comes before step"
        if self._grad_clip is not None:
            factor = (self._grad_clip / (self._norm + 1e-6)).clamp_max(1.0)
            for shard in self._shards():
                for grad in shard.own_grads:
                    grad.mul_(factor)
        self._norm = None
        gate = None if is_left_out is None else gate_by(is_left_out)
        for adam in self._adam:
            adam.step(rates, self._num_steps, gate)
            for shard in adam.shards:
                shard.start_gather()
        for muon in self._muon:
            muon.step(rates, gate)
            muon.shard.start_gather()
        self._num_steps += 1 if gate is None else gate.share(1)
        for shard in self._shards():
            shard.finish_gather()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._params.values():
            parameter.grad = None

    def gathered_state(self) -> dict[str, Tensor] | None:
        """Return on rank 0 every moment as "parameter/moment", whole; on the others nothing.

        With one rank they are the moments themselves, not copies.
        """
        state = {key: whole for part in self._parts() for key, whole in part.gathered()}
        return state if self._ranks.rank == 0 else None

    def load_state(self, tensors: Mapping[str, Tensor], num_steps: int) -> None:
        """Take what `gathered_state` of any number of ranks returned after `num_steps` updates."""
        for part in self._parts():
            part.load(tensors)
        self._num_steps.fill_(num_steps)

    def state_bytes(self) -> int:
        """Return the bytes that the moments on this rank take."""
        return sum(own.nbytes for part in self._parts() for own in part.own_state())

    def _parts(self) -> list[AdamW | Muon]:
        return [*self._adam, *self._muon]

    def _shards(self) -> list[Shard]:
        """Return all shards, in the order in which every rank has to start what they send."""
        return [*(s for adam in self._adam for s in adam.shards), *(m.shard for m in self._muon)]
