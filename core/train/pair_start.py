"""A start from the corpus' token pairs: embedding and head fitted before the first step.

At initialisation every layer adds zero, so the model is its embedding, a norm and its head: a
bigram model. Hundreds of steps of a small model go into learning what follows what, token by
token; the counts of all pairs say it at once, and fitting them costs as much as a dozen steps.

Shapes: V padded vocabulary, P distinct pairs, R contexts of one block, C model width.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core.data.tokens import Ints, TokenSplit
from core.model import GPT, rms_norm
from core.ranks import Ranks
from runs.events import Progress

# Pairs of more text than this change no digit of what is fitted.
MAX_TOKENS = 2**23
# A context that was seen n times is believed n / (n + 2), the plain frequencies the rest.
DOUBT = 2.0
BLOCK_CONTEXTS = 1024
# Of Adam: they fall to zero over the fit. On 3.1 M tokens with V = 4096 and C = 256, 15 steps reach
# 4.64 nats a pair, 20 4.57 and 40 4.46; twice these rates reach the same.
EMBEDDING_LR, HEAD_LR = 0.3, 0.03
BETAS = (0.8, 0.95)
ADAM_EPS = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCounts:
    """How often each token followed each.

    Pairs are sorted by context: those of context c are starts[c] .. starts[c + 1] of `following`
    and `counts`, (P,). `seen` counts contexts, (V,); `shares` are plain frequencies, (V,).
    """

    starts: Tensor
    following: Tensor
    counts: Tensor
    seen: Tensor
    shares: Tensor


def count_pairs(split: TokenSplit, vocab_size: int) -> PairCounts:
    """Return the counts of pairs inside documents, in at most the first 2^23 tokens."""
    ids = _first_tokens(split, MAX_TOKENS)
    is_inside = np.ones(max(len(ids) - 1, 0), dtype=bool)
    ends = split.offsets[1:] - 1
    is_inside[ends[ends < len(is_inside)]] = False
    pairs, counts = np.unique((ids[:-1] * vocab_size + ids[1:])[is_inside], return_counts=True)
    contexts, following = np.divmod(pairs, vocab_size)
    starts = np.searchsorted(contexts, np.arange(vocab_size + 1))
    seen = np.bincount(contexts, counts, vocab_size)
    shares = np.bincount(following, counts, vocab_size) + 0.1
    return PairCounts(
        starts=torch.from_numpy(starts),
        following=torch.from_numpy(following),
        counts=torch.from_numpy(counts).float(),
        seen=torch.from_numpy(seen).float(),
        shares=torch.from_numpy(shares / shares.sum()).float(),
    )


def _first_tokens(split: TokenSplit, most: int) -> Ints:
    """Return the first tokens of a split; what lies beyond them may be gigabytes, and is left."""
    parts, room = [np.zeros(0, dtype=np.int64)], most
    for array in split.arrays:
        parts.append(array[:room].astype(np.int64))
        room -= len(parts[-1])
    return np.concatenate(parts)


def start_from_pairs(
    model: GPT, split: TokenSplit, ranks: Ranks, *, num_steps: int
) -> Generator[Progress, None, float]:
    """Fit embedding and head to the pairs of the text by full-batch Adam; return how long it took.

    One step costs 6 V^2 C FLOPs. Rank 0 fits, the others take its weights. In seconds.
    """
    started_s = time.perf_counter()
    weights = [model.wte.weight, model.head.weight]
    if ranks.rank == 0:
        yield from _fit(model, count_pairs(split, model.config.padded_vocab_size), num_steps)
    else:
        with torch.no_grad():
            for weight in weights:
                weight.zero_()
    for weight in weights:
        ranks.sum_in_place(weight.detach())
    return time.perf_counter() - started_s


def _fit(model: GPT, pairs: PairCounts, num_steps: int) -> Iterator[Progress]:
    moving = [
        _Adam(weight=model.wte.weight, lr=EMBEDDING_LR), _Adam(weight=model.head.weight, lr=HEAD_LR)
    ]  # fmt: skip
    for step in range(num_steps):
        for first in range(0, model.wte.weight.size(0), BLOCK_CONTEXTS):
            _block_loss(model, pairs, first).backward()
        for adam in moving:
            adam.step(step, 1 - step / num_steps)
        yield Progress(done=step + 1, total=num_steps, unit="steps", label="fitting token pairs")


class _Adam:
    """Adam of one weight. torch.optim would load torch._dynamo, which takes seconds."""

    def __init__(self, *, weight: Tensor, lr: float) -> None:
        self._weight = weight
        self._lr = lr
        self._first, self._second = torch.zeros_like(weight), torch.zeros_like(weight)

    @torch.no_grad()
    def step(self, step: int, lr_multiplier: float) -> None:
        """Move the weight by its gradient, and forget the gradient."""
        grad, (beta1, beta2) = self._weight.grad, BETAS
        assert grad is not None
        self._first.lerp_(grad, 1 - beta1)
        self._second.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        size = (self._second / (1 - beta2 ** (step + 1))).sqrt_().add_(ADAM_EPS)
        lr = self._lr * lr_multiplier / (1 - beta1 ** (step + 1))
        self._weight.addcdiv_(self._first, size, value=-lr)
        self._weight.grad = None


def _block_loss(model: GPT, pairs: PairCounts, first: int) -> Tensor:
    """Return the share of the mean nats per pair that a block of contexts has."""
    device, last = model.wte.weight.device, min(first + BLOCK_CONTEXTS, model.wte.weight.size(0))
    inside = slice(int(pairs.starts[first]), int(pairs.starts[last]))
    sizes = pairs.starts[first + 1 : last + 1] - pairs.starts[first:last]
    rows_P = torch.repeat_interleave(torch.arange(last - first), sizes)
    seen_R = pairs.seen[first:last]
    target_RV = (DOUBT * pairs.shares).repeat(last - first, 1)
    target_RV[rows_P, pairs.following[inside]] += pairs.counts[inside]
    weight_R = seen_R / pairs.seen.sum()
    target_RV *= (weight_R / (seen_R + DOUBT))[:, None]
    # The gradient of a rare context is a millionth: nothing in float16.
    dtype = torch.float32 if model.dtype == torch.float16 else model.dtype
    x_RC = rms_norm(model.wte.weight[first:last]).to(dtype)
    logits_RV = F.linear(x_RC, model.head.weight.to(dtype)).float()
    cap = model.config.softcap
    logits_RV = cap * torch.tanh(logits_RV / cap)
    normaliser = (weight_R.to(device) * torch.logsumexp(logits_RV, dim=1)).sum()
    return normaliser - (target_RV.to(device) * logits_RV).sum()
