"""The weights that training starts from: one table for each named initialisation.

C is the model width, U(b) uniform within +-b, N(s) normal of deviation s, i the layer of L,
F = fan_in^-0.5 min(1, sqrt(fan_out / fan_in)).

| tensor                        | current                     | classic |
|-------------------------------|-----------------------------|---------|
| token embedding               | N(0.8)                      | N(1) |
| head                          | N(0.001)                    | 0 |
| embedding that is the head    | N(0.02)                     | as current |
| query, key, value             | U(sqrt(3/C))                | N(F) |
| MLP input                     | U(0.4 sqrt(3/C))            | the same |
| attention output, MLP output  | 0                           | 0 |
| value embeddings              | U(sqrt(3/C))                | as current |
| value gates, smear gate       | uniform 0..0.02             | as current |
| smear, backout                | 0, 0.2                      | as current |
| residual, embedding scalars   | 1.15 - 0.10 i/(L-1), 0.20 - 0.15 i/(L-1) | as current |

Features that classic models lack start as in current ones wherever they are switched on.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from core.model import GPT, Block


@torch.no_grad()
def write_weights(model: GPT, generator: torch.Generator) -> None:
    """Write every parameter of a model, drawing from a generator on its device."""
    is_classic = model.config.init == "classic"
    bound = math.sqrt(3 / model.config.n_embd)
    model.wte.weight.normal_(0, 1.0 if is_classic else 0.8, generator=generator)
    if model.config.tied_head:
        # The norm after the embedding undoes any scale; logits want a small one (GPT-2's).
        model.head.weight.normal_(0, 0.02, generator=generator)
    elif is_classic:
        model.head.weight.zero_()
    else:
        model.head.weight.normal_(0, 0.001, generator=generator)
    for table in model.value_embeds.values():
        cast(nn.Embedding, table).weight.uniform_(-bound, bound, generator=generator)
    for block in model.blocks:
        _write_block(cast("Block", block), bound, generator, is_classic=is_classic)
    _write_scalars(model, generator)


def _write_block(
    block: Block, bound: float, generator: torch.Generator, *, is_classic: bool
) -> None:
    attn = block.attn
    for linear in (attn.query, attn.key, attn.value):
        _write_matrix(linear.weight, bound, generator, is_classic=is_classic)
    _write_matrix(block.mlp.fc.weight, 0.4 * bound, generator, is_classic=is_classic)
    attn.out.weight.zero_()
    block.mlp.out.weight.zero_()
    if attn.value_gate is not None:
        attn.value_gate.weight.uniform_(0, 0.02, generator=generator)


def _write_matrix(
    weight: Tensor, bound: float, generator: torch.Generator, *, is_classic: bool
) -> None:
    if not is_classic:
        weight.uniform_(-bound, bound, generator=generator)
        return
    fan_out, fan_in = weight.shape
    deviation = fan_in**-0.5 * min(1.0, math.sqrt(fan_out / fan_in))
    weight.normal_(0, deviation, generator=generator)


def _write_scalars(model: GPT, generator: torch.Generator) -> None:
    config = model.config
    fraction_L = torch.arange(config.num_layers) / max(config.num_layers - 1, 1)
    if config.residual_scalars:
        model.resid_lambdas.copy_(1.15 - 0.10 * fraction_L)
        model.x0_lambdas.copy_(0.20 - 0.15 * fraction_L)
    if config.smear:
        model.smear_gate.weight.uniform_(0, 0.02, generator=generator)
        model.smear_lambda.zero_()
    if config.backout:
        model.backout_lambda.fill_(0.2)
