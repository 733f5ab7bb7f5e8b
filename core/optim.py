"""The optimizer: Muon for the matrices, AdamW for everything else, state by parameter name.

Sources: Muon (kellerjordan.github.io/posts/muon), Polar Express (arXiv 2505.16932), NorMuon
(arXiv 2510.05491), cautious weight decay (arXiv 2510.12402), AdamW (arXiv 1711.05101).
Shapes: K matrices of one shape stacked, M rows, N columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.config import TrainConfig
from core.model import GPT

POLAR_EXPRESS: tuple[tuple[float, float, float], ...] = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)
SECOND_MOMENT_DECAY = 0.9
REFERENCE_BATCH_TOKENS = 2**19
TABLE_EPS = 1e-10
# At initialisation every block adds zero and the norms undo any factor, so the gradients of the
# residual scalars are rounding noise. AdamW would turn that noise into whole steps of random
# sign, other ones for every number of ranks or threads; a real gradient is far above this.
SCALAR_EPS = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class AdamGroup:
    """Parameters that AdamW moves with the same settings."""

    names: tuple[str, ...]
    lr: float
    betas: tuple[float, float]
    weight_decay: float
    eps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRates:
    """What the schedules say for one step."""

    lr_multiplier: float
    momentum: float
    weight_decay: float


def adam_groups(
    model: GPT, config: TrainConfig, *, lr_scale: float, tokens_per_step: int
) -> list[AdamGroup]:
    """Return AdamW's groups; rates grow with sqrt(batch / 2^19) and shrink with sqrt(width)."""
    share = tokens_per_step / REFERENCE_BATCH_TOKENS
    batch_scale = lr_scale * math.sqrt(share)
    # The mean loss gives the row of a rare token a gradient of about one part in the batch, so
    # what counts as noise in it grows as the batch shrinks.
    table_eps = TABLE_EPS / min(1.0, share)
    width_scale = batch_scale * (model.config.n_embd / 768) ** -0.5
    table: list[tuple[str, float, tuple[float, float], float]] = [
        ("head.", config.unembedding_lr * width_scale, (0.8, 0.96), 0.01),
        ("wte.", config.embedding_lr * width_scale, (0.8, 0.995), 0.001),
        ("value_embeds.", config.embedding_lr * width_scale * 0.5, (0.8, 0.995), 0.01),
        ("resid_lambdas", config.scalar_lr * batch_scale * 0.01, (0.8, 0.95), 0.05),
        ("x0_lambdas", config.scalar_lr * batch_scale, (0.96, 0.95), 0.0),
        ("smear_", 0.2 * lr_scale, (0.8, 0.95), 0.0),
        # Scaled like the rest: at a small batch a fixed 0.2 carries the share past 1 within ten
        # steps, where the middle of a young model cancels its end and the logits change sign.
        ("backout_", 0.4 * config.scalar_lr * batch_scale, (0.8, 0.95), 0.0),
    ]
    names = [name for name, _ in model.named_parameters()]
    return [
        AdamGroup(
            names=members,
            lr=lr,
            betas=betas,
            weight_decay=decay,
            eps=table_eps if prefix.endswith(".") else SCALAR_EPS,
        )
        for prefix, lr, betas, decay in table
        if (members := tuple(name for name in names if name.startswith(prefix)))
    ]


def matrix_groups(model: GPT) -> list[tuple[str, ...]]:
    """Return the names of the matrices, grouped by shape: each group is one stack for Muon."""
    shapes: dict[tuple[int, ...], list[str]] = {}
    for name, parameter in model.named_parameters():
        if name.startswith("blocks."):
            shapes.setdefault(tuple(parameter.shape), []).append(name)
    return [tuple(names) for names in shapes.values()]


def orthogonalize(u_KMN: Tensor, num_iterations: int) -> Tensor:
    """Return the nearest semi-orthogonal matrices, up to scale, by Polar Express.

    Rows are first brought to equal norm (MuonEq), and the result to the Frobenius norm of a
    true orthogonal factor, sqrt(min(M, N)) (Muon+).
    """
    M, N = u_KMN.shape[-2:]
    row_norm = u_KMN.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    x = u_KMN * (u_KMN.norm(dim=(-2, -1), keepdim=True) / math.sqrt(M) / row_norm)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * 1.01 + 1e-6)
    for a, b, c in POLAR_EXPRESS[:num_iterations]:
        gram = x @ x.mT if M <= N else x.mT @ x
        mix = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, mix, x, beta=a) if M <= N else torch.baddbmm(x, x, mix, beta=a)
    scale = math.sqrt(min(M, N)) / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-6)
    return x * scale


class MuonAdamW:
    """Updates a model in place; moments are kept and saved by parameter name.

    Gradients must be complete (summed over ranks) before `step`. State does not depend on the
    number of ranks, so any world size can continue the same run.
    """

    def __init__(
        self, model: GPT, config: TrainConfig, *, tokens_per_step: int, lr_scale: float = 1.0
    ) -> None:
        self._params: dict[str, nn.Parameter] = dict(model.named_parameters())
        self._adam = adam_groups(model, config, lr_scale=lr_scale, tokens_per_step=tokens_per_step)
        self._stacks = matrix_groups(model)
        self._matrix_lr = (
            config.matrix_lr * lr_scale * math.sqrt(tokens_per_step / REFERENCE_BATCH_TOKENS)
        )
        self._num_iterations = config.muon_iterations
        self._dtype = model.dtype
        self._state: dict[str, dict[str, Tensor]] = {}
        self._num_steps = 0
        covered = {name for group in self._adam for name in group.names}
        covered |= {name for names in self._stacks for name in names}
        assert covered == set(self._params), set(self._params) ^ covered
        for name in covered:
            self._state[name] = self._new_state(name)

    def _new_state(self, name: str) -> dict[str, Tensor]:
        parameter = self._params[name]
        zeros = torch.zeros_like(parameter)
        if not name.startswith("blocks."):
            return {"first_moment": zeros, "second_moment": torch.zeros_like(parameter)}
        rows, columns = parameter.shape
        per_line = (rows, 1) if rows >= columns else (1, columns)
        return {"momentum": zeros, "second_moment": parameter.new_zeros(per_line)}

    @torch.no_grad()
    def step(self, rates: StepRates) -> None:
        """Apply one update from the gradients that the parameters hold."""
        self._num_steps += 1
        for group in self._adam:
            for name in group.names:
                self._adam_step(name, group, group.lr * rates.lr_multiplier)
        for names in self._stacks:
            self._muon_step(names, rates)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._params.values():
            parameter.grad = None

    def _adam_step(self, name: str, group: AdamGroup, lr: float) -> None:
        parameter, state = self._params[name], self._state[name]
        if parameter.grad is None:
            return
        beta1, beta2 = group.betas
        grad = parameter.grad
        state["first_moment"].lerp_(grad, 1 - beta1)
        state["second_moment"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        correction1 = 1 - beta1**self._num_steps
        correction2 = 1 - beta2**self._num_steps
        denominator = (state["second_moment"] / correction2).sqrt_().add_(group.eps)
        parameter.mul_(1 - lr * group.weight_decay)
        parameter.addcdiv_(state["first_moment"], denominator, value=-lr / correction1)

    def _muon_step(self, names: tuple[str, ...], rates: StepRates) -> None:
        params = [self._params[name] for name in names]
        grads = [parameter.grad for parameter in params]
        M, N = params[0].shape
        directions = []
        for name, grad in zip(names, grads, strict=True):
            assert grad is not None, name
            momentum = self._state[name]["momentum"]
            momentum.lerp_(grad, 1 - rates.momentum)
            directions.append(grad.lerp(momentum, rates.momentum).to(self._dtype))
        x_KMN = orthogonalize(torch.stack(directions), self._num_iterations).float()
        x_KMN = x_KMN * self._variance_scale(names, x_KMN)
        lr = self._matrix_lr * rates.lr_multiplier * math.sqrt(max(1, M / N))
        for parameter, x_MN in zip(params, x_KMN, strict=True):
            if rates.weight_decay:
                is_agreed = x_MN * parameter >= 0
                x_MN = x_MN + rates.weight_decay * parameter * is_agreed
            parameter.sub_(x_MN, alpha=lr)

    def _variance_scale(self, names: tuple[str, ...], x_KMN: Tensor) -> Tensor:
        """Return NorMuon's factor per row (or column), which keeps each matrix's norm."""
        M, N = x_KMN.shape[-2:]
        axis = -1 if M >= N else -2
        length = x_KMN.size(axis)
        fresh = x_KMN.square().mean(dim=axis, keepdim=True)
        for name, row in zip(names, fresh, strict=True):
            self._state[name]["second_moment"].lerp_(row, 1 - SECOND_MOMENT_DECAY)
        smooth = torch.stack([self._state[name]["second_moment"] for name in names])
        inverse = smooth.clamp_min(1e-10).rsqrt()
        before = (fresh.sum(dim=(-2, -1), keepdim=True) * length).sqrt()
        after = (fresh * inverse.square()).sum(dim=(-2, -1), keepdim=True) * length
        return inverse * (before / after.sqrt().clamp_min(1e-10))

    def state_tensors(self) -> dict[str, Tensor]:
        """Return every moment as "parameter name/moment"; they are not copies."""
        return dict(self._flat())

    def load_state_tensors(self, tensors: Mapping[str, Tensor], num_steps: int) -> None:
        """Take moments that `state_tensors` returned, after `num_steps` updates."""
        for key, tensor in self._flat():
            tensor.copy_(tensors[key])
        self._num_steps = num_steps

    def _flat(self) -> Iterator[tuple[str, Tensor]]:
        for name, state in sorted(self._state.items()):
            for moment, tensor in state.items():
                yield f"{name}/{moment}", tensor
