"""The key-value cache of decoding: a fixed number of rows, slots that grow by need.

Shapes: L layers, R rows, S slots per row, K kv heads, D head width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.config import ModelConfig

FIRST_SLOTS = 256


class KVCache:
    """Keys and values of every row; the last slot of a row takes what must go nowhere."""

    def __init__(
        self, config: ModelConfig, *, num_rows: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._max_slots = 10 * config.sequence_len + 1
        self._shape = (config.num_layers, 2, num_rows, config.num_kv_heads)
        self._head_dim = config.head_dim
        self._options = {"device": device, "dtype": dtype}
        self.kv = torch.zeros(*self._shape, 0, self._head_dim, **self._options)  # type: ignore[call-overload]

    @property
    def num_rows(self) -> int:
        """Rows that it holds."""
        return self.kv.size(2)

    @property
    def num_slots(self) -> int:
        """Positions that fit into one row, the one that takes what must go nowhere included."""
        return self.kv.size(4)

    @property
    def num_bytes(self) -> int:
        """Memory that the cache holds."""
        return self.kv.numel() * self.kv.element_size()

    def reserve(self, num_positions: int) -> bool:
        """Make room for that many positions per row; return whether the cache was moved.

        It doubles, so that copies stay few, up to ten training lengths.
        """
        if num_positions < self.num_slots:
            return False
        slots = max(FIRST_SLOTS, self.num_slots)
        while slots <= num_positions:
            slots *= 2
        slots = max(min(slots, self._max_slots), num_positions + 1)
        grown = torch.zeros(*self._shape, slots, self._head_dim, **self._options)  # type: ignore[call-overload]
        grown[..., : self.num_slots, :] = self.kv
        self.kv = grown
        return True

    def copy_row(self, source: int, target: int, num_positions: int) -> None:
        """Copy the first positions of a row over another row's."""
        self.kv[:, :, target, :, :num_positions] = self.kv[:, :, source, :, :num_positions]

    def layer(self, index: int) -> tuple[Tensor, Tensor]:
        """Return keys and values of a layer, each (R, K, S, D)."""
        return self.kv[index, 0], self.kv[index, 1]

    def flat(self, index: int) -> Tensor:
        """Return a layer as (2 * R * K * S, D): keys of all rows, then values."""
        return self.kv[index].view(-1, self._head_dim)
