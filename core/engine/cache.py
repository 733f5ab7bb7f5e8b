"""The static key-value cache of incremental decoding.

Shapes: L layers, B rows, S slots per row, K kv heads, D head width, C model width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.config import ModelConfig


class KVCache:
    """Keys and values of the positions seen so far; every row has a length of its own."""

    def __init__(
        self,
        config: ModelConfig,
        *,
        num_rows: int,
        num_slots: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        shape = (config.num_layers, num_rows, num_slots, config.num_kv_heads, config.head_dim)
        self.k_LBSKD = torch.zeros(shape, device=device, dtype=dtype)
        self.v_LBSKD = torch.zeros(shape, device=device, dtype=dtype)
        self.lengths_B = torch.zeros(num_rows, device=device, dtype=torch.long)
        # Smear mixes each position with the embedding before it, so the last one is kept.
        self.last_embedding_BC = torch.zeros(num_rows, config.n_embd, device=device, dtype=dtype)

    @property
    def num_rows(self) -> int:
        """Rows that decode together."""
        return self.k_LBSKD.size(1)

    @property
    def num_slots(self) -> int:
        """Positions that fit into one row."""
        return self.k_LBSKD.size(2)

    def write(
        self, layer: int, positions_BT: Tensor, k_BTKD: Tensor, v_BTKD: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Store new keys and values at their positions; return the layer's whole cache."""
        rows_B1 = torch.arange(self.num_rows, device=positions_BT.device)[:, None]
        k_BSKD, v_BSKD = self.k_LBSKD[layer], self.v_LBSKD[layer]
        k_BSKD[rows_B1, positions_BT] = k_BTKD
        v_BSKD[rows_B1, positions_BT] = v_BTKD
        return k_BSKD, v_BSKD

    def advance(self, x_BTC: Tensor, num_new_B: Tensor) -> None:
        """Count num_new_B positions as seen and keep the embedding of the last of them.

        Rows of a padded prompt write padding beyond their length; the mask hides it until
        real positions overwrite it.
        """
        last_B11 = (num_new_B - 1).clamp(min=0)[:, None, None].expand(-1, 1, x_BTC.size(2))
        newest_BC = x_BTC.gather(1, last_B11).squeeze(1).to(self.last_embedding_BC.dtype)
        is_new_B1 = (num_new_B > 0)[:, None]
        self.last_embedding_BC = torch.where(is_new_B1, newest_BC, self.last_embedding_BC)
        self.lengths_B = self.lengths_B + num_new_B
