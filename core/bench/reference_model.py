"""The model as the reference runs it: attention with a mask, all logits at once.

It has the weights and the mathematics of core.model and shares none of its speed: what core
does better must not reach what it is measured against. A test holds the two to one value.

Shapes: B rows, T positions, C model width, H heads, D head width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.loss import IGNORED
from core.model import GPT, Attention, Block
from core.scaling import GATE_CHANNELS, SMEAR_CHANNELS


def reference_loss(
    model: GPT, x_BTC: Tensor, value_embeds: Sequence[Tensor], targets_BT: Tensor
) -> Tensor:
    """Return the sum of nats over counted targets, over a full tensor of float32 logits."""
    config = model.config
    logits_BTV = _linear(model.head, _trunk(model, x_BTC, value_embeds))[..., : config.vocab_size]
    logits_BTV = config.softcap * torch.tanh(logits_BTV.float() / config.softcap)
    return F.cross_entropy(
        logits_BTV.flatten(0, 1), targets_BT.flatten(), ignore_index=IGNORED, reduction="sum"
    )


def _trunk(model: GPT, x_BTC: Tensor, value_embeds: Sequence[Tensor]) -> Tensor:
    config = model.config
    if config.smear:
        gate_BT1 = torch.sigmoid(_linear(model.smear_gate, x_BTC[..., :SMEAR_CHANNELS]))
        smeared = model.smear_lambda.to(x_BTC.dtype) * gate_BT1[:, 1:] * x_BTC[:, :-1]
        x_BTC = torch.cat([x_BTC[:, :1], x_BTC[:, 1:] + smeared], dim=1)
    x0_BTC, middle_BTC = x_BTC, x_BTC
    remaining = iter(value_embeds)
    for layer, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        if config.residual_scalars:
            resid, x0 = model.resid_lambdas[layer], model.x0_lambdas[layer]
            x_BTC = resid.to(x_BTC.dtype) * x_BTC + x0.to(x_BTC.dtype) * x0_BTC
        value = next(remaining) if config.has_value_embed(layer) else None
        x_BTC = x_BTC + _attention(model, block.attn, layer, _norm(x_BTC), value)
        hidden_BTF = F.relu(_linear(block.mlp.fc, _norm(x_BTC))).square()
        x_BTC = x_BTC + _linear(block.mlp.out, hidden_BTF)
        if layer == config.num_layers // 2:
            middle_BTC = x_BTC
    if config.backout:
        x_BTC = x_BTC - model.backout_lambda.to(x_BTC.dtype) * middle_BTC
    return _norm(x_BTC)


def _attention(
    model: GPT, attn: Attention, layer: int, x_BTC: Tensor, value_embed_BTE: Tensor | None
) -> Tensor:
    B, T, _ = x_BTC.shape
    config = model.config
    q_BTHD, k_BTHD, v_BTHD = (
        _linear(linear, x_BTC).view(B, T, -1, config.head_dim)
        for linear in (attn.query, attn.key, attn.value)
    )
    if attn.value_gate is not None and value_embed_BTE is not None:
        gate_BTH = 3 * torch.sigmoid(_linear(attn.value_gate, x_BTC[..., :GATE_CHANNELS]))
        v_BTHD = v_BTHD + gate_BTH[..., None] * value_embed_BTE.view(v_BTHD.shape)
    q_BTHD = _norm(_rotate(model, q_BTHD)) * config.qk_scale
    k_BTHD = _norm(_rotate(model, k_BTHD)) * config.qk_scale
    window = config.window(layer)
    mask_TT = None
    if window < T:
        distance_TT = torch.arange(T, device=x_BTC.device)[:, None] - torch.arange(
            T, device=x_BTC.device
        )
        mask_TT = (distance_TT >= 0) & (distance_TT <= window)
    y_BHTD = F.scaled_dot_product_attention(
        q_BTHD.transpose(1, 2),
        k_BTHD.transpose(1, 2),
        v_BTHD.transpose(1, 2),
        attn_mask=mask_TT,
        is_causal=mask_TT is None,
        enable_gqa=q_BTHD.size(2) != k_BTHD.size(2),
    )
    return _linear(attn.out, y_BHTD.transpose(1, 2).reshape(B, T, -1))


def _rotate(model: GPT, x_BTHD: Tensor) -> Tensor:
    T, half = x_BTHD.size(1), x_BTHD.size(3) // 2
    cos, sin = (table[None, :T, None].to(x_BTHD.dtype) for table in (model.cos, model.sin))
    first, second = x_BTHD[..., :half], x_BTHD[..., half:]
    return torch.cat([first * cos + second * sin, second * cos - first * sin], dim=3)


def _norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.size(-1),))


def _linear(linear: nn.Linear, x: Tensor) -> Tensor:
    return F.linear(x, linear.weight.to(x.dtype))
