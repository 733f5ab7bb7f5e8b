"""The lean forward pass: prompts into the cache, then one token for a block of rows per step.

It computes what core.model computes, with fewer kernels: no modules, masks and rotary factors
once per step, writes in place, the head on last positions only. On a CPU with a C++ compiler the
step is one compiled call (native.py), on a GPU a replayed graph (static_step.py).

Shapes: B rows, T new positions, S slots in sight, C model width, H heads, K kv heads, G = H / K,
D head width, d = D / 2, V vocabulary, E = K * D.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from core.attention.blocks import attend_in_blocks
from core.engine.cache import KVCache
from core.engine.native import native_step
from core.engine.sights import Sight, Sights
from core.engine.static_step import StaticSteps
from core.engine.weights import LayerWeights, Weights

NORM_EPS = torch.finfo(torch.float32).eps


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One row of a decode step: its last token, the one before, and where it goes.

    before_id is None at the very first position.
    """

    id: int
    before_id: int | None
    position: int


class Decoder(Protocol):
    """What the scheduler asks of a model."""

    def prefill(self, row: int, ids: Sequence[int], start: int, *, is_last: bool) -> Tensor | None:
        """Store ids[start:] of a row; return the raw logits after them, (1, V), if is_last."""
        ...

    def decode(
        self, first_row: int, places: Sequence[Place | None], *, is_greedy: bool = False
    ) -> Tensor:
        """Return the raw logits after one more token of neighbouring rows, (B, V).

        None is padding: it stores nothing, and its logits mean nothing. The result may be
        overwritten by the next call. With is_greedy only the largest of each row need be right,
        and others may be -inf.
        """
        ...

    def copy_row(self, source: int, target: int, num_positions: int) -> None:
        """Copy what is stored of a row over another row."""
        ...


class CachedDecoder:
    """A decoder over prepared weights and a static cache.

    Args:
        is_row_exact: attend row by row, each over slots that its own length alone decides, so
            that no other row can change the order in which a row's sums are added up.
        is_native: use the compiled step where there is one; it is row-exact in any case.
        is_static: run eager steps over buffers that stay; None: on a GPU, as graphs.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        num_rows: int,
        is_row_exact: bool = False,
        is_native: bool = True,
        is_static: bool | None = None,
    ) -> None:
        config = weights.config
        self.weights = weights
        self._config = config
        self._device = weights.device
        self._cache = KVCache(config, num_rows=num_rows, device=weights.device, dtype=weights.dtype)
        fold = config.head_dim if weights.is_folded else 1.0
        self._scale = config.qk_scale**2 * fold / math.sqrt(config.head_dim)
        self._eps = {
            width: torch.tensor(math.sqrt(width * NORM_EPS), device=self._device)
            for width in (config.n_embd, config.head_dim)
        }
        self._logits: dict[int, Tensor] = {}
        self._native_logits: dict[int, Tensor] = {}
        self._sights = Sights(weights, self._cache, is_row_exact=is_row_exact)
        if is_static is None:
            is_static = self._device.type == "cuda"
        self._statics = StaticSteps(self._device) if is_static else None
        self._native = (
            native_step(weights, score_scale=self._scale, eps=NORM_EPS) if is_native else None
        )

    @property
    def cache_bytes(self) -> int:
        """Memory that the cache holds."""
        return self._cache.num_bytes

    @property
    def is_native(self) -> bool:
        """Whether steps are single compiled calls."""
        return self._native is not None

    def bytes_read(self, num_rows: int) -> int:
        """Return the bytes of the matrices that a greedy step of so many rows reads."""
        if self._native is not None:
            return self._native.bytes_read()
        return self.weights.bytes_read(num_rows)

    @torch.inference_mode()
    def copy_row(self, source: int, target: int, num_positions: int) -> None:
        """Copy what is stored of a row over another row."""
        self._cache.copy_row(source, target, num_positions)

    @torch.inference_mode()
    def prefill(self, row: int, ids: Sequence[int], start: int, *, is_last: bool) -> Tensor | None:
        """Store ids[start:] of a row; return the raw logits after them, (1, V), if is_last."""
        self._reserve(len(ids))
        no_token = self.weights.embed.size(0) - 1
        before = [ids[start - 1] if start else no_token, *ids[start:-1]]
        numbers_2T = torch.tensor([list(ids[start:]), before], device=self._device)
        x_TC = self._embed(numbers_2T)
        x0_TC, middle_TC = x_TC, x_TC
        turn_T1d = self.weights.rotary[start : len(ids), None]
        for index, layer in enumerate(self.weights.layers):
            x_TC = _mix(layer, x_TC, x0_TC)
            qkv_TN = self._project(layer, x_TC, turn_T1d, numbers_2T[0])
            self._store_chunk(index, row, start, qkv_TN)
            if index == self._config.num_layers - 1:
                if not is_last:
                    return None
                # Of the last layer only the last position is read on.
                x_TC, qkv_TN, middle_TC = x_TC[-1:], qkv_TN[-1:], middle_TC[-1:]
            y_TC = self._attend_chunk(index, row, len(ids), qkv_TN)
            x_TC = self._finish(layer, x_TC, y_TC)
            if index == self._config.num_layers // 2:
                middle_TC = x_TC
        return self._head(x_TC, middle_TC)

    @torch.inference_mode()
    def decode(
        self, first_row: int, places: Sequence[Place | None], *, is_greedy: bool = False
    ) -> Tensor:
        """Return the raw logits after one more token of neighbouring rows, (B, V)."""
        filled = [0 if place is None else place.position + 1 for place in places]
        self._reserve(max(filled))
        if self._native is not None:
            return self._decode_native(first_row, places, is_greedy=is_greedy)
        no_token, nowhere = self.weights.embed.size(0) - 1, self._cache.num_slots - 1
        numbers: list[list[int]] = [[], [], [], []]
        for place in places:
            if place is None:
                columns = (0, no_token, 0, nowhere)
            else:
                before = no_token if place.before_id is None else place.before_id
                columns = (place.id, before, place.position, place.position)
            for column, number in zip(numbers, columns, strict=True):
                column.append(number)
        sights = self._sights.look(first_row, filled)
        step = partial(self._step, sights=sights, is_greedy=is_greedy)
        if self._statics is None:
            return step(torch.tensor(numbers, device=self._device))
        key = (first_row, len(places), is_greedy, *(sight.in_sight for sight in sights))
        return self._statics.run(key, step, numbers)

    def _decode_native(
        self, first_row: int, places: Sequence[Place | None], *, is_greedy: bool
    ) -> Tensor:
        assert self._native is not None
        num = len(places)
        if num not in self._native_logits:
            self._native_logits[num] = torch.zeros(num, self._config.vocab_size)
        taken = [index for index, place in enumerate(places) if place is not None]
        self._native.run(
            self._cache,
            [first_row + index for index in taken],
            [place for place in places if place is not None],
            self._native_logits[num],
            taken,
            is_greedy=is_greedy,
        )
        return self._native_logits[num]

    def _step(self, numbers_4B: Tensor, sights: Sequence[Sight], *, is_greedy: bool) -> Tensor:
        """Return logits; numbers holds ids, ids before, positions and slots to write to."""
        weights = self.weights
        x_BC = self._embed(numbers_4B)
        x0_BC, middle_BC = x_BC, x_BC
        turn_B1d = weights.rotary.index_select(0, numbers_4B[2])[:, None]
        slots_M = self._sights.write_slots(sights, numbers_4B[3])
        masks = [self._sights.masks(sight, numbers_4B[2]) for sight in sights]
        for index, layer in enumerate(weights.layers):
            x_BC = _mix(layer, x_BC, x0_BC)
            qkv_BN = self._project(layer, x_BC, turn_B1d, numbers_4B[0])
            self._cache.flat(index).index_copy_(0, slots_M, self._keys_and_values(qkv_BN))
            y_BC = self._attend(index, qkv_BN, sights, masks)
            x_BC = self._finish(layer, x_BC, y_BC)
            if index == self._config.num_layers // 2:
                middle_BC = x_BC
        return self._head(x_BC, middle_BC, is_greedy=is_greedy)

    def _embed(self, numbers: Tensor) -> Tensor:
        """Return smeared token embeddings, (B, C), of ids and the ids before them."""
        weights, num = self.weights, numbers.size(1)
        if weights.smear is None:
            return weights.embed.index_select(0, numbers[0])
        rows = weights.embed.index_select(0, numbers[:2].reshape(-1))
        share_B1 = weights.smear.index_select(0, numbers[0])
        return torch.addcmul(rows[:num], share_B1, rows[num:])

    def _norm(self, x: Tensor) -> Tensor:
        """Return x over its root mean square, in float32 over its length: weights make up."""
        if not self.weights.is_folded:
            return F.rms_norm(x, (x.size(-1),))
        return x / torch.linalg.vector_norm(x, 2, -1, True).hypot_(self._eps[x.size(-1)])

    def _project(
        self, layer: LayerWeights, x_BC: Tensor, turn_B1d: Tensor, ids_B: Tensor
    ) -> Tensor:
        """Return queries, keys and values side by side, ready for attention, (B, N)."""
        config, num = self._config, x_BC.size(0)
        num_turned = config.num_heads + config.num_kv_heads
        qkv_BN = layer.qkv(self._norm(x_BC))
        qk = qkv_BN[:, : num_turned * config.head_dim].view(num, num_turned, -1)
        if self.weights.is_folded:
            qk.div_(torch.linalg.vector_norm(qk, 2, -1, True).hypot_(self._eps[config.head_dim]))
            torch.view_as_complex(qk.view(num, num_turned, -1, 2)).mul_(turn_B1d)
        else:
            pairs = torch.view_as_complex(self._norm(qk.float()).view(num, num_turned, -1, 2))
            qk.copy_(torch.view_as_real(pairs * turn_B1d).flatten(-2))
        if layer.value_embed is not None:
            first, width = num_turned * config.head_dim, config.num_kv_heads * config.head_dim
            last = first + width
            v_BKD = qkv_BN[:, first:last].view(num, config.num_kv_heads, -1)
            gate_BK = torch.sigmoid(qkv_BN[:, last : last + config.num_kv_heads])
            embed_BKD = layer.value_embed.index_select(0, ids_B).view(v_BKD.shape)
            v_BKD.addcmul_(gate_BK[:, :, None], embed_BKD, value=3)
        return qkv_BN

    def _finish(self, layer: LayerWeights, x_BC: Tensor, y_BC: Tensor) -> Tensor:
        """Return the residual stream after a layer whose heads gave y."""
        x_BC = layer.out.add_to(x_BC, y_BC)
        h = layer.up(self._norm(x_BC)).relu_()
        return layer.down.add_to(x_BC, h.mul_(h))

    def _head(self, x_BC: Tensor, middle_BC: Tensor, *, is_greedy: bool = False) -> Tensor:
        weights, num = self.weights, x_BC.size(0)
        if weights.backout:
            x_BC = torch.add(x_BC, middle_BC, alpha=-weights.backout)
        if num not in self._logits:
            # Kept: a fresh megabyte per step would be mapped and cleared by the system each time.
            shape = num, self._config.vocab_size
            self._logits[num] = torch.empty(shape, device=self._device, dtype=weights.dtype)
        x_BC, out = self._norm(x_BC), self._logits[num]
        if is_greedy and weights.screen is not None and weights.screen(x_BC, out):
            return out
        return weights.head(x_BC, out)

    def _keys_and_values(self, qkv_BN: Tensor) -> Tensor:
        """Return (B * 2 * K, D)."""
        config = self._config
        first = config.num_heads * config.head_dim
        last = first + 2 * config.num_kv_heads * config.head_dim
        return qkv_BN[:, first:last].reshape(-1, config.head_dim)

    def _store_chunk(self, index: int, row: int, start: int, qkv_TN: Tensor) -> None:
        config, num = self._config, qkv_TN.size(0)
        kv = self._keys_and_values(qkv_TN).view(num, 2, config.num_kv_heads, config.head_dim)
        self._cache.kv[index, :, row, :, start : start + num] = kv.permute(1, 2, 0, 3)

    def _attend_chunk(self, index: int, row: int, end: int, qkv_TN: Tensor) -> Tensor:
        """Return heads' outputs, (T, C), for the last T of a row's `end` positions."""
        config, num = self._config, qkv_TN.size(0)
        k_1SKD, v_1SKD = (
            side[row : row + 1, :, :end].transpose(1, 2) for side in self._cache.layer(index)
        )
        q_1THD = qkv_TN[None, :, : config.n_embd].view(1, num, config.num_heads, -1)
        y_1THD = attend_in_blocks(
            q_1THD, k_1SKD, v_1SKD, window=config.window(index), scale=self._scale
        )
        return y_1THD.reshape(num, -1)

    def _attend(
        self,
        index: int,
        qkv_BN: Tensor,
        sights: Sequence[Sight],
        masks: Sequence[dict[int, Tensor]],
    ) -> Tensor:
        """Return heads' outputs, (B, C)."""
        config, num = self._config, qkv_BN.size(0)
        window = config.window(index)
        q = qkv_BN[:, : config.num_heads * config.head_dim].reshape(
            num * config.num_kv_heads, -1, config.head_dim
        )
        outputs = []
        for sight, mask in zip(sights, masks, strict=True):
            own = q if len(sights) == 1 else q[sight.heads]
            keys, values = sight.layers[index]
            scores = torch.baddbmm(mask[window], own, keys, alpha=self._scale)
            outputs.append(torch.bmm(torch.softmax(scores, dim=-1), values))
        y = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        return y.view(num, -1)

    def _reserve(self, num_positions: int) -> None:
        if self._cache.reserve(num_positions):
            self._sights.forget()
            if self._statics is not None:
                self._statics.forget()


def _mix(layer: LayerWeights, x_BC: Tensor, x0_BC: Tensor) -> Tensor:
    if layer.resid is None:
        return x_BC
    return torch.mul(x_BC, layer.resid).add_(x0_BC, alpha=layer.x0)
