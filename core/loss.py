"""Cross-entropy over counted targets, and bits per byte.

Shapes: B rows, T positions, C model width, V vocabulary. Targets below zero are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from core.model import GPT

IGNORED = -1


def summed_loss(
    model: GPT, x_BTC: Tensor, value_embeds: Sequence[Tensor], targets_BT: Tensor
) -> Tensor:
    """Return the sum of nats over counted targets, from embeddings (see GPT.embed).

    A sum, not a mean: ranks and micro-batches hold different numbers of counted targets, so the
    mean is taken once, over the whole optimizer step.
    """
    logits_BTV = model.logits(model.trunk(x_BTC, value_embeds))
    return F.cross_entropy(
        logits_BTV.flatten(0, 1), targets_BT.flatten(), ignore_index=IGNORED, reduction="sum"
    )


@torch.no_grad()
def bits_per_byte(
    model: GPT, batches: Iterable[tuple[Tensor, Tensor]], token_bytes_V: Tensor
) -> float:
    """Return summed nats over ln 2 times the bytes of the counted targets.

    token_bytes_V holds the raw byte length of each token, 0 for special tokens, which count
    neither as nats nor as bytes. Nats are added in float64. No bytes at all gives infinity.
    """
    nats, num_bytes = 0.0, 0
    for idx_BT, targets_BT in batches:
        losses_N = F.cross_entropy(
            model(idx_BT).flatten(0, 1),
            targets_BT.flatten(),
            ignore_index=IGNORED,
            reduction="none",
        )
        bytes_N = token_bytes_V[targets_BT.flatten().clamp(min=0)]
        is_counted_N = (targets_BT.flatten() >= 0) & (bytes_N > 0)
        nats += float(losses_N.double()[is_counted_N].sum())
        num_bytes += int(bytes_N[is_counted_N].sum())
    return nats / (math.log(2) * num_bytes) if num_bytes else math.inf
