"""A model's weights, prepared once for decoding: cast, transposed, fused, constants as numbers.

They are copies: a later change of the model does not reach them, and they need as much memory
again in the chosen type (the value embeddings are shared when their type is the same). In float32
each matrix behind a normalisation carries the factor sqrt(width) of that norm. The two halves of
each rotary pair lie side by side, so that one complex product turns all heads.

Shapes: C model width, H heads, K kv heads, D head width, N outputs, V vocabulary, E = K * D.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import hardware
from core.config import ModelConfig
from core.engine.int8 import MAX_INT8, TINY, Int8Matrix
from core.engine.screen import Screen
from core.model import GPT, Block
from core.scaling import SMEAR_CHANNELS
from runs.errors import UsageError

WeightType = Literal["native", "float32", "bfloat16", "int8"]
# Below this width a matrix multiplies in float32 faster than its input can be quantised:
# measured on 2 cores with AVX512-VNNI, 256 wide: 10 to 50 us against 30 to 70 us.
MIN_INT8_WIDTH = 512
MAX_FEW_ROWS = 2
MIN_SCREENED_VOCAB = 4096


class Matrix(Protocol):
    """A weight that rows can be multiplied with."""

    def bytes_read(self, num_rows: int) -> int:
        """Return the bytes that a product with so many rows reads."""
        ...

    def __call__(self, x_BC: Tensor, out: Tensor | None = None) -> Tensor:
        """Return x times the matrix, (B, N)."""
        ...

    def add_to(self, sum_BN: Tensor, x_BC: Tensor) -> Tensor:
        """Return sum + x times the matrix, (B, N)."""
        ...

    def stored(self) -> tuple[Tensor, Tensor | None]:
        """Return the values, (N, C), and what each output's are multiplied with, if anything."""
        ...


class DenseMatrix:
    """A floating-point weight, stored (inputs, outputs).

    In that order a few rows multiply up to twice as fast on a CPU as with torch's own
    (outputs, inputs); one row alone is equally fast.
    """

    def __init__(self, weight_NC: Tensor, dtype: torch.dtype) -> None:
        self._weight_CN = weight_NC.to(dtype).t().contiguous()

    def bytes_read(self, num_rows: int) -> int:
        """Return the bytes that a product with so many rows reads."""
        return self._weight_CN.numel() * self._weight_CN.element_size()

    def __call__(self, x_BC: Tensor, out: Tensor | None = None) -> Tensor:
        """Return x times the matrix, (B, N)."""
        return torch.mm(x_BC, self._weight_CN, out=out)

    def add_to(self, sum_BN: Tensor, x_BC: Tensor) -> Tensor:
        """Return sum + x times the matrix, (B, N)."""
        return torch.addmm(sum_BN, x_BC, self._weight_CN)

    def stored(self) -> tuple[Tensor, Tensor | None]:
        """Return the values, (N, C); they have no scales."""
        return self._weight_CN.t(), None


class FewRowsMatrix:
    """A float32 weight with an int8 copy, which one row or two are multiplied with.

    So few rows wait for memory, and the copy is a quarter of it: 1.2 times the speed of a whole
    step at a width of 256. The input is rounded to bfloat16, the products are floats.
    """

    def __init__(self, dense: DenseMatrix, weight_NC: Tensor) -> None:
        self._dense = dense
        scale_N = weight_NC.abs().amax(dim=1).clamp(min=TINY) / MAX_INT8
        self._int8_NC = torch.round(weight_NC / scale_N[:, None]).to(torch.int8)
        self._scale_N = scale_N.bfloat16()

    def bytes_read(self, num_rows: int) -> int:
        """Return the bytes that a product with so many rows reads."""
        if num_rows > MAX_FEW_ROWS:
            return self._dense.bytes_read(num_rows)
        return self._int8_NC.numel() + 2 * self._scale_N.numel()

    def __call__(self, x_BC: Tensor, out: Tensor | None = None) -> Tensor:
        """Return x times the matrix, (B, N)."""
        if x_BC.size(0) > MAX_FEW_ROWS:
            return self._dense(x_BC, out)
        return torch._weight_int8pack_mm(x_BC.bfloat16(), self._int8_NC, self._scale_N).float()

    def add_to(self, sum_BN: Tensor, x_BC: Tensor) -> Tensor:
        """Return sum + x times the matrix, (B, N)."""
        if x_BC.size(0) > MAX_FEW_ROWS:
            return self._dense.add_to(sum_BN, x_BC)
        return self(x_BC).add_(sum_BN)

    def stored(self) -> tuple[Tensor, Tensor | None]:
        """Return the int8 values, (N, C), and their scales."""
        return self._int8_NC, self._scale_N


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerWeights:
    """One layer: qkv holds queries, keys, values and, with value embeddings, their gates."""

    qkv: Matrix
    out: Matrix
    up: Matrix
    down: Matrix
    value_embed: Tensor | None
    resid: float | None
    x0: float
    window: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A whole model; `is_folded` says whether the norms' factors are in the matrices.

    The row after the last of `embed` is zero: the embedding before the first position.
    """

    config: ModelConfig
    dtype: torch.dtype
    is_folded: bool
    embed: Tensor
    smear: Tensor | None
    layers: tuple[LayerWeights, ...]
    backout: float
    head: Matrix
    screen: Screen | None
    rotary: Tensor

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embed.device

    def bytes_read(self, num_rows: int) -> int:
        """Return the bytes of the matrices that a greedy step of so many rows reads.

        Of the embedding tables it reads single rows, which are not counted.
        """
        head = self.head if self.screen is None else self.screen
        return head.bytes_read(num_rows) + sum(
            matrix.bytes_read(num_rows)
            for layer in self.layers
            for matrix in (layer.qkv, layer.out, layer.up, layer.down)
        )


@torch.no_grad()
def prepare(model: GPT, kind: WeightType = "native") -> Weights:
    """Return the weights of a model, ready to decode with.

    Raises:
        UsageError: int8 on a device or a CPU that torch has no kernel for.
    """
    config = model.config
    # The int8 products take and give float32 on a CPU, bfloat16 on a GPU.
    on_cpu = model.cos.device.type == "cpu"
    types = {
        "native": model.dtype, "float32": torch.float32, "bfloat16": torch.bfloat16,
        "int8": torch.float32 if on_cpu else torch.bfloat16,
    }  # fmt: skip
    dtype = types[kind]
    is_folded = dtype == torch.float32
    builder = _Builder(config, dtype, is_int8=kind == "int8", is_folded=is_folded)
    table = F.rms_norm(model.wte.weight, (config.n_embd,)).to(dtype)
    smear = None
    if config.smear:
        gate_V1 = torch.sigmoid(model.smear_gate(table[:, :SMEAR_CHANNELS]))
        smear = (model.smear_lambda.to(dtype) * gate_V1).contiguous()
    head_fold = math.sqrt(config.n_embd) if is_folded else 1.0
    return Weights(
        config=config,
        dtype=dtype,
        is_folded=is_folded,
        embed=F.pad(table, (0, 0, 0, 1)).contiguous(),
        smear=None if smear is None else smear.detach(),
        layers=tuple(builder.layer(model, index) for index in range(config.num_layers)),
        backout=float(model.backout_lambda) if config.backout else 0.0,
        head=builder.matrix(model.head.weight[: config.vocab_size] * head_fold, is_head=True),
        screen=_screen(model, head_fold) if is_folded and kind != "int8" and on_cpu else None,
        rotary=torch.complex(model.cos, -model.sin),
    )


def _screen(model: GPT, factor: float) -> Screen | None:
    """Return a screen before a head large enough, where 8-bit products are fast."""
    if model.config.vocab_size < MIN_SCREENED_VOCAB or not hardware.has_cpu_vnni():
        return None
    try:
        return Screen(model.head.weight[: model.config.vocab_size], factor)
    except UsageError:
        return None


class _Builder:
    def __init__(
        self, config: ModelConfig, dtype: torch.dtype, *, is_int8: bool, is_folded: bool
    ) -> None:
        self._config = config
        self._dtype = dtype
        self._is_int8 = is_int8
        self._fold = math.sqrt(config.n_embd) if is_folded else 1.0

    def matrix(self, weight_NC: Tensor, *, is_head: bool = False) -> Matrix:
        if self._is_int8 and (is_head or self._config.n_embd >= MIN_INT8_WIDTH):
            return Int8Matrix(weight_NC)
        dense = DenseMatrix(weight_NC, self._dtype)
        is_on_cpu = weight_NC.device.type == "cpu"
        return FewRowsMatrix(dense, weight_NC) if self._is_int8 and is_on_cpu else dense

    def layer(self, model: GPT, index: int) -> LayerWeights:
        block, config = model.blocks[index], self._config
        assert isinstance(block, Block)
        table = model.value_embeds[str(index)] if config.has_value_embed(index) else None
        assert table is None or isinstance(table, nn.Embedding)
        has_scalars = config.residual_scalars
        return LayerWeights(
            qkv=self.matrix(self._qkv(block) * self._fold),
            out=self.matrix(block.attn.out.weight),
            up=self.matrix(block.mlp.fc.weight * self._fold),
            down=self.matrix(block.mlp.out.weight),
            value_embed=None if table is None else table.weight.detach().to(self._dtype),
            resid=float(model.resid_lambdas[index]) if has_scalars else None,
            x0=float(model.x0_lambdas[index]) if has_scalars else 0.0,
            window=config.window(index),
        )

    def _qkv(self, block: Block) -> Tensor:
        """Return the rows of all heads' queries, keys, values and gates, one below another."""
        attn, width = block.attn, self._config.n_embd
        rows = [self._paired(attn.query.weight), self._paired(attn.key.weight), attn.value.weight]
        if attn.value_gate is not None:
            gate = attn.value_gate.weight
            # Full rows of 16: pairs must start at even places, and vectors are that wide.
            num_rows = -(-gate.size(0) // 16) * 16
            rows.append(F.pad(gate, (0, width - gate.size(1), 0, num_rows - gate.size(0))))
        return torch.cat(rows)

    def _paired(self, weight_NC: Tensor) -> Tensor:
        """Return the rows of each head reordered from half-split to neighbouring pairs."""
        halves = weight_NC.view(-1, 2, self._config.head_dim // 2, weight_NC.size(1))
        return halves.transpose(1, 2).reshape(weight_NC.shape)
