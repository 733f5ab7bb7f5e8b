"""FlexAttention with a sliding window, of which only blocks in sight are computed.

Importing it costs seconds (sympy): only who attends with it does.

Shapes: B rows, T positions, S key positions, H query heads, K kv heads, D head width, N blocks of
positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

BLOCK = 128
# The kernel's smallest head.
MIN_HEAD_DIM = 16


class SlidingFlex:
    """The kernel, and the masks that it was prepared with: one per length, window and device.

    kernel: None compiles torch's; without compilation it would write out all scores.
    """

    def __init__(self, kernel: Callable[..., Any] | None = None) -> None:
        self._kernel = torch.compile(flex_attention, dynamic=False) if kernel is None else kernel
        self._masks: dict[tuple[int, int, str], BlockMask] = {}

    def prepare(self, num_positions: int, windows: Iterable[int], device: torch.device) -> None:
        """Make the masks of windows that are shorter than a row."""
        for window in windows:
            key = (num_positions, window, str(device))
            if window < num_positions - 1 and key not in self._masks:
                self._masks[key] = sliding_window(num_positions, window, device)

    def mask_of(self, q_BTHD: Tensor, k_BSKD: Tensor, window: int) -> BlockMask | None:
        """Return the mask of such a call, or None where the kernel is not for it."""
        num_positions, head_dim = q_BTHD.size(1), q_BTHD.size(3)
        if num_positions != k_BSKD.size(1) or head_dim < MIN_HEAD_DIM:
            return None
        return self._masks.get((num_positions, window, str(q_BTHD.device)))

    def __call__(self, q_BTHD: Tensor, k_BTKD: Tensor, v_BTKD: Tensor, mask: BlockMask) -> Tensor:
        """Return attention outputs, (B, T, H, D); scores are scaled by 1/sqrt(D)."""
        out_BHTD: Tensor = self._kernel(
            q_BTHD.transpose(1, 2),
            k_BTKD.transpose(1, 2),
            v_BTKD.transpose(1, 2),
            block_mask=mask,
            enable_gqa=q_BTHD.size(2) != k_BTKD.size(2),
        )
        return out_BHTD.transpose(1, 2)


def sliding_window(num_positions: int, window: int, device: torch.device) -> BlockMask:
    """Return the mask of a window, made from blocks: no T x T mask exists on the way."""
    num = -(-num_positions // BLOCK)
    partial = [[j for j in _in_sight(i, window) if not _is_full(i, j, window)] for i in range(num)]
    full = [[j for j in _in_sight(i, window) if _is_full(i, j, window)] for i in range(num)]

    def sees(_row: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query >= key) & (query - key <= window)

    return BlockMask.from_kv_blocks(
        *_listed(partial, device),
        *_listed(full, device),
        BLOCK_SIZE=BLOCK,
        mask_mod=sees,
        seq_lengths=(num_positions, num_positions),
    )


def _in_sight(query_block: int, window: int) -> range:
    """Return the key blocks of which the block's queries see something."""
    return range(max(0, (query_block * BLOCK - window) // BLOCK), query_block + 1)


def _is_full(query_block: int, key_block: int, window: int) -> bool:
    """Return whether every query of the block sees every key of the other."""
    furthest = (query_block - key_block + 1) * BLOCK - 1
    return key_block < query_block and furthest <= window


def _listed(blocks: list[list[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return counts (1, 1, N) and indices (1, 1, N, N), those beyond the counts being zero."""
    width = len(blocks)
    counts = torch.tensor([len(row) for row in blocks], dtype=torch.int32, device=device)
    padded = [row + [0] * (width - len(row)) for row in blocks]
    indices = torch.tensor(padded, dtype=torch.int32, device=device)
    return counts[None, None], indices[None, None]
