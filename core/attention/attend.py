"""Causal attention with a left window, by one of three backends.

Shapes: B rows, T query positions, S key positions, the queries being the last T of them, H query
heads, K kv heads, D head width.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.attention.blocks import attend_in_blocks
from core.attention.choice import Backend, abilities, choose_backend
from core.attention.flash import Flash, attend_flash, find_flash
from core.settings.training import AttentionChoice

if TYPE_CHECKING:
    from core.attention.flex import SlidingFlex


class Attend:
    """Attention by one backend, and what that backend keeps from call to call.

    flash runs everywhere it was chosen, flex short windows of whole rows; sdpa does the rest.
    """

    def __init__(self, backend: Backend = "sdpa") -> None:
        self.backend = backend
        self._flash: Flash | None = find_flash() if backend == "flash" else None
        self._flex: SlidingFlex | None = None
        if backend == "flex":
            # Deferred: it loads sympy, which takes seconds.
            from core.attention.flex import SlidingFlex

            self._flex = SlidingFlex()

    def prepare(self, num_positions: int, windows: Iterable[int], device: torch.device) -> None:
        """Make what calls over rows of one length will need. To be called outside compiled code.

        What is learned from has few lengths. What is only measured has many, each of which would
        compile a kernel of its own: without a mask made here, sdpa does it.
        """
        if self._flex is not None and torch.is_grad_enabled():
            self._flex.prepare(num_positions, windows, device)

    def __call__(self, q_BTHD: Tensor, k_BSKD: Tensor, v_BSKD: Tensor, *, window: int) -> Tensor:
        """Return attention outputs, (B, T, H, D); scores are scaled by 1/sqrt(D).

        A query sees itself and `window` positions before it.
        """
        if self._flash is not None:
            return attend_flash(self._flash, q_BTHD, k_BSKD, v_BSKD, window=window)
        if self._flex is not None:
            mask = self._flex.mask_of(q_BTHD, k_BSKD, window)
            if mask is not None:
                return self._flex(q_BTHD, k_BSKD, v_BSKD, mask)
        return attend_in_blocks(q_BTHD, k_BSKD, v_BSKD, window=window)


def attend_on(setting: AttentionChoice, device: torch.device, dtype: torch.dtype) -> Attend:
    """Return attention as a setting asks for it on a device.

    Raises:
        UsageError: the backend asked for is not possible there.
    """
    return Attend(choose_backend(setting, abilities(device), dtype))
