"""The optimizer as the reference runs it: a compiled kernel per table and per stack of matrices.

Settings per parameter are those of core.optim, and so is the algorithm; the kernels are not.
Shapes: K matrices of one shape stacked, M rows, N columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from core.model import GPT
from core.optim.groups import StepRates, adam_groups, matrix_groups
from core.optim.polar_express import POLAR_EXPRESS
from core.optim.variance import SECOND_MOMENT_DECAY
from core.settings.training import TrainConfig


def adamw_kernel(p: Tensor, grad: Tensor, m: Tensor, v: Tensor, settings: Tensor) -> None:
    """Move one tensor in place; settings: lr, beta1, beta2, decay, eps, 1 - beta^t twice."""
    lr, beta1, beta2, decay, eps, correction1, correction2 = settings.unbind()
    p.mul_(1 - lr * decay)
    m.lerp_(grad, 1 - beta1)
    v.lerp_(grad.square(), 1 - beta2)
    p.sub_(lr / correction1 * m / ((v / correction2).sqrt() + eps))


def muon_kernel(
    p_KMN: Tensor, grad_KMN: Tensor, m_KMN: Tensor, v_KMN: Tensor, settings: Tensor, dtype: Any
) -> None:
    """Move one stack in place; settings: lr, momentum, decay."""
    lr, momentum, decay = settings.unbind()
    M, N = p_KMN.shape[-2:]
    axis = -1 if M >= N else -2
    m_KMN.lerp_(grad_KMN, 1 - momentum)
    x = grad_KMN.lerp(m_KMN, momentum).to(dtype)
    row_norm = x.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    x = x * (x.norm(dim=(-2, -1), keepdim=True) / math.sqrt(M) / row_norm)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * 1.01 + 1e-6)
    for a, b, c in POLAR_EXPRESS:
        gram = x @ x.mT if M <= N else x.mT @ x
        mix = b * gram + c * (gram @ gram)
        x = a * x + (mix @ x if M <= N else x @ mix)
    x = x * (math.sqrt(min(M, N)) / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-6))
    fresh = x.float().square().mean(dim=axis, keepdim=True)
    v_KMN.lerp_(fresh, 1 - SECOND_MOMENT_DECAY)
    inverse = v_KMN.clamp_min(1e-10).rsqrt()
    length = x.size(axis)
    before = (fresh.sum(dim=(-2, -1), keepdim=True) * length).sqrt()
    after = ((fresh * inverse.square()).sum(dim=(-2, -1), keepdim=True) * length).sqrt()
    x = x * (inverse * (before / after.clamp_min(1e-10)))
    agreed = x * p_KMN >= 0
    p_KMN.sub_(lr * x + lr * decay * p_KMN * agreed)


class ReferenceOptimizer:
    """AdamW and Muon over one process's whole model."""

    def __init__(
        self, model: GPT, config: TrainConfig, *, tokens_per_step: int, is_compiled: bool
    ) -> None:
        self._params = dict(model.named_parameters())
        self._adam = adam_groups(model, config, lr_scale=1.0, tokens_per_step=tokens_per_step)
        self._moments = {
            name: (torch.zeros_like(self._params[name]), torch.zeros_like(self._params[name]))
            for group in self._adam
            for name in group.names
        }
        stacks = matrix_groups(model, config, lr_scale=1.0, tokens_per_step=tokens_per_step)
        self._stacks = [(group.lr, *self._stack(group.names)) for group in stacks]
        self._dtype = model.dtype
        self._num_steps = 0
        self._adamw = _kernel(adamw_kernel, is_compiled)
        self._muon = _kernel(muon_kernel, is_compiled)

    def _stack(self, names: Sequence[str]) -> tuple[list[nn.Parameter], Tensor, Tensor]:
        params = [self._params[name] for name in names]
        M, N = params[0].shape
        line = (len(params), M, 1) if M >= N else (len(params), 1, N)
        return params, params[0].new_zeros((len(params), M, N)), params[0].new_zeros(line)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._params.values():
            parameter.grad = None

    @torch.no_grad()
    def step(self, rates: StepRates) -> None:
        """Apply one update from the gradients that the parameters hold."""
        self._num_steps += 1
        for group in self._adam:
            beta1, beta2 = group.betas
            # Values in a tensor: a Python float would compile the kernel again when it changes.
            settings = torch.tensor(
                [
                    group.lr * rates.lr_multiplier, beta1, beta2, group.weight_decay, group.eps,
                    1 - beta1**self._num_steps, 1 - beta2**self._num_steps,
                ]
            )  # fmt: skip
            for name in group.names:
                parameter = self._params[name]
                if parameter.grad is not None:
                    self._adamw(parameter, parameter.grad, *self._moments[name], settings)
        for lr, params, momentum_KMN, second_KMN in self._stacks:
            settings = torch.tensor([lr * rates.lr_multiplier, rates.momentum, rates.weight_decay])
            p_KMN = torch.stack([parameter.detach() for parameter in params])
            grads = [parameter.grad for parameter in params if parameter.grad is not None]
            grad_KMN = torch.stack(grads)
            self._muon(p_KMN, grad_KMN, momentum_KMN, second_KMN, settings, self._dtype)
            torch._foreach_copy_(list(params), list(p_KMN.unbind(0)))


def _kernel(function: Callable[..., None], is_compiled: bool) -> Callable[..., None]:
    return torch.compile(function, dynamic=False, fullgraph=True) if is_compiled else function
