"""Cross-entropy over counted targets, in chunks of rows, and bits per byte.

The logits of a whole batch are the largest tensor of a small model's step: at 8 x 512 tokens and
32,768 entries one float32 copy is 512 MiB, and a plain loss keeps several. Here the rows pass in
chunks: each makes its logits, its losses and its gradients, and is forgotten.

Shapes: N rows of hidden states, n those of one chunk, B rows of tokens, T positions, C model
width, V vocabulary. Targets below zero are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from core.device import exact_dtype
from core.model import GPT
from core.ranks import Ranks

IGNORED = -1
# Logits of one chunk. On a CPU small enough to stay in a cache, and large enough that adding up
# the head's gradient, once per chunk, costs little; a GPU wants large products.
CPU_CHUNK_BYTES = 16 * 2**20
GPU_CHUNK_BYTES = 512 * 2**20
# What the compiled loss of a slice of a chunk keeps in float32 on a CPU: one value per logit.
CPU_WORK_BYTES = 16 * 2**20
# tanh x = x P(x^2) / Q(x^2) within 4e-7 up to where it is 1 in float32; highest power first.
# Source: the minimax fit in Eigen (MathFunctionsImpl.h, ptanh). Twice as fast as torch's.
_TANH_END = 7.90531110763549805
_TANH_P = (
    -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
    1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
)  # fmt: skip
_TANH_Q = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)

Trunk = Callable[[GPT, Tensor, Sequence[Tensor]], Tensor]
# (logits, targets, softcap) -> what loss_terms says, which writes over the logits.
Terms = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor, Tensor]]
LossFn = Callable[[GPT, Tensor, Sequence[Tensor], Tensor], Tensor]


def loss_terms(z_nV: Tensor, targets_n: Tensor, softcap: float) -> tuple[Tensor, Tensor, Tensor]:
    """Write over logits with their gradients; return losses, gradients of the targets, factors.

    The gradients, (n, V), are those of all entries as if none were the target; those of the
    targets, (n,), take their places after this: within a compiled graph that costs a copy of all.
    Both are to be multiplied by the factors (n,). One pass over the logits: capped ones are
    bounded, so that exp needs no maximum first, and the division by the sum of a row is left to
    the factor. Uncounted rows have no loss, and a factor of 0.
    """
    tanh_nV = _tanh(_wide(z_nV) * (1 / softcap))
    weight_nV = torch.exp(softcap * tanh_nV)
    slope_nV = 1 - tanh_nV * tanh_nV
    total_n = weight_nV.sum(-1)
    target_z_n = z_nV.gather(1, targets_n.clamp(min=0)[:, None])[:, 0]
    tanh_n = torch.tanh(_wide(target_z_n) * (1 / softcap))
    is_counted_n = targets_n >= 0
    losses_n = torch.where(is_counted_n, torch.log(total_n) - softcap * tanh_n, 0)
    factor_n = torch.where(is_counted_n, 1 / total_n, 0)
    own_n = (torch.exp(softcap * tanh_n) - total_n) * (1 - tanh_n * tanh_n)
    if z_nV.dtype == torch.float16:
        # Its range does not hold the sums of exponentials.
        z_nV.copy_(weight_nV * slope_nV * factor_n[:, None])
        return losses_n, (own_n * factor_n).to(z_nV.dtype), is_counted_n.to(factor_n.dtype)
    z_nV.copy_(weight_nV * slope_nV)
    return losses_n, own_n.to(z_nV.dtype), factor_n


def make_loss(trunk: Trunk = GPT.trunk, terms: Terms = loss_terms) -> LossFn:
    """Return a summed loss whose two parts, the trunk and the loss of a chunk, may be compiled."""

    def loss(
        model: GPT, x_BTC: Tensor, value_embeds: Sequence[Tensor], targets_BT: Tensor
    ) -> Tensor:
        return chunked_cross_entropy(
            trunk(model, x_BTC, value_embeds).flatten(0, 1),
            model.head.weight,
            targets_BT.flatten(),
            vocab_size=model.config.vocab_size,
            softcap=model.config.softcap,
            terms=terms,
        )

    return loss


def summed_loss(
    model: GPT, x_BTC: Tensor, value_embeds: Sequence[Tensor], targets_BT: Tensor
) -> Tensor:
    """Return the sum of nats over counted targets, from embeddings (see GPT.embed).

    A sum, not a mean: ranks and micro-batches hold different numbers of counted targets, so the
    mean is taken once, over the whole optimizer step.
    """
    return make_loss()(model, x_BTC, value_embeds, targets_BT)


def chunked_cross_entropy(
    hidden_NC: Tensor,
    weight_VC: Tensor,
    targets_N: Tensor,
    *,
    vocab_size: int,
    softcap: float,
    terms: Terms = loss_terms,
) -> Tensor:
    """Return the summed nats of soft-capped logits hidden @ weight.T, one chunk at a time.

    Logits are products in the type of `hidden`; rows of `weight` from vocab_size on are padding.
    The gradients are made in the same pass, and so exist before backward is called: only the
    first derivative can be had, and once.
    """
    with_grad = torch.is_grad_enabled() and (hidden_NC.requires_grad or weight_VC.requires_grad)
    if not with_grad:
        return chunked_token_losses(
            hidden_NC, weight_VC, targets_N, vocab_size=vocab_size, softcap=softcap
        ).sum()
    total: Tensor = _ChunkedLoss.apply(hidden_NC, weight_VC, targets_N, vocab_size, softcap, terms)
    return total


@torch.no_grad()
def chunked_token_losses(
    hidden_NC: Tensor, weight_VC: Tensor, targets_N: Tensor, *, vocab_size: int, softcap: float
) -> Tensor:
    """Return the nats of every target, (N,), 0 where it is not counted; without gradients."""
    head_VC = weight_VC[:vocab_size].to(hidden_NC.dtype)
    losses = []
    for rows in _chunks(hidden_NC, vocab_size):
        capped_nV = softcap * torch.tanh(_wide(F.linear(hidden_NC[rows], head_VC)) / softcap)
        losses.append(
            F.cross_entropy(capped_nV, targets_N[rows], ignore_index=IGNORED, reduction="none")
        )
    return torch.cat(losses)


@torch.no_grad()
def bits_per_byte(
    model: GPT,
    batches: Iterable[tuple[Tensor, Tensor]],
    token_bytes_V: Tensor,
    *,
    ranks: Ranks | None = None,
) -> float:
    """Return summed nats over ln 2 times the bytes of the counted targets.

    token_bytes_V holds the raw byte length of each token, 0 for special tokens, which count
    neither as nats nor as bytes. Nats are added in float64. No bytes at all gives infinity.
    Given `ranks`, each brings batches of its own, and all get the figure of all batches.
    """
    nats, num_bytes = 0.0, 0
    for idx_BT, targets_BT in batches:
        losses_N = chunked_token_losses(
            model.trunk(*model.embed(idx_BT)).flatten(0, 1),
            model.head.weight,
            targets_BT.flatten(),
            vocab_size=model.config.vocab_size,
            softcap=model.config.softcap,
        )
        bytes_N = token_bytes_V[targets_BT.flatten().clamp(min=0)]
        is_counted_N = (targets_BT.flatten() >= 0) & (bytes_N > 0)
        nats += float(losses_N[is_counted_N].sum(dtype=exact_dtype(losses_N.device)))
        num_bytes += int(bytes_N[is_counted_N].sum())
    if ranks is not None:
        nats, num_bytes = ranks.sum_number(nats), int(ranks.sum_number(num_bytes))
    return nats / (math.log(2) * num_bytes) if num_bytes else math.inf


class _ChunkedLoss(torch.autograd.Function):
    """The loss whose forward pass makes its gradients too, and keeps nothing else."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NC: Tensor,
        weight_VC: Tensor,
        targets_N: Tensor,
        vocab_size: int,
        softcap: float,
        terms: Terms,
    ) -> Tensor:
        wide = torch.promote_types(hidden_NC.dtype, torch.float32)
        head_VC = weight_VC[:vocab_size].to(hidden_NC.dtype)
        grad_hidden_NC = torch.empty_like(hidden_NC)
        grad_weight_VC = torch.zeros(weight_VC.shape, dtype=wide, device=weight_VC.device)
        exact = exact_dtype(hidden_NC.device)
        total = torch.zeros((), dtype=exact, device=hidden_NC.device)
        for rows in _chunks(hidden_NC, vocab_size):
            hidden_nC = hidden_NC[rows]
            grad_nV = F.linear(hidden_nC, head_VC)
            losses_n, factor_n = _logits_to_gradients(grad_nV, targets_N[rows], softcap, terms)
            total += losses_n.sum(dtype=exact)
            grad_hidden_NC[rows] = (grad_nV @ head_VC) * factor_n[:, None]
            scaled_nC = (hidden_nC * factor_n[:, None]).to(hidden_nC.dtype)
            grad_weight_VC[:vocab_size] += grad_nV.mT @ scaled_nC
        ctx.save_for_backward(grad_hidden_NC, grad_weight_VC)
        ctx.weight_dtype = weight_VC.dtype
        return total.to(wide)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # Scaled where they lie, for a copy would be a head's size; autograd refuses a second pass.
        grad_hidden_NC, grad_weight_VC = (saved.mul_(grad) for saved in ctx.saved_tensors)
        return grad_hidden_NC, grad_weight_VC.to(ctx.weight_dtype), None, None, None, None


def _logits_to_gradients(
    z_nV: Tensor, targets_n: Tensor, softcap: float, terms: Terms
) -> tuple[Tensor, Tensor]:
    """Write over logits with gradients, but for a factor per row; return losses and factors."""
    num_rows, vocab_size = z_nV.shape
    fitting = num_rows if z_nV.is_cuda else CPU_WORK_BYTES // (4 * vocab_size)
    losses, factors = [], []
    for rows in _slices(num_rows, fitting):
        losses_n, own_n, factor_n = terms(z_nV[rows], targets_n[rows], softcap)
        z_nV[rows].scatter_(1, targets_n[rows].clamp(min=0)[:, None], own_n[:, None])
        losses.append(losses_n)
        factors.append(factor_n)
    return torch.cat(losses), torch.cat(factors)


def _chunks(hidden_NC: Tensor, vocab_size: int) -> Iterator[slice]:
    """Yield slices of rows whose logits fit into a chunk."""
    limit = GPU_CHUNK_BYTES if hidden_NC.is_cuda else CPU_CHUNK_BYTES
    return _slices(hidden_NC.size(0), limit // (vocab_size * hidden_NC.element_size()))


def _slices(num_rows: int, fitting: int) -> Iterator[slice]:
    """Yield slices of at most `fitting` rows, at least 1, all of one size if there is one."""
    num_slices = max(1, -(-num_rows // max(1, fitting)))
    # Another size is compiled again: rather some more slices that are all alike.
    even = (count for count in range(num_slices, 2 * num_slices) if num_rows % count == 0)
    size = -(-num_rows // next(even, num_slices))
    for start in range(0, num_rows, size):
        yield slice(start, start + size)


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _tanh(x: Tensor) -> Tensor:
    if x.dtype != torch.float32 or x.device.type != "cpu":
        return torch.tanh(x)
    x = x.clamp(-_TANH_END, _TANH_END)
    square = x * x
    top, bottom = _polynomial(square, _TANH_P), _polynomial(square, _TANH_Q)
    return x * top / bottom


def _polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    value = x * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        value = value * x + coefficient
    return value
