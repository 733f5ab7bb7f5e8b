"""The GPT: one implementation, its features switched by ModelConfig.

Unusual against GPT-2: no biases and no learnable norm gains, rotary positions, normalised
queries and keys, squared ReLU, gated value embeddings on every other layer, a learned mix of
each layer's input with the token embedding, a token-shift on the embedding (smear), a share of
the middle layer subtracted at the end (backout), soft-capped logits, an untied or tied head.

Shapes: B rows, T positions, C model width, H heads, K kv heads, D head width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from core.attention.attend import Attend
from core.attention.rotary import rotary_tables, rotate
from core.config import ModelConfig
from core.initialisation import write_weights
from core.scaling import GATE_CHANNELS, SMEAR_CHANNELS


def rms_norm(x: Tensor) -> Tensor:
    """Return x divided by its root mean square over the last axis."""
    return F.rms_norm(x, (x.size(-1),))


def cast_linear(x: Tensor, weight: Tensor) -> Tensor:
    """Return x times the transposed weight, cast to the type of x."""
    return F.linear(x, weight.to(x.dtype))


class Linear(nn.Linear):
    """A bias-free linear layer; `multiply` is its product with the float32 weight."""

    multiply: Callable[[Tensor, Tensor], Tensor]

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.multiply = cast_linear

    def reset_parameters(self) -> None:
        """Leave the weight unwritten: init_weights or a checkpoint writes it."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x times the transposed weight."""
        return self.multiply(x, self.weight)


class Embedding(nn.Embedding):
    """A table whose rows init_weights or a checkpoint writes."""

    def reset_parameters(self) -> None:
        """Leave the table unwritten.

        torch's own normal draw, made on the meta device, would load torch._dynamo: seconds.
        """


class Attention(nn.Module):
    """Causal self-attention of one layer."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.config = config
        self.window = config.window(layer)
        kv_width = config.num_kv_heads * config.head_dim
        self.query = Linear(config.n_embd, config.n_embd)
        self.key = Linear(config.n_embd, kv_width)
        self.value = Linear(config.n_embd, kv_width)
        self.out = Linear(config.n_embd, config.n_embd)
        self.value_gate = (
            Linear(min(GATE_CHANNELS, config.n_embd), config.num_kv_heads)
            if config.has_value_embed(layer)
            else None
        )

    def forward(
        self,
        x_BTC: Tensor,
        value_embed_BTE: Tensor | None,
        rotary: tuple[Tensor, Tensor],
        attend: Attend,
    ) -> Tensor:
        """Return what the layer adds to x, (B, T, C)."""
        B, T, _ = x_BTC.shape
        D = self.config.head_dim
        q_BTHD = self.query(x_BTC).view(B, T, -1, D)
        k_BTKD = self.key(x_BTC).view(B, T, -1, D)
        v_BTKD = self.value(x_BTC).view(B, T, -1, D)
        if self.value_gate is not None and value_embed_BTE is not None:
            gate_BTK = 3 * torch.sigmoid(self.value_gate(x_BTC[..., :GATE_CHANNELS]))
            v_BTKD = v_BTKD + gate_BTK[..., None] * value_embed_BTE.view(B, T, -1, D)
        q_BTHD = rms_norm(rotate(q_BTHD, *rotary)) * self.config.qk_scale
        k_BTKD = rms_norm(rotate(k_BTKD, *rotary)) * self.config.qk_scale
        y_BTHD = attend(q_BTHD, k_BTKD, v_BTKD, window=self.window)
        return self.out(y_BTHD.reshape(B, T, -1))


class MLP(nn.Module):
    """Two linear layers with a squared ReLU between them."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.fc = Linear(config.n_embd, 4 * config.n_embd)
        self.out = Linear(4 * config.n_embd, config.n_embd)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Return what the layer adds to x, (B, T, C)."""
        return self.out(F.relu(self.fc(x_BTC)).square())


class Block(nn.Module):
    """Attention, then MLP, each on a normalised input and added to the residual stream."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.attn = Attention(config, layer)
        self.mlp = MLP(config)

    def forward(
        self,
        x_BTC: Tensor,
        value_embed_BTE: Tensor | None,
        rotary: tuple[Tensor, Tensor],
        attend: Attend,
    ) -> Tensor:
        """Return the residual stream after this layer, (B, T, C)."""
        x_BTC = x_BTC + self.attn(rms_norm(x_BTC), value_embed_BTE, rotary, attend)
        return x_BTC + self.mlp(rms_norm(x_BTC))


class GPT(nn.Module):
    """The whole model: embed, trunk and head, callable apart so that a loss can be fused."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: ModelConfig, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config = config
        self.dtype = dtype
        # Training chooses another one where the machine has it; all compute the same.
        self.attend = Attend()
        # Whether the backward pass computes each block again instead of keeping what it made.
        self.is_checkpointing = False
        vocab, layers = config.padded_vocab_size, config.num_layers
        self.wte = Embedding(vocab, config.n_embd)
        self.value_embeds = nn.ModuleDict(
            {
                str(layer): Embedding(vocab, config.num_kv_heads * config.head_dim)
                for layer in range(layers)
                if config.has_value_embed(layer)
            }
        )
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(layers))
        self.head = Linear(config.n_embd, vocab)
        if config.tied_head:
            self.head.weight = self.wte.weight
        if config.residual_scalars:
            self.resid_lambdas = nn.Parameter(torch.empty(layers))
            self.x0_lambdas = nn.Parameter(torch.empty(layers))
        if config.smear:
            self.smear_gate = Linear(min(SMEAR_CHANNELS, config.n_embd), 1)
            self.smear_lambda = nn.Parameter(torch.empty(1))
        if config.backout:
            self.backout_lambda = nn.Parameter(torch.empty(1))
        # Ten times the training length, so that a chat may outgrow it.
        for name in ("cos", "sin"):
            shape = (config.max_positions, config.head_dim // 2)
            self.register_buffer(name, torch.empty(shape), persistent=False)

    def init_weights(self, generator: torch.Generator) -> None:
        """Write every parameter, by the table in core.initialisation, and every buffer."""
        write_weights(self, generator)
        self.init_buffers()

    @torch.no_grad()
    def init_buffers(self) -> None:
        """Write the rotary tables, which checkpoints do not hold."""
        tables = rotary_tables(
            self.cos.size(0), self.config.head_dim, self.config.rope_base, self.cos.device
        )
        self.cos.copy_(tables[0])
        self.sin.copy_(tables[1])

    def embed(self, idx_BT: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return token embeddings (B, T, C) and one value embedding per layer that has one.

        Kept outside compiled code: inductor adds embedding gradients with atomics, whose order
        is not repeatable on a CPU, while the eager kernel's is. What attention needs to have
        ready is made here for the same reason.
        """
        windows = {self.config.window(layer) for layer in range(self.config.num_layers)}
        self.attend.prepare(idx_BT.size(1), windows, idx_BT.device)
        x_BTC = rms_norm(F.embedding(idx_BT, self.wte.weight)).to(self.dtype)
        values = []
        for table in self.value_embeds.values():
            assert isinstance(table, nn.Embedding)
            values.append(F.embedding(idx_BT, table.weight).to(self.dtype))
        return x_BTC, values

    def trunk(self, x_BTC: Tensor, value_embeds: Sequence[Tensor]) -> Tensor:
        """Return the normalised last hidden state, (B, T, C)."""
        T = x_BTC.size(1)
        rotary = (
            self.cos[None, :T, None].to(x_BTC.dtype),
            self.sin[None, :T, None].to(x_BTC.dtype),
        )
        if self.config.smear:
            # The first position of a row has no embedding before it.
            before_BTC = F.pad(x_BTC, (0, 0, 1, 0))[:, :-1]
            gate_BT1 = torch.sigmoid(self.smear_gate(x_BTC[..., :SMEAR_CHANNELS]))
            x_BTC = x_BTC + self.smear_lambda.to(x_BTC.dtype) * gate_BT1 * before_BTC
        x0_BTC, middle_BTC = x_BTC, x_BTC
        remaining = iter(value_embeds)
        for layer, block in enumerate(self.blocks):
            if self.config.residual_scalars:
                resid, x0 = self.resid_lambdas[layer], self.x0_lambdas[layer]
                x_BTC = resid.to(x_BTC.dtype) * x_BTC + x0.to(x_BTC.dtype) * x0_BTC
            value = next(remaining) if self.config.has_value_embed(layer) else None
            whole = partial(block, value_embed_BTE=value, rotary=rotary, attend=self.attend)
            if self.is_checkpointing and torch.is_grad_enabled():
                # Nothing in a block is random, so no generator's state need be kept.
                x_BTC = checkpoint(whole, x_BTC, use_reentrant=False, preserve_rng_state=False)
            else:
                x_BTC = whole(x_BTC)
            if layer == self.config.num_layers // 2:
                middle_BTC = x_BTC
        if self.config.backout:
            x_BTC = x_BTC - self.backout_lambda.to(x_BTC.dtype) * middle_BTC
        return rms_norm(x_BTC)

    def logits(self, x_BTC: Tensor) -> Tensor:
        """Return soft-capped float32 logits over the unpadded vocabulary, (B, T, V)."""
        logits_BTV = self.head(x_BTC)[..., : self.config.vocab_size].float()
        cap = self.config.softcap
        return cap * torch.tanh(logits_BTV / cap)

    def forward(self, idx_BT: Tensor) -> Tensor:
        """Return logits of every position, (B, T, V)."""
        return self.logits(self.trunk(*self.embed(idx_BT)))
