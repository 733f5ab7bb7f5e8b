"""FlashAttention-3, from whichever package of it is installed.

Shapes: B rows, T query positions, S key positions, H query heads, K kv heads, D head width.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

HUB_KERNEL = "kernels-community/flash-attn3"
Flash = Callable[..., Any]


def find_flash() -> Flash | None:
    """Return FlashAttention-3's function, or None where none is installed. No network is used."""
    try:
        if find_spec("flash_attn_interface") is not None:
            flash: Flash = import_module("flash_attn_interface").flash_attn_func
            return flash
        return _hub_kernel()
    # A package whose build does not fit this machine counts as not there.
    except (ImportError, OSError, RuntimeError, ValueError, AttributeError):
        return None


def attend_flash(
    flash: Flash, q_BTHD: Tensor, k_BSKD: Tensor, v_BSKD: Tensor, *, window: int
) -> Tensor:
    """Return attention outputs, (B, T, H, D), the queries being the last T positions of S.

    Its causal mask is aligned to the last key, and a left window counts as ours does.
    """
    left = -1 if window >= k_BSKD.size(1) - 1 else window
    out = flash(
        q_BTHD,
        k_BSKD,
        v_BSKD,
        causal=True,
        window_size=(left, 0),
        deterministic=torch.are_deterministic_algorithms_enabled(),
    )
    # Its first releases return the log-sum-exp beside the outputs.
    result: Tensor = out[0] if isinstance(out, tuple) else out
    return result


def _hub_kernel() -> Flash | None:
    """Return the kernel that the `kernels` package has in its cache.

    Only where the hub is declared offline: otherwise `kernels` asks the network first.
    """
    if find_spec("kernels") is None or find_spec("huggingface_hub") is None:
        return None
    if not import_module("huggingface_hub.constants").HF_HUB_OFFLINE:
        return None
    module = import_module("kernels").get_kernel(HUB_KERNEL, version=1)
    flash: Flash = module.flash_attn_func
    return flash
