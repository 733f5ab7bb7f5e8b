"""The forward pass of nanochat's facts sheet in NumPy and float64, one row and layer at a time.

It shares no code with core.model: weights go in by name, logits come out. The order of the steps
is that of the published description; every sum is written out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from core.config import ModelConfig

Array = npt.NDArray[np.float64]
EPS = float(np.finfo(np.float32).eps)


def naive_logits(config: ModelConfig, weights: Mapping[str, Any], ids: list[int]) -> Array:
    """Return the logits of every position of a row, (T, V)."""
    w = {name: np.asarray(tensor, dtype=np.float64) for name, tensor in weights.items()}
    x = _rms(w["wte.weight"][ids])
    if config.smear:
        smeared = x.copy()
        for t in range(1, len(ids)):
            gate = _sigmoid(float(w["smear_gate.weight"][0] @ x[t, :24]))
            smeared[t] += w["smear_lambda"][0] * gate * x[t - 1]
        x = smeared
    x0, middle = x.copy(), x
    for layer in range(config.num_layers):
        if config.residual_scalars:
            x = w["resid_lambdas"][layer] * x + w["x0_lambdas"][layer] * x0
        own = {
            name.removeprefix(f"blocks.{layer}."): value
            for name, value in w.items()
            if name.startswith(f"blocks.{layer}.")
        }
        table = w.get(f"value_embeds.{layer}.weight")
        x = x + _attention(config, layer, own, _rms(x), None if table is None else table[ids])
        hidden = np.maximum(_rms(x) @ own["mlp.fc.weight"].T, 0) ** 2
        x = x + hidden @ own["mlp.out.weight"].T
        if layer == config.num_layers // 2:
            middle = x.copy()
    if config.backout:
        x = x - w["backout_lambda"][0] * middle
    logits = (_rms(x) @ w["head.weight"].T)[:, : config.vocab_size]
    return config.softcap * np.tanh(logits / config.softcap)


def _attention(
    config: ModelConfig, layer: int, own: Mapping[str, Array], x: Array, embeds: Array | None
) -> Array:
    num, dim = len(x), config.head_dim
    q = (x @ own["attn.query.weight"].T).reshape(num, config.num_heads, dim)
    k = (x @ own["attn.key.weight"].T).reshape(num, config.num_kv_heads, dim)
    v = (x @ own["attn.value.weight"].T).reshape(num, config.num_kv_heads, dim)
    if embeds is not None:
        gate = 3 * _sigmoid(x[:, :12] @ own["attn.value_gate.weight"].T)
        v = v + gate[:, :, None] * embeds.reshape(v.shape)
    turned_q, turned_k = (
        np.array([_rms(_turned(x[t], t, config.rope_base)) * config.qk_scale for t in range(num)])
        for x in (q, k)
    )
    outputs = np.zeros_like(q)
    for t in range(num):
        first = max(0, t - config.window(layer))
        for head in range(config.num_heads):
            shared = head * config.num_kv_heads // config.num_heads
            scores = turned_k[first : t + 1, shared] @ turned_q[t, head] / np.sqrt(dim)
            share = np.exp(scores - scores.max())
            outputs[t, head] = (share / share.sum()) @ v[first : t + 1, shared]
    result: Array = outputs.reshape(num, -1) @ own["attn.out.weight"].T
    return result


def _turned(x: Array, position: int, base: float) -> Array:
    """Return the heads' values turned backwards by their position's angles, halves paired."""
    half = x.shape[-1] // 2
    angle = position * base ** (-2 * np.arange(half) / x.shape[-1])
    a, b = x[:, :half], x[:, half:]
    return np.concatenate(
        [a * np.cos(angle) + b * np.sin(angle), -a * np.sin(angle) + b * np.cos(angle)], axis=-1
    )


def _rms(x: Array) -> Array:
    result: Array = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + EPS)
    return result


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))
