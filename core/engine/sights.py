"""What the rows of an eager step see of the cache, and their masks; views and tables, made once.

Shapes: B rows, T positions, S slots in sight, K kv heads, D head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.engine.cache import KVCache
from core.engine.weights import Weights

# A step looks at slots up to a multiple of this, so that few shapes occur.
SLOTS_BUCKET = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """The part of the cache that neighbouring rows of a step attend to.

    first_slots: where each row's key and value heads begin in the flat cache, (B, 2 * K).
    layers: keys (B * K, D, S) and values (B * K, S, D) of every layer.
    """

    in_sight: int
    num_rows: int
    heads: slice
    rows: slice
    first_slots: Tensor
    layers: tuple[tuple[Tensor, Tensor], ...]


class Sights:
    """Finds sights and masks; forget() when the cache has moved."""

    def __init__(self, weights: Weights, cache: KVCache, *, is_row_exact: bool) -> None:
        self._weights = weights
        self._config = weights.config
        self._device = weights.device
        self._cache = cache
        self._is_row_exact = is_row_exact
        self._windows = {layer.window for layer in weights.layers}
        self._ramps: dict[int, Tensor] = {}
        self._sights: dict[tuple[int, int, int], Sight] = {}

    def forget(self) -> None:
        """Drop every view of the cache."""
        self._ramps.clear()
        self._sights.clear()

    def look(self, first_row: int, filled: Sequence[int]) -> list[Sight]:
        """Return what the rows can see: together, or each by itself when that must be exact."""
        if self._is_row_exact:
            return [
                self._sight(first_row + i, i, 1, num_filled) for i, num_filled in enumerate(filled)
            ]
        return [self._sight(first_row, 0, len(filled), max(filled))]

    def write_slots(self, sights: Sequence[Sight], slots_B: Tensor) -> Tensor:
        """Return where keys and values go in the flat cache, (B * 2 * K,)."""
        first = [sight.first_slots for sight in sights]
        first_BM = first[0] if len(first) == 1 else torch.cat(first)
        return (first_BM + slots_B[:, None]).reshape(-1)

    def masks(self, sight: Sight, positions_B: Tensor) -> dict[int, Tensor]:
        """Return what to add to scores, (B * K, 1, S), for each window that a layer has."""
        per_head = positions_B[sight.rows].repeat_interleave(self._config.num_kv_heads)
        return {
            window: self.mask(window, per_head, sight.in_sight)[:, None] for window in self._windows
        }

    def mask(self, window: int, positions_T: Tensor, in_sight: int) -> Tensor:
        """Return (T, S): 0 where a position may look and -inf elsewhere.

        Every such row is a stretch of one ramp, -inf .. 0 .. -inf, that starts further left the
        later the position is; the ramp seen through overlapping strides is a table of them.
        """
        num_slots = self._cache.num_slots
        if window not in self._ramps:
            ramp = torch.full((2 * num_slots,), -torch.inf, dtype=self._weights.dtype)
            ramp[max(0, num_slots - window) : num_slots + 1] = 0
            self._ramps[window] = ramp.to(self._device)
        table = self._ramps[window].as_strided((num_slots + 1, in_sight), (1, 1))
        return table.index_select(0, num_slots - positions_T)

    def _sight(self, first_row: int, offset: int, num_rows: int, num_filled: int) -> Sight:
        in_sight = max(1, -(-num_filled // SLOTS_BUCKET)) * SLOTS_BUCKET
        in_sight = min(in_sight, self._cache.num_slots)
        key = first_row, num_rows, in_sight
        if key not in self._sights:
            self._sights[key] = self._new_sight(first_row, offset, num_rows, in_sight)
        return self._sights[key]

    def _new_sight(self, first_row: int, offset: int, num_rows: int, in_sight: int) -> Sight:
        num_heads = self._config.num_kv_heads
        rows = slice(first_row, first_row + num_rows)
        layers = []
        for index in range(self._config.num_layers):
            k, v = (side[rows, :, :in_sight].flatten(0, 1) for side in self._cache.layer(index))
            layers.append((k.transpose(1, 2), v))
        size = self._cache.num_rows
        heads_2RK = torch.arange(2 * size * num_heads, device=self._device)
        heads_B2K = heads_2RK.view(2, size, num_heads)[:, rows].transpose(0, 1)
        return Sight(
            in_sight=in_sight,
            num_rows=num_rows,
            heads=slice(offset * num_heads, (offset + num_rows) * num_heads),
            rows=slice(offset, offset + num_rows),
            first_slots=heads_B2K.reshape(num_rows, -1) * self._cache.num_slots,
            layers=tuple(layers),
        )
