"""The plain way to generate: an oracle for tests and the yardstick of `labcli bench infer`.

The prompt in one forward with the head over all its positions, then one token per row and step,
eager, float32 weights cast at each use, rows of one length, a cache as long as the answer.
It follows core.model line by line and shares no code with the engine that it judges.

Shapes: B rows, T new positions, S positions so far, H heads, K kv heads, D head width, C width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from core.attention.blocks import attend_in_blocks
from core.attention.rotary import rotate
from core.model import GPT, Block, rms_norm
from core.scaling import GATE_CHANNELS, SMEAR_CHANNELS


class PlainEngine:
    """Greedy decoding of prompts of one length."""

    def __init__(self, model: GPT) -> None:
        self.model = model

    @torch.inference_mode()
    def stream(self, prompts: Sequence[Sequence[int]], num_new: int) -> Iterator[list[int]]:
        """Yield the next id of every row, num_new times; nothing ends a row early."""
        state = _State(self.model, len(prompts), len(prompts[0]) + num_new)
        idx_BT = torch.tensor(prompts, device=self.model.cos.device)
        for _ in range(num_new):
            idx_BT = state.forward(idx_BT)[:, -1].argmax(dim=-1, keepdim=True)
            yield idx_BT[:, 0].tolist()


class _State:
    def __init__(self, model: GPT, num_rows: int, num_slots: int) -> None:
        config, device = model.config, model.cos.device
        shape = (config.num_layers, num_rows, num_slots, config.num_kv_heads, config.head_dim)
        self.model = model
        self.k_LBSKD = torch.zeros(shape, device=device, dtype=model.dtype)
        self.v_LBSKD = torch.zeros(shape, device=device, dtype=model.dtype)
        self.length = 0
        self.before_B1C: Tensor | None = None

    def forward(self, idx_BT: Tensor) -> Tensor:
        """Return the logits of every new position, (B, T, V)."""
        model, config = self.model, self.model.config
        x_BTC, values = model.embed(idx_BT)
        if config.smear:
            x_BTC = self._smear(x_BTC)
        end = self.length + idx_BT.size(1)
        rotary = (
            model.cos[None, self.length : end, None].to(x_BTC.dtype),
            model.sin[None, self.length : end, None].to(x_BTC.dtype),
        )
        x0_BTC, middle_BTC, remaining = x_BTC, x_BTC, iter(values)
        for layer, block in enumerate(model.blocks):
            assert isinstance(block, Block)
            if config.residual_scalars:
                resid, x0 = model.resid_lambdas[layer], model.x0_lambdas[layer]
                x_BTC = resid.to(x_BTC.dtype) * x_BTC + x0.to(x_BTC.dtype) * x0_BTC
            value = next(remaining) if config.has_value_embed(layer) else None
            x_BTC = x_BTC + self._attention(block, layer, rms_norm(x_BTC), value, rotary)
            x_BTC = x_BTC + block.mlp(rms_norm(x_BTC))
            if layer == config.num_layers // 2:
                middle_BTC = x_BTC
        if config.backout:
            x_BTC = x_BTC - model.backout_lambda.to(x_BTC.dtype) * middle_BTC
        self.length = end
        return model.logits(rms_norm(x_BTC))

    def _smear(self, x_BTC: Tensor) -> Tensor:
        model = self.model
        before_B1C = torch.zeros_like(x_BTC[:, :1]) if self.before_B1C is None else self.before_B1C
        shifted_BTC = torch.cat((before_B1C, x_BTC[:, :-1]), dim=1)
        self.before_B1C = x_BTC[:, -1:]
        gate_BT1 = torch.sigmoid(model.smear_gate(x_BTC[..., :SMEAR_CHANNELS]))
        return x_BTC + model.smear_lambda.to(x_BTC.dtype) * gate_BT1 * shifted_BTC

    def _attention(
        self,
        block: Block,
        layer: int,
        x_BTC: Tensor,
        value_BTE: Tensor | None,
        rotary: tuple[Tensor, Tensor],
    ) -> Tensor:
        config, attn = self.model.config, block.attn
        B, T, _ = x_BTC.shape
        shape = B, T, -1, config.head_dim
        q_BTHD, k_BTKD = attn.query(x_BTC).view(shape), attn.key(x_BTC).view(shape)
        v_BTKD = attn.value(x_BTC).view(shape)
        if value_BTE is not None:
            assert isinstance(attn.value_gate, nn.Module)
            gate_BTK = 3 * torch.sigmoid(attn.value_gate(x_BTC[..., :GATE_CHANNELS]))
            v_BTKD = v_BTKD + gate_BTK[..., None] * value_BTE.view(shape)
        q_BTHD = rms_norm(rotate(q_BTHD, *rotary)) * config.qk_scale
        k_BTKD = rms_norm(rotate(k_BTKD, *rotary)) * config.qk_scale
        end = self.length + T
        self.k_LBSKD[layer, :, self.length : end] = k_BTKD
        self.v_LBSKD[layer, :, self.length : end] = v_BTKD
        y_BTHD = attend_in_blocks(
            q_BTHD,
            self.k_LBSKD[layer, :, :end],
            self.v_LBSKD[layer, :, :end],
            window=config.window(layer),
        )
        return attn.out(y_BTHD.reshape(B, T, -1))
