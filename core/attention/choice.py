"""Which attention backend a machine uses, and why not another."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import torch

from core.attention.flash import find_flash
from core.settings.training import AttentionChoice
from runs.errors import UsageError

Backend = Literal["flash", "flex", "sdpa"]
# The best comes first.
BACKENDS: tuple[Backend, ...] = ("flash", "flex", "sdpa")


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What the choice depends on; capability is that of a CUDA device."""

    device_type: str
    capability: tuple[int, int] | None
    has_flash: bool
    has_triton: bool


def abilities(device: torch.device) -> Abilities:
    """Return what a device and the installed packages can do."""
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else None
    is_hopper = capability is not None and capability[0] == 9
    return Abilities(
        device_type=device.type,
        capability=capability,
        # Loading it takes time, and only Hopper gains from it.
        has_flash=is_hopper and find_flash() is not None,
        has_triton=find_spec("triton") is not None,
    )


def choose_backend(setting: AttentionChoice, able: Abilities, dtype: torch.dtype) -> Backend:
    """Return the backend of a setting; auto takes the first that is possible.

    Raises:
        UsageError: the one asked for is not possible here.
    """
    if setting == "auto":
        return next(name for name in BACKENDS if _why_not(name, able, dtype) is None)
    reason = _why_not(setting, able, dtype)
    if reason is not None:
        raise UsageError(f"attention = {setting} is not possible here: {reason}; use auto or sdpa")
    return setting


def _why_not(backend: Backend, able: Abilities, dtype: torch.dtype) -> str | None:
    if backend == "sdpa":
        return None
    if able.capability is None:
        return f"it needs an NVIDIA GPU, and training runs on {able.device_type}"
    major, minor = able.capability
    if backend == "flex":
        if able.capability < (8, 0):
            return f"it needs compute capability 8.0 or more, and this GPU has {major}.{minor}"
        return None if able.has_triton else "it needs the package triton"
    if major != 9:
        return f"FlashAttention-3 needs a Hopper GPU (9.0), and this one has {major}.{minor}"
    if dtype not in (torch.bfloat16, torch.float16):
        return f"FlashAttention-3 computes in 16 bits, and dtype is {dtype}"
    if not able.has_flash:
        return (
            "FlashAttention-3 is not installed (package flash_attn_interface, or kernels with "
            "it in its cache and HF_HUB_OFFLINE=1)"
        )
    return None
